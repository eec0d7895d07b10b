//! Fields, a class at a time: the value of every field on every event, in both programs.
//!
//! Values are told apart by separators that no value holds, since stock prints line ends inside
//! values.

use crate::Found;
use crate::inputs::Input;
use crate::run;
use capture_tests::data_dir;
use std::collections::{BTreeMap, BTreeSet, HashSet};

const FIELD_END: char = '\u{1f}';
const RECORD_END: char = '\u{1e}';

/// Fields of one command.
const PER_GROUP: usize = 12;

/// Fields of one class, in groups.
pub(crate) struct Group {
    names: Vec<String>,
}

/// One value.
struct Cell<'a> {
    input: &'a str,
    /// Name of the event's type.
    event: &'a str,
    field: &'a str,
    ours: &'a str,
    stock: &'a str,
}

/// Values that differ on purpose.
struct Exception {
    reason: &'static str,
    holds: fn(&Cell<'_>) -> bool,
}

/// Fields of which stock prints what memory holds: which of its values differ changes from run to run,
/// and our value is the one that the exception names.
const UNSTABLE: &[&str] = &["fd.is_server", "fd.dev", "fd.dev.major", "fd.dev.minor"];

const ABSENT: &str = "<NA>";

#[rustfmt::skip]
const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "container events of the old form belong to no process; 0.29.3 names one after the container",
        holds: |c| c.event == "container",
    },
    Exception {
        reason: "a context switch has no latency; 0.29.3 repeats that of the thread's last call",
        holds: |c| c.field.starts_with("evt.latency") && c.event == "switch",
    },
    Exception {
        reason: "the latency of a clone in the child is 0 in every unit; 0.29.3 shows its parent's in evt.latency.human",
        holds: |c| c.field == "evt.latency.human" && matches!(c.event, "clone" | "vfork") && c.ours == "0ns",
    },
    Exception {
        reason: "procexit is no system call",
        holds: |c| c.field == "syscall.type" && c.stock == "procexit" && c.ours == ABSENT,
    },
    Exception {
        reason: "rt_sigreturn has its own name; 0.29.3 calls it sigreturn since its number moved",
        holds: |c| c.stock == "sigreturn" && c.ours == "rt_sigreturn",
    },
    Exception {
        reason: "an exit names the file whose enter could not be read yet; 0.29.3 keeps the enter's <NA>",
        holds: |c| {
            let whole = ["/dev/null", "/proc/sys/kernel/ngroups_max"].into_iter().any(|path| c.stock.replace("/<NA>", path) == c.ours);
            let part = match c.field {
                "fd.filename" => c.stock == ABSENT && matches!(c.ours, "null" | "ngroups_max"),
                "fd.directory" | "fd.containerdirectory" => c.stock.ends_with('/') && (c.ours.ends_with("/dev") || c.ours.ends_with("/kernel")),
                _ => false,
            };
            c.input == "recorded.scap" && (whole || part)
        },
    },
    Exception {
        reason: "a UDP socket that connects to another peer has that peer in its name; 0.29.3 keeps the first one",
        holds: |c| c.input == "test_ipv6_client.scap" && matches!(c.event, "connect" | "sendto") && (c.field.starts_with("fd.") || matches!(c.field, "evt.args" | "evt.info")),
    },
    Exception {
        reason: "0.29.3 reads the address of a UDP peer four bytes too late",
        holds: |c| c.input == "k8s_dns.scap" && matches!(c.event, "recvfrom" | "sendto") && (c.field.starts_with("fd.") || matches!(c.field, "evt.args" | "evt.info")),
    },
    Exception {
        reason: "setsockopt's exit is about an fd, the one that it names; 0.29.3 has none there",
        holds: |c| c.event == "setsockopt" && c.field.starts_with("fd."),
    },
    Exception {
        reason: "only reads and writes have a length; 0.29.3 takes the result of close, dup, fcntl and ioctl for one",
        holds: |c| c.field.starts_with("evt.buflen.") && c.ours == ABSENT && matches!(c.event, "close" | "dup" | "fcntl" | "ioctl"),
    },
    Exception {
        reason: "proc.env[NAME] is one variable; 0.29.3 knows no such argument",
        holds: |c| c.field == "proc.env[HOME]" && c.stock.ends_with("[HOME]"),
    },
    Exception {
        reason: "proc.exeline of a process without arguments does not end in a blank",
        holds: |c| c.field == "proc.exeline" && c.stock.strip_suffix(' ') == Some(c.ours),
    },
    Exception {
        reason: "a process found by its exec has the working directory that the exec tells; 0.29.3 forgets it",
        holds: |c| c.field == "proc.cwd" && c.stock.is_empty() && c.ours.starts_with('/'),
    },
    Exception {
        reason: "an orphan's parent is the process that adopted it, as procexit tells; the parent of a thread is its process's",
        holds: |c| matches!(c.field, "proc.ppid" | "proc.pname" | "proc.pcmdline" | "proc.apid[1]" | "proc.aname[1]" | "proc.loginshellid"),
    },
    Exception {
        reason: "fds that fcntl marked close-on-exec go at exec; 0.29.3 keeps them",
        holds: |c| c.field == "proc.fdopencount" && c.input == "recorded.scap",
    },
    Exception {
        reason: "session and process group follow setsid in a pid namespace; 0.29.3 stores the namespace's ids",
        holds: |c| matches!(c.field, "proc.sid" | "proc.vpgid") && c.input == "recorded.scap",
    },
    Exception {
        reason: "current exec events tell the path of the executable, its user and group; 0.29.3 does not read them, and prints users that it does not know as large numbers",
        holds: |c| match c.field {
            "proc.exepath" => c.ours.starts_with('/'),
            "user.uid" | "group.gid" => c.stock.parse::<u64>().is_ok_and(|id| id >= u64::from(u32::MAX)),
            _ => false,
        },
    },
    Exception {
        reason: "the terminal of processes from the start is in a part of the process list that 0.29.3 does not know",
        holds: |c| c.field == "proc.tty" && c.stock == "0",
    },
    Exception {
        reason: "a thread without cgroups has an empty list of them",
        holds: |c| c.field == "thread.cgroups" && c.stock == ABSENT && c.ours.is_empty(),
    },
    Exception {
        reason: "evt.abspath.src of an open is its path; 0.29.3 knows source and destination of renames and links only",
        holds: |c| c.field == "evt.abspath.src" && matches!(c.event, "open" | "openat") && c.stock == ABSENT && c.ours.starts_with('/'),
    },
    Exception {
        reason: "a container without a record has no list of mounts; 0.29.3 has an empty one",
        holds: |c| c.field == "container.mounts" && c.stock.is_empty() && c.ours == ABSENT,
    },
    Exception {
        reason: "a container without a record has no probes to speak of; 0.29.3 says NONE",
        holds: |c| matches!(c.field, "container.liveness_probe" | "container.readiness_probe" | "container.healthcheck") && c.stock == "NONE" && c.ours == ABSENT,
    },
    Exception {
        reason: "the own end of a connection follows the role where the interface list does not have its address; 0.29.3 takes the other end",
        holds: |c| matches!(c.field, "fd.lip" | "fd.rip" | "fd.lport" | "fd.rport" | "fd.lproto" | "fd.rproto") && (c.input.starts_with("interop-") || c.input == "k8s_dns.scap"),
    },
    Exception {
        reason: "a unix socket has no ports; 0.29.3 prints what stands in their place",
        holds: |c| matches!(c.field, "fd.cport" | "fd.cproto" | "fd.sport" | "fd.sproto") && c.ours == ABSENT && matches!(c.stock, "0" | ""),
    },
    Exception {
        reason: "a port without a name prints as number; 0.29.3 prints nothing for sockets that listen",
        holds: |c| matches!(c.field, "fd.cproto" | "fd.sproto") && c.stock.is_empty() && c.ours.parse::<u16>().is_ok(),
    },
    Exception {
        reason: "a fresh socket counts as the server's end, as sysdig's own record says; 0.29.3 reads it from memory that holds something else",
        holds: |c| c.field == "fd.is_server" && c.stock == "false" && c.ours == "true",
    },
    Exception {
        reason: "fd.uid needs an fd: 0.29.3 prints the thread with -1, or an fd that it does not know",
        holds: |c| c.field == "fd.uid" && c.ours == ABSENT,
    },
    Exception {
        reason: "a connect under way (EINPROGRESS) is no connection yet",
        holds: |c| c.field == "fd.connected" && c.stock == "true" && c.ours == "false",
    },
    Exception {
        reason: "dup and fcntl give a name to their new fd",
        holds: |c| c.field == "fd.name_changed" && matches!(c.event, "dup" | "fcntl") && c.ours == "true",
    },
    Exception {
        reason: "a socket has no device; 0.29.3 prints what memory holds",
        holds: |c| c.field.starts_with("fd.dev") && c.ours == "0",
    },
    Exception {
        reason: "an fd without a name has an empty one in fdlist.names",
        holds: |c| c.field == "fdlist.names" && c.stock.replace(ABSENT, "") == c.ours,
    },
];

/// The fields that 0.29.3 prints, as formats name them, class by class.
pub(crate) fn groups() -> Vec<Group> {
    let list = std::fs::read_to_string(data_dir().join("stock-029/fields.txt")).expect("fields.txt");
    let names: Vec<&str> = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "fields.txt repeats itself");
    let class = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let by_class = names.chunk_by(|a, b| class(a) == class(b));
    let groups = by_class.flat_map(|names| names.chunks(PER_GROUP));
    groups.map(|names| Group { names: names.iter().map(|name| (*name).to_owned()).collect() }).collect()
}

/// Compares the values of a group's fields on every event of a capture.
pub(crate) fn compare(input: &Input, group: &Group) -> Found {
    let fields: String = group.names.iter().map(|name| format!("{FIELD_END}%{name} ")).collect();
    let format = format!("*%evt.num %evt.type{fields}{RECORD_END}");
    let words = ["-p", &format[..]];
    let (stock, ours) = (run::stock(&words, &input.path), run::ours(&words, &input.path));
    let mut found = Found::default();
    if stock.code != ours.code {
        found
            .unexplained
            .push(format!("{:?}: exit code {:?}, stock {:?}", group.names, ours.code, stock.code));
    }
    let records = |text: &str| -> Vec<String> {
        text.split(RECORD_END).map(|record| record.strip_prefix('\n').unwrap_or(record).to_owned()).collect()
    };
    let (stock, ours) = (records(&stock.stdout), records(&ours.stdout));
    if stock.len() != ours.len() {
        found.unexplained.push(format!("{:?}: {} events, stock {}", group.names, ours.len(), stock.len()));
    }
    for (stock, ours) in stock.iter().zip(&ours) {
        compare_event(input, group, stock, ours, &mut found);
    }
    found
}

fn compare_event(input: &Input, group: &Group, stock: &str, ours: &str, found: &mut Found) {
    let (mut stock_values, mut our_values) = (stock.split(FIELD_END), ours.split(FIELD_END));
    let head = our_values.next().unwrap_or("");
    let _ = stock_values.next();
    let event = head.split(' ').nth(1).unwrap_or("");
    for ((field, stock), ours) in group.names.iter().zip(stock_values).zip(our_values) {
        // Values come from the recorded machine: capture lets no control character through.
        let stock = stock.replace(|c: char| c.is_ascii_control(), ".");
        // The blank ends the argument of fields that take everything up to one.
        let (stock, ours) =
            (stock.strip_suffix(' ').unwrap_or(&stock), ours.strip_suffix(' ').unwrap_or(ours));
        if stock == ours {
            found.equal += 1;
            continue;
        }
        let cell = Cell { input: &input.name, event, field, ours, stock };
        match EXCEPTIONS.iter().find(|exception| (exception.holds)(&cell)) {
            Some(exception) => {
                *found.excepted.entry(exception.reason).or_default() += 1;
                if !UNSTABLE.contains(&&**field) {
                    let row = [&input.name[..], field, event, ours].join("\t");
                    *found.excused.entry(row).or_default() += 1;
                }
            }
            None => found.unexplained.push(format!("{head} %{field}: {ours:?}, stock {stock:?}")),
        }
    }
}

/// Name of the table of our values where stock has others.
const EXCUSED: &str = "stock-029/excused.tsv";

/// Set, the table is written anew.
const UPDATE: &str = "CAPTURE_UPDATE_EXCUSED";

/// Our values where stock has others are those of the table: a reason excuses a difference, it does not
/// excuse any value.
pub(crate) fn check_excused(excused: &BTreeMap<String, usize>) {
    let path = data_dir().join(EXCUSED);
    let rows: BTreeSet<String> = excused.iter().map(|(row, count)| format!("{count}\t{row}")).collect();
    if std::env::var_os(UPDATE).is_some() {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(&path, text).expect("writes");
    }
    let text = std::fs::read_to_string(&path).expect("reads");
    let wanted: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let show =
        |rows: Vec<&String>| rows.into_iter().take(20).map(|row| format!("\n  {row}")).collect::<String>();
    let (missing, new) = (show(wanted.difference(&rows).collect()), show(rows.difference(&wanted).collect()));
    assert!(
        missing.is_empty() && new.is_empty(),
        "values that differ from stock's are not those of {EXCUSED} any more (if they have to change, \
         {UPDATE}=1 writes it)\nno longer there:{missing}\nnew:{new}"
    );
}
