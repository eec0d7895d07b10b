//! Which name a program asked for, behind the names that its resolver tries.
//!
//! A resolver appends the search domains of /etc/resolv.conf one after the other. The domains are read
//! out of what processes read from that file; the rest is matching.

use std::collections::HashMap;

/// Time within which questions of a thread belong together, ns.
const SERIES_NS: u64 = 30_000_000_000;
/// Processes and threads that are remembered.
const REMEMBERED_MAX: usize = 65_536;

/// A name as it was asked for, and the search domain that the resolver appended, if one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) appended: Option<String>,
}

impl Asked {
    /// `nginx[.svc.cluster.local]`.
    pub(super) fn text(&self) -> String {
        match &self.appended {
            Some(domain) => format!("{}[.{domain}]", self.name),
            None => self.name.clone(),
        }
    }
}

/// The names that a thread asks for now.
#[derive(Debug)]
struct Series {
    name: String,
    last_ts_ns: u64,
}

/// What is known of resolvers.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Search domains by process, longest first.
    by_process: HashMap<i64, Vec<String>>,
    by_container: HashMap<Vec<u8>, Vec<String>>,
    series: HashMap<i64, Series>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) pid: i64,
    pub(super) tid: i64,
    /// Empty outside of containers.
    pub(super) container_id: &'a [u8],
}

impl Names {
    /// A process read this from its resolv.conf.
    pub(super) fn configure(&mut self, asker: Asker<'_>, text: &[u8]) {
        let Some(domains) = search_domains(text) else { return };
        if self.by_process.len() >= REMEMBERED_MAX {
            self.by_process.clear();
        }
        self.by_process.insert(asker.pid, domains.clone());
        if !asker.container_id.is_empty() {
            self.by_container.insert(asker.container_id.to_vec(), domains);
        }
    }

    /// What was asked for when this name is looked up. `says` tells whether the command line of the
    /// process has a name in it.
    pub(super) fn asked(
        &mut self,
        asker: Asker<'_>,
        looked_up: &str,
        ts_ns: u64,
        says: impl Fn(&str) -> bool,
    ) -> Asked {
        let none = Vec::new();
        let domains = self.by_process.get(&asker.pid);
        let domains = domains.or_else(|| self.by_container.get(asker.container_id)).unwrap_or(&none);
        let before = self.series.get(&asker.tid).filter(|s| ts_ns.saturating_sub(s.last_ts_ns) < SERIES_NS);
        let asked = match before {
            Some(series) if looked_up == series.name => whole(looked_up),
            Some(series) if stripped(looked_up, domains).any(|(name, _)| name == series.name) => {
                let domain = looked_up[series.name.len() + 1..].to_owned();
                Asked { name: series.name.clone(), appended: Some(domain) }
            }
            // Asked for in full.
            _ if says(looked_up) => whole(looked_up),
            _ => {
                let cut = stripped(looked_up, domains).next();
                let cut = cut
                    .map(|(name, domain)| Asked { name: name.to_owned(), appended: Some(domain.to_owned()) });
                cut.unwrap_or_else(|| whole(looked_up))
            }
        };
        if self.series.len() >= REMEMBERED_MAX {
            self.series.clear();
        }
        self.series.insert(asker.tid, Series { name: asked.name.clone(), last_ts_ns: ts_ns });
        asked
    }
}

fn whole(name: &str) -> Asked {
    Asked { name: name.to_owned(), appended: None }
}

/// The name without each of the domains that it ends in, longest domain first.
fn stripped<'a>(name: &'a str, domains: &'a [String]) -> impl Iterator<Item = (&'a str, &'a str)> {
    domains.iter().filter_map(move |domain| {
        let head = name.strip_suffix(domain.as_str())?.strip_suffix('.')?;
        (!head.is_empty()).then_some((head, domain.as_str()))
    })
}

/// The search domains of a resolv.conf, longest first; `None` where it names none.
fn search_domains(text: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(text);
    // The last of these lines counts.
    let line = text.lines().rev().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        matches!(words.next(), Some("search" | "domain")).then_some(words)
    })?;
    let mut domains: Vec<String> =
        line.map(|domain| domain.trim_matches('.').to_ascii_lowercase()).filter(|d| !d.is_empty()).collect();
    domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
    (!domains.is_empty()).then_some(domains)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &[u8] =
        b"nameserver 10.0.2.15\nsearch app.svc.cluster.local svc.cluster.local cluster.local \
                          localdomain\noptions ndots:5\n";
    const ASKER: Asker<'_> = Asker { pid: 7, tid: 8, container_id: b"3ad7b26ded6d" };

    fn names() -> Names {
        let mut names = Names::default();
        names.configure(ASKER, CONF);
        names
    }

    fn check(names: &mut Names, looked_up: &str, expected: &str) {
        assert_eq!(names.asked(ASKER, looked_up, 1, |_| false).text(), expected);
    }

    #[test]
    fn a_short_name_walks_the_search_list() {
        let mut names = names();
        check(&mut names, "nginx.app.svc.cluster.local", "nginx[.app.svc.cluster.local]");
        check(&mut names, "nginx.svc.cluster.local", "nginx[.svc.cluster.local]");
        check(&mut names, "nginx.cluster.local", "nginx[.cluster.local]");
        check(&mut names, "nginx", "nginx");
    }

    #[test]
    fn a_full_name_walks_the_search_list_too() {
        let mut names = names();
        let full = "nginx.app.svc.cluster.local";
        check(
            &mut names,
            &format!("{full}.svc.cluster.local"),
            "nginx.app.svc.cluster.local[.svc.cluster.local]",
        );
        check(&mut names, full, full);
        // Another name begins another series.
        check(&mut names, "db.prod.svc.cluster.local", "db.prod[.svc.cluster.local]");
    }

    #[test]
    fn a_name_on_the_command_line_was_asked_for_in_full() {
        let full = "nginx.app.svc.cluster.local";
        assert_eq!(names().asked(ASKER, full, 1, |name| name == full).text(), full);
    }

    #[test]
    fn another_process_of_the_container_has_the_same_list() {
        let other = Asker { pid: 9, tid: 9, ..ASKER };
        assert_eq!(names().asked(other, "a.localdomain", 1, |_| false).text(), "a[.localdomain]");
        let outside = Asker { container_id: b"", ..other };
        assert_eq!(names().asked(outside, "a.localdomain", 1, |_| false).text(), "a.localdomain");
    }

    #[test]
    fn files_without_a_list() {
        assert_eq!(search_domains(b"nameserver 1.1.1.1\n"), None);
        assert_eq!(search_domains(b"search\n"), None);
        assert_eq!(
            search_domains(b"domain A.\nsearch x y.z\n"),
            Some(vec!["y.z".to_owned(), "x".to_owned()])
        );
    }
}
