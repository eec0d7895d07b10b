//! The built-in chisels: one file each, one line here.

mod echo_fds;

use crate::api::{Chisel, Meta};
use crate::error::ChiselError;

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

/// The names that a mistyped one may have meant: one edit in four letters away at most, or
/// containing it.
fn hint(name: &str) -> String {
    let limit = name.chars().count() / 4 + 1;
    let near: Vec<&str> = REGISTRY
        .iter()
        .map(|e| e.meta.name)
        .filter(|known| (name.len() > 2 && known.contains(name)) || edits(name, known) <= limit)
        .collect();
    if near.is_empty() { String::new() } else { format!(", did you mean {}?", near.join(" or ")) }
}

/// Number of single-letter edits between two words.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_name_meant() {
        let error = create("ehco_fds").unwrap_err().to_string();
        assert!(error.contains("did you mean echo_fds?"), "{error}");
        assert!(!create("zzz").unwrap_err().to_string().contains("did you mean"));
        assert!(create("echo_fds").is_ok());
    }

    #[test]
    fn the_list_is_sorted_and_complete() {
        assert_eq!(list().len(), REGISTRY.len());
        assert!(list().iter().all(|m| !m.short.is_empty() && !m.description.is_empty()));
    }
}
