//! Holds what `capture` prints of a file against what stock sysdig prints of it, line by line.
//!
//! Both print the same events in the same order, so the lines are compared one to one, event
//! numbers aside (stock does not count events that are younger than it). A line may differ only
//! as a row of [`EXCEPTIONS`] says: a row rewrites our line into the one that stock prints, and the
//! result must be equal byte for byte. Whatever is left is reported as unexplained.

use capture_common::event_table::{EventCode, code};
use capture_common::raw_event::FLAG_UNCOUNTED;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io::{self, BufRead};

/// Last event code that sysdig 0.29.3 knows; it skips events with a higher one.
pub const LAST_STOCK_CODE: u16 = 335;
/// Differences that are kept word for word; more are only counted.
const DIFFERENCES_KEPT: usize = 12;

/// What decides how the event behind a line is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    /// Event code.
    pub code: u16,
    /// First parameter of a generic event: its call in the numbering of capture files.
    pub call: u16,
}

/// The events of a capture file that is not compressed, in order, and their flags: a walk over its
/// blocks that shares no code with the reader under test.
///
/// # Panics
/// Where the file is not a chain of whole blocks.
pub fn event_blocks(file: &[u8]) -> Vec<(EventKind, u32)> {
    /// Where the event begins in a block with flags.
    const FLAGGED: usize = 14;
    let mut events = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let u16_at = |offset: usize| u16::from_le_bytes([file[at + offset], file[at + offset + 1]]);
        let u32_at = |offset: usize| u32::from(u16_at(offset)) | u32::from(u16_at(offset + 2)) << 16;
        let (block, len_bytes) = (u32_at(0), u32_at(4) as usize);
        assert!(len_bytes >= 12 && len_bytes % 4 == 0, "block of {len_bytes} bytes at {at}");
        assert_eq!(u32_at(len_bytes - 4) as usize, len_bytes, "trailer of the block at {at}");
        // The CPU, and in two of them flags, come before the event.
        let event = match block {
            0x216 | 0x221 => Some(10),
            0x217 | 0x222 => Some(FLAGGED),
            _ => None,
        };
        if let Some(event) = event {
            let code = u16_at(event + 20);
            let is_generic = code == code::GENERIC_E.0 || code == code::GENERIC_X.0;
            let params = event + 26 + 2 * u32_at(event + 22) as usize;
            let flags = if event == FLAGGED { u32_at(10) } else { 0 };
            events.push((EventKind { code, call: if is_generic { u16_at(params) } else { 0 } }, flags));
        }
        at += len_bytes;
    }
    events
}

/// Those that have a number: event `n` is the `n`th, from 1 on.
pub fn numbered_events(blocks: &[(EventKind, u32)]) -> Vec<EventKind> {
    let has_number = |flags: u32| flags & FLAG_UNCOUNTED == 0;
    blocks.iter().filter(|(_, flags)| has_number(*flags)).map(|(kind, _)| *kind).collect()
}

/// One way in which stock's line may differ from ours.
#[derive(Debug)]
pub struct Exception {
    /// Short name, for the totals.
    pub name: &'static str,
    /// Why the lines differ, and why ours stays as it is.
    pub reason: &'static str,
    /// Our line as stock prints it, whose line is given too; `None` where the row says nothing
    /// about this line.
    rewrite: Rewrite,
}

type Rewrite = fn(EventKind, &[u8], &[u8]) -> Option<Vec<u8>>;

/// All the ways.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        name: "generic result",
        reason: "our own container keeps the result of calls without a type of their own, which has no \
                 place in the events of sysdig",
        rewrite: |kind, line, _| without_generic_result(kind, line).map(<[u8]>::to_vec),
    },
    Exception {
        name: "young call",
        reason: "calls younger than sysdig 0.29.3 are stored with call number 0, since it crashes on \
                 numbers beyond its table; the name comes from the native number behind it",
        rewrite: |kind, line, _| {
            let is_young = is_generic(kind) && kind.call == 0;
            if is_young { with_event_type(line, |_| Some(b"<unknown>")) } else { None }
        },
    },
    Exception {
        name: "rt_sigreturn",
        reason: "sysdig 0.29.3 calls rt_sigreturn by the name of the older call whose number it shares",
        rewrite: |kind, line, _| {
            const CALL: u16 = 298;
            let is_it = is_generic(kind) && kind.call == CALL;
            if !is_it {
                return None;
            }
            with_event_type(line, |ours| (ours == b"rt_sigreturn").then_some(b"sigreturn"))
        },
    },
    Exception {
        name: "unread path",
        reason: "an open's path on a page that the caller had not touched cannot be read at the enter; \
                 its parameter is absent then, and sysdig 0.29.3 prints a value of another one in its place",
        rewrite: |kind, ours, stocks| {
            let name = |line: &[u8]| line.windows(6).position(|w| w == b" name=").map(|at| at + 6);
            let (start, flags) = (name(ours)?, |line: &[u8]| line.windows(7).position(|w| w == b" flags="));
            if !OPEN_ENTERS.contains(&kind.code) || !ours[start..].starts_with(b"<NA> ") {
                return None;
            }
            let shown = &stocks[name(stocks)?..flags(stocks)?];
            Some([&ours[..start], shown, &ours[flags(ours)?..]].concat())
        },
    },
    Exception {
        name: "untracked fd",
        reason: "sysdig 0.29.3 does not follow the calls that make this kind of fd (epoll_create1, bpf, \
                 memfd_create, pidfd_open, ...), so it shows the bare number, or what the number was before",
        rewrite: untracked_fds,
    },
    Exception {
        name: "creator's name",
        reason: "a child that has ended, or become another program unseen, before its creator's call returns: \
                 sysdig 0.29.3 makes it anew with its creator's name and fds, until it ends or becomes \
                 another program",
        rewrite: made_anew,
    },
];

/// Enters that carry the path to open, and flags behind it.
const OPEN_ENTERS: &[u16] = &[code::SYSCALL_OPEN_E.0, code::SYSCALL_OPENAT_2_E.0, code::SYSCALL_OPENAT2_E.0];

/// The row of [`EXCEPTIONS`] that reaches further than its line.
const MADE_ANEW: usize = EXCEPTIONS.len() - 1;

/// The line of a generic call's exit up to the result that only our own container has.
pub fn without_generic_result(kind: EventKind, line: &[u8]) -> Option<&[u8]> {
    if kind.code != code::GENERIC_X.0 {
        return None;
    }
    let body = line.strip_suffix(b" ")?;
    let at = body.iter().rposition(|&b| b == b' ')? + 1;
    body[at..].starts_with(b"res=").then(|| &line[..at])
}

/// Letters of the kinds of fds whose making sysdig 0.29.3 does not follow: eventpoll, bpf, memfd,
/// pidfd, io_uring.
const UNTRACKED: &[u8] = b"lbmPr";

/// Such fds without what is known of them, or with what stock shows in its place.
fn untracked_fds(_: EventKind, ours: &[u8], stocks: &[u8]) -> Option<Vec<u8>> {
    // `(<l>name) `: up to the parenthesis that ends the argument.
    let resolved_len = |text: &[u8]| text.windows(2).position(|w| w == b") ").map(|at| at + 1);
    let mut line = Vec::with_capacity(ours.len());
    let mut at = 0;
    while at < ours.len() {
        let rest = &ours[at..];
        let is_fd = matches!(rest, [b'(', b'<', kind, b'>', ..] if UNTRACKED.contains(kind))
            && line.last().is_some_and(u8::is_ascii_digit);
        if let (true, Some(len_bytes)) = (is_fd, resolved_len(rest)) {
            let stocks = stocks.get(line.len()..).unwrap_or_default();
            if stocks.starts_with(b"(<") {
                line.extend_from_slice(&stocks[..resolved_len(stocks)?]);
            }
            at += len_bytes;
        } else {
            line.push(ours[at]);
            at += 1;
        }
    }
    (line != ours).then_some(line)
}

/// The exit of a clone in its creator: stock shows its result under the creator's name.
fn made_anew(kind: EventKind, ours: &[u8], stocks: &[u8]) -> Option<Vec<u8>> {
    cloned_tid(kind, ours)?;
    let start = find(ours, b" res=")? + b" res=".len();
    let digits = ours[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    let end = start + digits;
    let rest = match ours.get(end)? {
        b' ' => end,
        b'(' => end + find(&ours[end..], b") ")? + 1,
        _ => return None,
    };
    let comm = &ours[find(ours, b" comm=")? + b" comm=".len()..];
    let comm = &comm[..find(comm, b" cgroups=")?];
    let is_shown = stocks.get(end) == Some(&b'(');
    is_shown.then(|| [&ours[..end], b"(", comm, b")", &ours[rest..]].concat())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|w| w == part)
}

/// The thread that a clone made, if this is the exit of one in its creator.
fn cloned_tid(kind: EventKind, line: &[u8]) -> Option<u64> {
    let event = EventCode(kind.code);
    let makes_threads = matches!(event.info()?.name, "clone" | "clone3" | "fork" | "vfork");
    if !makes_threads || event.is_enter() {
        return None;
    }
    let result = &line[find(line, b" res=")? + b" res=".len()..];
    let digits = result.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&result[..digits]).ok()?.parse().ok().filter(|&tid| tid > 0)
}

/// Where the name of a line's thread begins and ends, and the thread.
fn thread_of(line: &[u8]) -> Option<(usize, usize, u64)> {
    let start = moment(line).len() + 1;
    let close = start + line.get(start..)?.windows(4).position(|w| w == b") > " || w == b") < ")?;
    let open = line[..close].iter().rposition(|&b| b == b'(')?;
    let tid = std::str::from_utf8(&line[open + 1..close]).ok()?.parse().ok()?;
    Some((start, open.checked_sub(1)?, tid))
}

/// Threads that stock made anew, with nothing right about them but their number.
#[derive(Debug, Default)]
struct MadeAnew(BTreeSet<u64>);

impl MadeAnew {
    /// Forgets a thread that is told anew by this event, or is no more.
    fn see(&mut self, kind: EventKind, line: &[u8]) {
        let ends = kind.code == code::PROCEXIT_1_E.0
            || (kind.code == code::SYSCALL_EXECVE_19_X.0 && find(line, b" res=0 ").is_some());
        if ends
            && !self.0.is_empty()
            && let Some((_, _, tid)) = thread_of(line)
        {
            self.0.remove(&tid);
        }
    }

    /// The line without what depends on these threads: their names, and the names of their fds.
    fn without(&self, line: &[u8]) -> Vec<u8> {
        let own = thread_of(line).filter(|(_, _, tid)| self.0.contains(tid));
        let mut text = match own {
            Some((start, end, _)) => [&line[..start], &line[end..]].concat(),
            None => line.to_vec(),
        };
        let marks = self.0.iter().map(|tid| format!("={tid}(").into_bytes());
        for mark in marks.chain(own.is_some().then(|| b"(<".to_vec())) {
            while let Some(at) = find(&text, &mark) {
                let open = at + find(&mark, b"(").unwrap_or(0);
                let Some(len_bytes) = find(&text[open..], b") ") else { break };
                text.drain(open..=open + len_bytes);
            }
        }
        text
    }
}

fn is_generic(kind: EventKind) -> bool {
    kind.code == code::GENERIC_E.0 || kind.code == code::GENERIC_X.0
}

/// The line of an event without arguments under another type.
fn with_event_type(line: &[u8], rename: fn(&[u8]) -> Option<&'static [u8]>) -> Option<Vec<u8>> {
    let body = line.strip_suffix(b" ")?;
    let start = body.iter().rposition(|&b| b == b' ')? + 1;
    let name = rename(&body[start..])?;
    Some([&body[..start], name, b" "].concat())
}

/// Two lines that differ without a reason; an empty one where only the other side has a line.
#[derive(Debug)]
pub struct Difference {
    /// Our line, without its number.
    pub ours: String,
    /// Stock's line, without its number.
    pub stocks: String,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Pairs of lines that were compared.
    pub compared: u64,
    /// Our lines of events that stock skips.
    pub newer: u64,
    /// Lines that differ as a row of [`EXCEPTIONS`] says, by row.
    pub explained: [u64; EXCEPTIONS.len()],
    /// Lines that differ otherwise.
    pub unexplained: u64,
    /// The first of them.
    pub first: Vec<Difference>,
    made_anew: MadeAnew,
}

impl Comparison {
    fn differ(&mut self, ours: &[u8], stocks: &[u8]) {
        self.unexplained += 1;
        if self.first.len() < DIFFERENCES_KEPT {
            let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
            self.first.push(Difference { ours: text(ours), stocks: text(stocks) });
        }
    }

    fn pair(&mut self, kind: EventKind, ours: &[u8], stocks: &[u8]) {
        self.compared += 1;
        if ours != stocks {
            self.explain(kind, ours, stocks);
        }
        self.made_anew.see(kind, ours);
    }

    fn explain(&mut self, kind: EventKind, ours: &[u8], stocks: &[u8]) {
        let mut line = ours.to_vec();
        let mut used = Vec::new();
        for (row, exception) in EXCEPTIONS.iter().enumerate() {
            if let Some(rewritten) = (exception.rewrite)(kind, &line, stocks) {
                line = rewritten;
                used.push(row);
            }
        }
        if line == stocks {
            if used.contains(&MADE_ANEW) {
                self.made_anew.0.extend(cloned_tid(kind, ours));
            }
            used.into_iter().for_each(|row| self.explained[row] += 1);
        } else if self.made_anew.without(&line) == self.made_anew.without(stocks) {
            used.retain(|&row| row != MADE_ANEW);
            used.into_iter().chain([MADE_ANEW]).for_each(|row| self.explained[row] += 1);
        } else {
            self.differ(ours, stocks);
        }
    }
}

/// Number and rest of a line, without its end.
fn split_number(line: &[u8]) -> Option<(u64, &[u8])> {
    let at = line.iter().position(|&b| b == b' ')?;
    let number = std::str::from_utf8(&line[..at]).ok()?.parse().ok()?;
    Some((number, &line[at + 1..]))
}

/// Time and CPU of a line: what tells which side lacks one.
fn moment(line: &[u8]) -> &[u8] {
    let end = line.iter().enumerate().filter(|&(_, &b)| b == b' ').nth(1).map_or(line.len(), |(at, _)| at);
    &line[..end]
}

/// The lines of one side, the numbers taken off.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line of an event that `wanted` takes, by number; `None` at the end.
    fn next(&mut self, mut wanted: impl FnMut(u64) -> bool) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            self.line.clear();
            if self.input.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let Some((number, rest)) = split_number(line) else {
                let text = String::from_utf8_lossy(line);
                return Err(io::Error::other(format!("a line without an event number: {text}")));
            };
            if wanted(number) {
                return Ok(Some((number, rest.to_vec())));
            }
        }
    }
}

/// Compares the lines that `capture` and stock sysdig print of one file with these events.
///
/// # Errors
/// Where a side cannot be read or prints something else than events.
pub fn compare(ours: impl BufRead, stock: impl BufRead, events: &[EventKind]) -> io::Result<Comparison> {
    let mut result = Comparison::default();
    let mut newer = 0;
    let kind_of = |number: u64| events[number as usize - 1];
    let mut ours = Lines { input: ours, line: Vec::new() };
    let mut stock = Lines { input: stock, line: Vec::new() };
    let mut known = |number: u64| {
        let is_known = kind_of(number).code <= LAST_STOCK_CODE;
        newer += u64::from(!is_known);
        is_known
    };
    let mut left = ours.next(&mut known)?;
    let mut right = stock.next(|_| true)?;
    loop {
        let order = match (&left, &right) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((_, l)), Some((_, r))) => moment(l).cmp(moment(r)),
        };
        match (order, &left, &right) {
            (Ordering::Equal, Some((number, l)), Some((_, r))) => result.pair(kind_of(*number), l, r),
            (Ordering::Less, Some((_, l)), _) => result.differ(l, b""),
            (_, _, Some((_, r))) => result.differ(b"", r),
            (_, _, None) => {}
        }
        if order.is_le() {
            left = ours.next(&mut known)?;
        }
        if order.is_ge() {
            right = stock.next(|_| true)?;
        }
    }
    result.newer = newer;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_X: EventKind = EventKind { code: 7, call: 0 };

    fn check(kinds: &[EventKind], ours: &str, stocks: &str) -> Comparison {
        compare(ours.as_bytes(), stocks.as_bytes(), kinds).expect("reads")
    }

    #[test]
    fn equal_but_for_numbers() {
        let newer = EventKind { code: LAST_STOCK_CODE + 1, call: 0 };
        let ours = "1 12:00:00.1 0 a (5) > prctl \n2 12:00:00.2 0 a (5) < read res=1 data=x \n";
        let result = check(&[newer, READ_X], ours, "1 12:00:00.2 0 a (5) < read res=1 data=x \n");
        assert_eq!((result.compared, result.newer, result.unexplained), (1, 1, 0));
    }

    #[test]
    fn exceptions_are_narrow() {
        let kind = |code| EventKind { code, call: 0 };
        // Kind, our text and stock's, whether a row explains the difference.
        for (kind, ours, stocks, explained) in [
            (kind(0), "> rseq ", "> <unknown> ", true),
            (READ_X, "> rseq ", "> <unknown> ", false),
            (EventKind { code: 1, call: 107 }, "< rt_sigaction res=0 ", "< rt_sigaction ", true),
            (READ_X, "< read res=0 ", "< read ", false),
            (kind(306), "> openat name=<NA> flags=1 ", "> openat name=-100 flags=1 ", true),
            (kind(306), "> openat name=/x flags=1 ", "> openat name=-100 flags=1 ", false),
            (kind(306), "> openat name=<NA> flags=1 ", "> openat name=-100 flags=2 ", false),
        ] {
            let line = |text: &str| format!("1 12:00:00.1 0 a (5) {text}\n");
            let result = check(&[kind], &line(ours), &line(stocks));
            let counts = (result.explained.iter().sum::<u64>(), result.unexplained);
            assert_eq!(counts, if explained { (1, 0) } else { (0, 1) }, "{ours}");
        }
    }

    #[test]
    fn fds_that_stock_does_not_follow() {
        let fcntl = EventKind { code: 150, call: 0 };
        let line = |fd: &str, cmd: u8| format!("1 12:00:00.1 0 a (5) > fcntl fd=3{fd} cmd={cmd}(F_GETFL) \n");
        for (ours, cmd, stocks, unexplained) in [
            ("(<l>)", 4, "", 0),
            ("(<l>)", 4, "(<f>/old (1))", 0),
            ("(<m>memfd:a b)", 4, "", 0),
            ("(<l>)", 5, "", 1),
            ("(<f>/new)", 4, "", 1),
        ] {
            let result = check(&[fcntl], &line(ours, cmd), &line(stocks, 4));
            assert_eq!(result.unexplained, unexplained, "{ours} {stocks}: {:?}", result.first);
        }
    }

    #[test]
    fn children_that_stock_makes_anew() {
        let kinds = [335, 6, 186, 6].map(|code| EventKind { code, call: 0 });
        let lines = |result: &str, comm: &str, fd: &str, later: &str| {
            format!(
                "1 12:00:00.1 0 a b (5) < clone3 res=7{result} comm=a b cgroups=x=/ \n\
                 2 12:00:00.2 0 {comm} (7) > read fd=1{fd} size=1 \n\
                 3 12:00:00.3 0 {comm} (7) > procexit status=0 \n\
                 4 12:00:00.4 0 {later} (7) > read fd=1 size=1 \n"
            )
        };
        let ours = lines("(new)", "new", "", "x");
        for (stocks, unexplained) in [
            (lines("(a b)", "a b", "(<f>/x)", "x"), 0),
            (lines("(a b)", "a b", "(<f>/x)", "y"), 1),
            (lines("(else)", "new", "", "x"), 1),
            (lines("(new)", "a b", "", "x"), 2),
        ] {
            let result = check(&kinds, &ours, &stocks);
            assert_eq!(result.unexplained, unexplained, "{stocks}: {:?}", result.first);
        }
        let gone = check(
            &kinds[..1],
            "1 t 0 a (5) < clone res=7 comm=a cgroups= \n",
            "1 t 0 a (5) < clone res=7(a) comm=a cgroups= \n",
        );
        assert_eq!(gone.unexplained, 0);
    }

    #[test]
    fn a_missing_line_is_one_difference() {
        let ours = "1 12:00:00.1 0 a (5) > read fd=1 size=1 \n2 12:00:00.2 0 a (5) < read res=1 data=x \n";
        let enter = EventKind { code: 6, call: 0 };
        let result = check(&[enter, READ_X], ours, "1 12:00:00.2 0 a (5) < read res=1 data=x \n");
        assert_eq!((result.compared, result.unexplained), (1, 1));
        assert_eq!(result.first[0].stocks, "");
    }
}
