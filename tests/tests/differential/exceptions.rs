//! Where the two print different lines, and why: one table. Every row rewrites stock's line into
//! ours; whatever is left is unexplained.

use crate::Found;
use crate::run::Outcome;
use std::collections::{BTreeMap, BTreeSet};

/// A difference that is meant.
struct Exception {
    reason: &'static str,
    /// Stock's line as ours should be; the same where the row does not apply.
    rewrite: fn(&Line<'_>) -> String,
}

/// A line of stock, and where it comes from.
struct Line<'a> {
    input: &'a str,
    command: &'a [&'a str],
    ours: &'a str,
    stock: &'a str,
}

/// A line that only one of the two prints.
struct Extra<'a> {
    input: &'a str,
    command: &'a [&'a str],
    line: &'a str,
    /// Whether it is capture that prints it.
    is_ours: bool,
}

/// A reason for such lines.
struct OneSided {
    reason: &'static str,
    holds: fn(&Extra<'_>) -> bool,
}

const PEER: &str =
    "a UDP socket that connects to another peer has that peer in its name; 0.29.3 keeps the first one";
const SETSOCKOPT: &str = "setsockopt's exit is about an fd, the one that it names; 0.29.3 has none there";
const SWITCH: &str = "a context switch has no latency; 0.29.3 repeats that of the thread's last call";
const DROPPED: &str =
    "0.29.3 does not apply the calls that a filter drops: a standard input that was closed unseen stays";
const RECORD: &str =
    "the record of a container is an event, which -D shows and -S counts; 0.29.3 swallows it";
const SIGRETURN: &str = "rt_sigreturn has its own name; 0.29.3 calls it sigreturn since its number moved";

#[rustfmt::skip]
const ONE_SIDED: &[OneSided] = &[
    OneSided {
        reason: SETSOCKOPT,
        holds: |extra| extra.line.contains("setsockopt"),
    },
    OneSided {
        reason: RECORD,
        holds: |extra| extra.is_ours && extra.command.contains(&"-D") && extra.line.contains(" > container json="),
    },
    OneSided {
        reason: SWITCH,
        holds: |extra| !extra.is_ours && extra.command.contains(&"evt.latency>10000") && extra.line.contains("> switch "),
    },
    OneSided {
        reason: PEER,
        holds: |extra| extra.is_ours && extra.input == "test_ipv6_client.scap" && extra.command.contains(&"fd.port=80 or fd.port=53"),
    },
    OneSided {
        reason: DROPPED,
        holds: |extra| extra.input == "recorded.scap" && if extra.is_ours {
            extra.line.contains(" curl (") && (extra.line.contains(" fcntl ") || extra.line.contains(" ioctl "))
        } else {
            extra.line.contains(" fd=0(<f>/srv/passwd) ")
        },
    },
];

#[rustfmt::skip]
const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "-t a: nanoseconds have nine digits; 0.29.3 leaves out the zeros in front",
        rewrite: |line| match line.command.first() {
            Some(&"-ta") => nine_digits(line.stock),
            _ => line.stock.to_owned(),
        },
    },
    Exception {
        reason: SWITCH,
        rewrite: |line| {
            let (ours, stock) = (line.ours.split(' ').nth(1), line.stock.split(' ').nth(1));
            match (ours, stock) {
                (Some(ours), Some(stock)) if line.command.contains(&"d") && line.ours.contains("> switch ") => {
                    line.stock.replacen(stock, ours, 1)
                }
                _ => line.stock.to_owned(),
            }
        },
    },
    Exception {
        reason: SIGRETURN,
        rewrite: |line| match line.ours.contains("rt_sigreturn") {
            true => line.stock.replace("sigreturn", "rt_sigreturn"),
            false => line.stock.to_owned(),
        },
    },
    Exception {
        reason: "an exit names the file whose enter could not be read yet; 0.29.3 keeps the enter's <NA>",
        rewrite: |line| {
            let known = ["/dev/null", "/proc/sys/kernel/ngroups_max"].into_iter().find(|path| line.ours.contains(path));
            match known {
                Some(path) => line.stock.replace("/<NA>", path).replace("(<f><NA>)", &format!("(<f>{path})")),
                None => line.stock.to_owned(),
            }
        },
    },
    Exception {
        reason: DROPPED,
        rewrite: |line| match line.ours.contains("/srv/passwd") {
            false if line.input == "recorded.scap" => line.stock.replace("(<f>/srv/passwd)", ""),
            _ => line.stock.to_owned(),
        },
    },
    Exception {
        reason: SETSOCKOPT,
        rewrite: |line| match line.ours.contains("setsockopt") && line.command.contains(&"-p") {
            true => line.ours.to_owned(),
            false => line.stock.to_owned(),
        },
    },
    Exception {
        reason: "0.29.3 reads the address of a UDP peer four bytes too late",
        rewrite: |line| {
            let stock = line.stock.replace("53.0.3.0", "10.244.0.3");
            stock.replace("10.244.0.3:53->10.244.0.3:53", "10.244.1.9:46112->10.244.0.3:53")
                .replace("10.244.0.3:domain->10.244.0.3:domain", "10.244.1.9:46112->10.244.0.3:domain")
        },
    },
    Exception {
        reason: PEER,
        rewrite: |line| match line.input {
            "test_ipv6_client.scap" if line.ours.contains("8888") => {
                let port = if line.command.contains(&"-R") { "domain" } else { "53" };
                line.stock.replacen("::1:38255->::1:2345", &format!("::1:38255->2001:4860:4860::8888:{port}"), 1)
            }
            _ => line.stock.to_owned(),
        },
    },
    Exception {
        reason: "container events of the old form belong to no process; 0.29.3 makes one with the thread -2 of its namespace",
        rewrite: |line| line.stock.replace("(1:-2) > container", "(1:1) > container").replace("\"thread.vtid\":-2", "\"thread.vtid\":1"),
    },
];

/// Pads the fraction of the first `seconds.nanoseconds` of a line.
fn nine_digits(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    if let Some(time) = words.get_mut(1)
        && let Some((seconds, ns)) = time.split_once('.')
    {
        *time = format!("{seconds}.{ns:0>9}");
    }
    words.join(" ")
}

/// Compares what the two printed: line by line, and where every line begins with the number of its
/// event, event by event.
pub(crate) fn compare(input: &str, command: &[&str], stock: &Outcome, ours: &Outcome) -> Found {
    let mut found = Found::default();
    if stock.code != ours.code {
        found.unexplained.push(format!("exit code {:?}, stock {:?}", ours.code, stock.code));
    }
    let (stock, ours) = (lines(command, stock, &mut found), lines(command, ours, &mut found));
    let (by_stock, by_ours) = (by_number(&stock), by_number(&ours));
    if let (Some(by_stock), Some(by_ours)) = (by_stock, by_ours) {
        let numbers: BTreeSet<u64> = by_stock.keys().chain(by_ours.keys()).copied().collect();
        for number in numbers {
            match (by_stock.get(&number), by_ours.get(&number)) {
                (Some(stock), Some(ours)) => compare_lines(input, command, stock, ours, &mut found),
                (stock, ours) => {
                    let line = ours.or(stock).copied().unwrap_or("");
                    let extra = Extra { input, command, line, is_ours: ours.is_some() };
                    match ONE_SIDED.iter().find(|row| (row.holds)(&extra)) {
                        Some(row) => *found.excepted.entry(row.reason).or_default() += 1,
                        None if ours.is_some() => found.unexplained.push(format!("\n  only ours  {line}")),
                        None => found.unexplained.push(format!("\n  only stock {line}")),
                    }
                }
            }
        }
        return found;
    }
    if stock.len() != ours.len() {
        found.unexplained.push(format!("{} lines, stock {}", ours.len(), stock.len()));
    }
    for (stock, ours) in stock.iter().zip(&ours) {
        compare_lines(input, command, stock, ours, &mut found);
    }
    found
}

fn lines(command: &[&str], outcome: &Outcome, found: &mut Found) -> Vec<String> {
    let mut lines: Vec<String> = outcome.stdout.lines().map(str::to_owned).collect();
    if command.contains(&"-S") {
        // Equal counts stand in no fixed order, and another name has another place.
        lines.sort();
        // A hundred rows are shown: which of the rarest are among them is left to chance.
        const FULL: usize = 100;
        let count = |line: &String| line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
        if lines.len() > FULL {
            let rarest = lines.iter().filter_map(count).min();
            lines.retain(|line| count(line).is_none() || count(line) != rarest);
        }
        for (name, reason) in [("sigreturn", SIGRETURN), ("> container ", RECORD)] {
            let before = lines.len();
            lines.retain(|line| !line.contains(name));
            if lines.len() != before {
                *found.excepted.entry(reason).or_default() += before - lines.len();
            }
        }
    }
    lines
}

/// Lines by the number of their event, if each has one of its own.
fn by_number(lines: &[String]) -> Option<BTreeMap<u64, &str>> {
    let mut numbered = BTreeMap::new();
    for line in lines {
        let number = match line.split_once("\"evt.num\":") {
            Some((_, rest)) => rest,
            None => line.trim_start(),
        };
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        if numbered.insert(number[..end].parse().ok()?, &line[..]).is_some() {
            return None;
        }
    }
    Some(numbered)
}

fn compare_lines(input: &str, command: &[&str], stock: &str, ours: &str, found: &mut Found) {
    if stock == ours {
        found.equal += 1;
        return;
    }
    let mut text = stock.to_owned();
    let mut reasons = Vec::new();
    for exception in EXCEPTIONS {
        let rewritten = (exception.rewrite)(&Line { input, command, ours, stock: &text });
        if rewritten != text {
            reasons.push(exception.reason);
            text = rewritten;
        }
    }
    if text == ours {
        reasons.into_iter().for_each(|reason| *found.excepted.entry(reason).or_default() += 1);
    } else {
        found.unexplained.push(format!("\n  ours  {ours}\n  stock {stock}"));
    }
}
