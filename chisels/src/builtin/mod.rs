//! The built-in chisels: one file for each, or for each family of which the members are rows of a
//! table, and one line for each file here.

mod around;
mod bottlenecks;
mod dns;
mod dns_exchange;
mod dns_message;
mod dns_names;
mod dns_summary;
mod echo_fds;
mod errors;
mod fdcount_by;
mod files;
mod flame;
mod flame_svg;
mod follow;
mod heat_maps;
mod http;
mod http_talk;
mod httplog;
mod iobytes;
mod list_login_shells;
mod logs;
mod lscontainers;
mod memcachelog;
mod proc_exec_time;
mod shellshock_detect;
mod slow;
mod slower;
mod spy_file;
mod spy_peer;
mod spy_users;
mod state_lists;
mod std_streams;
mod top;
mod top_rows;
mod tree;
mod udp_extract;

use crate::api::{Chisel, Meta};

/// The chisels of one file.
struct Family {
    /// What they say of themselves.
    metas: fn() -> Vec<&'static Meta>,
    /// A fresh one of this name, if it is one of them. There may be some that are not listed.
    make: fn(&str) -> Option<Box<dyn Chisel>>,
}

/// A file with one chisel.
macro_rules! single {
    ($file:ident :: $chisel:ident) => {
        Family {
            metas: || vec![&$file::META],
            make: |name| {
                (name == $file::META.name).then(|| Box::<$file::$chisel>::default() as Box<dyn Chisel>)
            },
        }
    };
}

/// A file with several.
macro_rules! family {
    ($file:ident) => {
        Family { metas: $file::metas, make: $file::make }
    };
}

const FAMILIES: &[Family] = &[
    single!(around::Around),
    single!(bottlenecks::Bottlenecks),
    single!(dns::Dns),
    single!(echo_fds::EchoFds),
    single!(errors::Errors),
    single!(fdcount_by::FdCountBy),
    single!(files::Files),
    single!(flame::Flame),
    single!(follow::Follow),
    single!(http::Http),
    single!(list_login_shells::ListLoginShells),
    single!(lscontainers::LsContainers),
    single!(memcachelog::MemcacheLog),
    single!(proc_exec_time::ProcExecTime),
    single!(shellshock_detect::ShellshockDetect),
    single!(slow::Slow),
    single!(spy_file::SpyFile),
    single!(spy_users::SpyUsers),
    single!(tree::Tree),
    single!(udp_extract::UdpExtract),
    family!(heat_maps),
    family!(httplog),
    family!(iobytes),
    family!(logs),
    family!(slower),
    family!(spy_peer),
    family!(state_lists),
    family!(std_streams),
    family!(top),
];

/// What all built-in chisels say of themselves.
pub(crate) fn all() -> impl Iterator<Item = &'static Meta> {
    FAMILIES.iter().flat_map(|family| (family.metas)())
}

/// A fresh built-in chisel by name.
pub(crate) fn create(name: &str) -> Option<Box<dyn Chisel>> {
    FAMILIES.iter().find_map(|family| (family.make)(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Settings;
    use crate::control::Control;
    use crate::error::ChiselError;
    use std::collections::HashSet;

    /// A value that fits an argument.
    fn value(meta: &Meta, at: usize) -> &'static str {
        match (&*meta.args[at].name, &*meta.args[at].kind) {
            (_, "filter") => "fd.type=file",
            (_, "int") => "1",
            ("key" | "keys" | "value", _) => "proc.pid",
            ("host_ip", _) => "127.0.0.1",
            ("by", _) => "ncalls",
            _ => "x",
        }
    }

    #[test]
    fn every_chisel_is_found_by_its_name_and_starts() {
        let mut names = HashSet::new();
        let filter = "proc.name=x".to_owned();
        for json in [false, true] {
            let settings = Settings { json, filter: filter.clone(), ..Settings::default() };
            names.clear();
            for meta in all() {
                assert!(names.insert(&meta.name), "{} twice", meta.name);
                let mut chisel = create(&meta.name).unwrap_or_else(|| panic!("{} is not made", meta.name));
                assert_eq!(chisel.meta().name, meta.name);
                let mut control = Control::default();
                for (at, arg) in meta.args.iter().enumerate().filter(|(_, arg)| !arg.optional) {
                    let set = chisel.set_arg(&arg.name, value(meta, at), &mut control);
                    set.unwrap_or_else(|e| panic!("{}: {e}", meta.name));
                }
                // A chisel may refuse to work without a terminal; the others start.
                if let Err(error) = chisel.init(&settings, &mut control) {
                    assert!(matches!(error, ChiselError::Refused(_)), "{}: {error}", meta.name);
                }
            }
        }
    }

    #[test]
    fn texts_are_whole() {
        for meta in all() {
            assert!(!meta.short.ends_with('.'), "{}: a short description is no sentence", meta.name);
            assert!(meta.short.len() <= 63, "{}: {}", meta.name, meta.short);
            assert!(meta.description.ends_with('.'), "{}", meta.name);
            let mut required = meta.args.iter().map(|arg| arg.optional);
            assert!(required.by_ref().is_sorted(), "{}: optional before required", meta.name);
        }
    }
}
