//! Where our lines differ from stock's on purpose, and why: one table.

/// A pair of lines that should be equal.
pub(crate) struct Pair {
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

/// A difference that is meant.
pub(crate) struct Exception {
    pub(crate) reason: &'static str,
    /// Takes the difference out of both lines where it is there.
    pub(crate) level: fn(&mut Pair),
}

/// Against sysdig 0.29.3 and against the version of 2024-03. A row that does not apply to one of
/// them does nothing there.
pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "empty buffers print nothing, as in 0.29.3, where the newer version prints NULL; absent text prints <NA>, where 0.29.3 prints leftovers of the parameter before",
        level: |pair| {
            for name in names_where(&pair.ours, |value| matches!(value, "NULL" | "<NA>" | "")) {
                mask(pair, &name);
            }
        },
    },
    Exception {
        reason: "generic calls that 0.29.3 does not know, and dies of: their names print",
        level: |pair| {
            if let Some(at) = pair.theirs.find(" <unknown> ") {
                let ours = pair.ours.get(at + 1..).and_then(|rest| Some(at + 1 + rest.find(' ')?));
                if let Some(end) = ours {
                    pair.ours.replace_range(at..end, " <unknown>");
                }
            }
        },
    },
    Exception {
        reason: "rt_sigreturn has its own name; 0.29.3 calls it sigreturn since its number moved",
        level: |pair| pair.theirs = pair.theirs.replace(" sigreturn ", " rt_sigreturn "),
    },
    Exception {
        reason: "a path seen from / has one slash in front; both versions print two",
        level: |pair| pair.theirs = pair.theirs.replace("(<f>//", "(<f>/").replace("(//", "(/"),
    },
    Exception {
        reason: "socket families print one name each, as in 0.29.3",
        level: |pair| {
            pair.theirs = pair
                .theirs
                .replace("AF_LOCAL|AF_UNIX", "AF_LOCAL")
                .replace("AF_ROUTE|AF_NETLINK", "AF_ROUTE");
        },
    },
    Exception {
        reason: "flags that 0.29.3 has no name for print without one",
        level: |pair| pair.theirs = pair.theirs.replace("|O_F_CREATED", ""),
    },
    Exception {
        reason: "mmap's result is an address in hexadecimal, as in 0.29.3; the newer version prints decimal",
        level: |pair| {
            if pair.ours.contains(" < mmap ") {
                mask(pair, "res");
            }
        },
    },
    Exception {
        reason: "the login user of execve is a plain number, as in 0.29.3",
        level: |pair| mask(pair, "loginuid"),
    },
    Exception {
        reason: "operations of futex have names, as in 0.29.3",
        level: |pair| {
            if pair.ours.contains(" > futex ") {
                mask(pair, "op");
            }
        },
    },
    Exception {
        reason: "users and groups print their names in containers too; the newer version looks inside the container, where a file has no list",
        level: |pair| {
            for name in names_where(&pair.theirs, |value| value.ends_with("(<NA>)") || value == "-1") {
                if matches!(&name[..], "uid" | "gid" | "euid" | "egid") {
                    mask(pair, &name);
                }
            }
        },
    },
    Exception {
        reason: "0.29.3 reads the address of a UDP peer four bytes too late",
        level: |pair| {
            for name in names_where(&pair.theirs, |value| value.contains("53.0.3.0")) {
                mask(pair, &name);
            }
        },
    },
    Exception {
        reason: "the newer version renames UDP sockets by stale bytes, and loses their protocol",
        level: |pair| {
            for name in
                names_where(&pair.theirs, |value| value.contains("<unknown>") || value.contains("(<6>::"))
            {
                mask(pair, &name);
            }
        },
    },
    Exception {
        reason: "unset addresses of unconnected UDP sockets are completed from the interface list, by family",
        level: |pair| {
            for name in names_where(&pair.theirs, |value| {
                value.contains("(<6>")
                    || (value.contains("(<6u>")
                        && [":::", "0.0.0.0"].iter().any(|unset| value.contains(unset)))
            }) {
                mask(pair, &name);
            }
        },
    },
    Exception {
        reason: "a UDP socket that connects to another peer has that peer in its name, as the call's tuple says; 0.29.3 keeps the first one",
        level: |pair| {
            for name in names_where(&pair.theirs, |value| value.contains("(<6u>::1:38255->::1:2345)")) {
                mask(pair, &name);
            }
        },
    },
    Exception {
        reason: "a process that ended stays ended: a vfork that returns after its child's end does not bring it back, as it does in the newer version",
        level: |pair| {
            if pair.ours.contains("<NA> (") && pair.ours.contains(" > switch ") {
                pair.theirs = pair.theirs.replacen("kitchen (", "<NA> (", 1);
            }
            for (call, name) in [(" < vfork ", "res"), (" > switch ", "next"), (" > signaldeliver ", "spid")]
            {
                if !pair.ours.contains(call) {
                    continue;
                }
                let (ours, theirs) = (value_of(&pair.ours, name), value_of(&pair.theirs, name));
                let is_ended = |(ours, theirs): (&str, &str)| theirs.starts_with(&format!("{ours}("));
                if ours.zip(theirs).is_some_and(is_ended) {
                    mask(pair, name);
                }
            }
        },
    },
    Exception {
        reason: "a unix socket keeps the address of a connect that failed; 0.29.3 forgets it",
        level: |pair| {
            if pair.theirs.contains("(<u>)") && pair.ours.contains("(<u>0->") {
                mask(pair, "fd");
            }
        },
    },
    Exception {
        reason: "openat2's enter resolves its path from the directory fd; both versions take the working directory",
        level: |pair| {
            if pair.ours.contains(" > openat2 ") {
                mask(pair, "name");
            }
        },
    },
    Exception {
        reason: "execveat of an empty path shows what the fd is, as in 0.29.3",
        level: |pair| {
            if pair.ours.contains(" > execveat ") {
                mask(pair, "pathname");
            }
        },
    },
    Exception {
        reason: "container events of the old form belong to no process; 0.29.3 names one after the container",
        level: |pair| {
            if let (true, Some(at)) =
                (pair.theirs.contains(" > container json="), pair.theirs.find(" > container "))
            {
                let json = pair.theirs[at..].to_owned();
                if pair.ours.ends_with(&json) {
                    pair.theirs = pair.ours.clone();
                }
            }
        },
    },
];

/// The last resort, counted apart and bounded per file: one side knows what an fd or a process id
/// refers to and the other does not. 0.29.3 loses fds made by newer calls (accept4, dup, pipe2);
/// a vforked or namespaced child is known here from its own event on, there from its parent's.
pub(crate) fn level_names(pair: &mut Pair) {
    let bare = |value: &str| value.split(['(', ' ']).next().unwrap_or(value).to_owned();
    let all = names_where(&pair.ours, |_| true);
    for name in all {
        let (Some(ours), Some(theirs)) = (value_of(&pair.ours, &name), value_of(&pair.theirs, &name)) else {
            continue;
        };
        let lists = name == "fds" && ours.len() == theirs.len();
        if ours != theirs
            && (lists
                || (bare(ours) == bare(theirs)
                    && (ours.len() == bare(ours).len() || theirs.len() == bare(theirs).len())))
        {
            mask(pair, &name);
        }
    }
}

/// Where each parameter's value stands: (name, start, end).
fn values(line: &str) -> Vec<(String, usize, usize)> {
    let Some(at) = [" > ", " < "].iter().filter_map(|d| line.find(d)).min() else { return Vec::new() };
    let is_name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    let bytes = line.as_bytes();
    let mut found: Vec<(String, usize, usize)> = Vec::new();
    for equals in (at..bytes.len()).filter(|&i| bytes[i] == b'=') {
        let start = (at..equals).rev().find(|&i| !is_name(bytes[i])).unwrap_or(at);
        if bytes[start] != b' ' || start + 1 == equals {
            continue;
        }
        if let Some(last) = found.last_mut() {
            last.2 = start;
        }
        found.push((line[start + 1..equals].to_owned(), equals + 1, line.trim_end().len().max(equals + 1)));
    }
    found
}

fn names_where(line: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    values(line)
        .into_iter()
        .filter(|(_, start, end)| wanted(&line[*start..*end]))
        .map(|(name, ..)| name)
        .collect()
}

fn value_of<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    values(line).into_iter().find(|(n, ..)| n == name).map(|(_, start, end)| &line[start..end])
}

fn mask(pair: &mut Pair, name: &str) {
    for line in [&mut pair.ours, &mut pair.theirs] {
        if let Some((_, start, end)) = values(line).into_iter().find(|(n, ..)| n == name) {
            line.replace_range(start..end, "*");
        }
    }
}
