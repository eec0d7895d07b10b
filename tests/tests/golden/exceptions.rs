//! Where capture does not do what a record shows, and why: one table.

use crate::record::{Compare, Record};

/// A record that is held against something else than what stock did.
pub(crate) struct Exception {
    pub(crate) id: &'static str,
    pub(crate) reason: &'static str,
    /// Replaces parts of the command.
    shell: &'static [(&'static str, &'static str)],
    /// Replaces parts of the expected standard output.
    stdout: &'static [(&'static str, &'static str)],
    /// What is expected else.
    instead: fn(&mut Record),
}

fn nothing_else(_: &mut Record) {}

#[rustfmt::skip]
pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        id: "02",
        reason: "a UDP socket that connects to another peer has that peer in its name, as the call's tuple says; 0.29.3 keeps the first one",
        shell: &[],
        stdout: &[
            ("232 00:17:31.397772681 0 test_ipv6_clien (19747) > sendto fd=3(<6u>::1:38255->::1:2345)",
             "232 00:17:31.397772681 0 test_ipv6_clien (19747) > sendto fd=3(<6u>::1:38255->2001:4860:4860::8888:53)"),
            ("237 00:17:31.399166996 0 test_ipv6_clien (19747) > sendto fd=3(<6u>::1:38255->::1:2345)",
             "237 00:17:31.399166996 0 test_ipv6_clien (19747) > sendto fd=3(<6u>::1:38255->2001:4860:4860::8888:53)"),
        ],
        instead: nothing_else,
    },
    Exception {
        id: "04",
        reason: "a section header with options is read, as current libs read it; 0.29.3 cannot",
        shell: &[],
        stdout: &[],
        instead: |record| {
            // The lines themselves are those of record 03.
            record.shell.push_str(" | cmp - <(sysdig -r captures/libs/curl_google.scap -n 212) && echo same");
            record.outcome.exit_code = 0;
            record.outcome.stdout = "same\n".to_owned();
            record.outcome.stderr.clear();
            record.compare = Compare::Exact;
        },
    },
    Exception {
        id: "21",
        reason: "a process found by its exec has the working directory that the exec tells, memory figures follow brk and mmap whatever the filter, and the parent of a thread is its process's; 0.29.3 forgets the first, does not look at calls that a filter drops, and takes the process itself for a thread's parent",
        shell: &[],
        stdout: &[
            ("curl curl curl bash sshd", "curl curl bash bash sshd"),
            ("google.com  1 0 0 1024 3200 systemd", "google.com /home/ubuntu/ 1 0 0 1024 3200 systemd"),
            ("google.com  1 0 1 1024 3200 systemd false 17497 true 508 4", "google.com /home/ubuntu/ 1 0 1 1024 3200 systemd false 17497 true 93240 5144"),
            ("google.com  2 1 1 1024 3200 systemd false 17497 true 508 4", "google.com /home/ubuntu/ 2 1 1 1024 3200 systemd false 17497 true 93240 5144"),
            ("google.com  2 0 1 1024 3200 systemd", "google.com /home/ubuntu/ 2 0 1 1024 3200 systemd"),
        ],
        instead: nothing_else,
    },
    Exception {
        id: "41",
        reason: "-U hides a thread by the name that it has, from the first event on; 0.29.3 looks at names at clones only",
        shell: &[],
        stdout: &[("807", "0")],
        instead: |record| record.compare = Compare::Exact,
    },
    Exception {
        id: "51",
        reason: "the first slice of time has a name like the others; 0.29.3 calls it first_dump.scap",
        shell: &[],
        stdout: &[("cap_233047", "cap_233044.scap\ncap_233047"), ("first_dump.scap\n", "")],
        instead: nothing_else,
    },
    Exception {
        id: "52",
        reason: "`and` binds stronger than `or`; 0.29.3 refuses the two without brackets",
        shell: &[("; sysdig -r captures/libs/curl_google.scap \"evt.type=open or evt.dir=< and fd.num=1\"; echo $?", "")],
        stdout: &[("1\n1\n1\n1\n", "1\n1\n1\n")],
        instead: |record| {
            let three: Vec<&str> = record.outcome.stderr.lines().take(3).collect();
            record.outcome.stderr = three.join("\n");
        },
    },
    Exception {
        id: "55",
        reason: "-N, an option of sysdig until 2017, is accepted and ignored: this would begin a live capture",
        shell: &[(" \"-NA\"", "")],
        stdout: &[("-NA -> 1\n", "")],
        instead: |record| {
            let all = record.outcome.stderr.lines();
            let rest: Vec<&str> = all.filter(|line| !line.contains("invalid option -- 'N'")).collect();
            record.outcome.stderr = rest.join("\n");
        },
    },
    Exception {
        id: "57",
        reason: "which of the calls that happened twice are among the 30 shown follows the hash order of LuaJIT",
        shell: &[("-c topscalls", "-c topscalls | grep -v '^2 '")],
        stdout: &[],
        instead: |record| {
            let lines = record.outcome.stdout.lines().filter(|line| !line.starts_with("2 "));
            record.outcome.stdout = lines.map(|line| format!("{line}\n")).collect();
        },
    },
    Exception {
        id: "60",
        reason: "the LuaJIT that Debian links rounds 10.625 up in %.2f, today's as C does",
        shell: &[],
        stdout: &[("10.63M", "10.62M")],
        instead: nothing_else,
    },
    Exception {
        id: "82",
        reason: "chisels that sysdig does not have are built in",
        shell: &[("| sort", "| grep -vxE 'dns|errors|files|flame|follow|http|slow|tree' | sort")],
        stdout: &[],
        instead: nothing_else,
    },
    Exception {
        id: "83",
        reason: "shellshock_detect runs: its filter mixes `or` and `and` without brackets, which 0.29.3 refuses; \
                 flame prints stacks of calls, not an empty page for tracers; list_login_shells lists each once",
        shell: &[],
        stdout: &[
            ("shellshock_detect 0 1", "shellshock_detect 1 0"),
            ("flame 55 0", "flame 35 0"),
            ("list_login_shells 4 0", "list_login_shells 2 0"),
        ],
        instead: nothing_else,
    },
    Exception {
        id: "85",
        reason: "list_login_shells lists each shell once, not the last one three times",
        shell: &[],
        stdout: &[("3200\n3200\n3200\n", "3200\n")],
        instead: nothing_else,
    },
    Exception {
        id: "86",
        reason: "the end callback of a chisel whose start failed is not called; 0.29.3 prints an empty table. A \
                 threshold that is no number is an error",
        shell: &[],
        stdout: &[
            (
                "Bytes               no.such             \n--------------------------------------------------------------------------------\n",
                "",
            ),
            ("Input min_ms must be a number.\n0\n", "1\n"),
        ],
        instead: |record| record.compare_stderr = Compare::Ignore,
    },
];

/// Changes a record to what is wanted of capture; the reason if there is one.
pub(crate) fn apply(record: &mut Record) -> Option<&'static str> {
    let exception = EXCEPTIONS.iter().find(|exception| exception.id == record.id)?;
    for (from, to) in exception.shell {
        assert!(record.shell.contains(from), "{}: {from:?} is not in the command", record.id);
        record.shell = record.shell.replace(from, to);
    }
    for (from, to) in exception.stdout {
        assert!(record.outcome.stdout.contains(from), "{}: {from:?} is not in the output", record.id);
        record.outcome.stdout = record.outcome.stdout.replacen(from, to, 1);
    }
    (exception.instead)(record);
    Some(exception.reason)
}
