//! The built-in chisels: one file each, one line here.

mod echo_fds;

use crate::api::{Chisel, Meta};
use crate::error::ChiselError;
use filter_lang::near_names;

/// One line of the registry.
struct Entry {
    meta: &'static Meta,
    make: fn() -> Box<dyn Chisel>,
}

const REGISTRY: &[Entry] =
    &[Entry { meta: &echo_fds::META, make: || Box::new(echo_fds::EchoFds::default()) }];

/// All built-in chisels, sorted by category and name.
pub fn list() -> Vec<&'static Meta> {
    let mut all: Vec<&'static Meta> = REGISTRY.iter().map(|e| e.meta).collect();
    all.sort_by_key(|m| (m.category, m.name));
    all
}

/// A fresh chisel by name.
pub fn create(name: &str) -> Result<Box<dyn Chisel>, ChiselError> {
    match REGISTRY.iter().find(|e| e.meta.name == name) {
        Some(entry) => Ok((entry.make)()),
        None => Err(ChiselError::Unknown { name: name.to_string(), hint: hint(name) }),
    }
}

/// The names that a mistyped one may have meant: those that look like it or contain it.
fn hint(name: &str) -> String {
    let known = || REGISTRY.iter().map(|e| e.meta.name);
    let mut near: Vec<String> =
        known().filter(|k| name.len() > 2 && k.contains(name)).map(str::to_owned).collect();
    near.extend(near_names(name, known()));
    near.sort_unstable();
    near.dedup();
    if near.is_empty() { String::new() } else { format!(", did you mean {}?", near.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_name_meant() {
        let error = create("ehco_fds").unwrap_err().to_string();
        assert!(error.contains("did you mean echo_fds?"), "{error}");
        assert!(create("echo").unwrap_err().to_string().contains("did you mean echo_fds?"));
        assert!(!create("zzz").unwrap_err().to_string().contains("did you mean"));
        assert!(create("echo_fds").is_ok());
    }

    #[test]
    fn the_list_is_sorted_and_complete() {
        assert_eq!(list().len(), REGISTRY.len());
        assert!(list().iter().all(|m| !m.short.is_empty() && !m.description.is_empty()));
    }
}
