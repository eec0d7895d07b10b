//! What differs between the recording and ours, with reasons.

use std::fmt;

/// A parameter whose values differ.
pub(crate) struct Difference<'a> {
    pub(crate) call: &'a str,
    pub(crate) is_exit: bool,
    pub(crate) param: &'a str,
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", if self.is_exit { '<' } else { '>' }, self.call, self.param)
    }
}

/// A parameter that may differ. Empty lists stand for any.
pub(crate) struct ParamRow {
    calls: &'static [&'static str],
    params: &'static [&'static str],
    /// Whether these two values may stand against each other: recorded, ours.
    fits: fn(&str, &str) -> bool,
    /// Whether the values may be equal in a run.
    pub(crate) is_race: bool,
    pub(crate) reason: &'static str,
}

impl ParamRow {
    pub(crate) fn fits(&self, difference: &Difference<'_>, theirs: &str, ours: &str) -> bool {
        let within = |list: &[&str], word| list.is_empty() || list.contains(&word);
        within(self.calls, difference.call)
            && within(self.params, difference.param)
            && (self.fits)(theirs, ours)
    }
}

/// An event that may stand on one side alone.
pub(crate) struct EventRow {
    pub(crate) call: &'static str,
    pub(crate) reason: &'static str,
}

/// What the other schema lacks.
const NO_PARAM: &str = "(no such parameter)";
const NULL_TEXTS: &[&str] = &[r"(NULL)\x00", r"<NA>\x00"];

/// An end of a connection that is all zeros stands first.
fn has_empty_source(tuple: &str) -> bool {
    let zeros = |n: usize| r"\x00".repeat(n);
    tuple.starts_with(&format!(r"\x02{}", zeros(6))) || tuple.starts_with(&format!(r"\n{}", zeros(18)))
}

/// The low 8 bits of a number that has more.
fn is_cut_to_8_bits(theirs: &str, ours: &str) -> bool {
    let number = |text: &str| text.parse::<i64>().ok();
    number(theirs).zip(number(ours)).is_some_and(|(theirs, ours)| theirs > 255 && theirs & 255 == ours)
}

macro_rules! rows {
    ($($calls:expr, $params:expr, $fits:expr, $race:literal, $reason:literal;)*) => {
        &[$(ParamRow { calls: $calls, params: $params, fits: $fits, is_race: $race, reason: $reason },)*]
    };
}

/// Parameters: calls, parameters, values, whether it is a race that may go either way, reason.
pub(crate) const PARAMS: &[ParamRow] = rows! {
    &["accept"], &["flags"], |theirs, _| theirs == "0", false,
        "accept4: the recording has 0 at the enter, ours what the caller gave";
    &["openat"], &["name"], |theirs, _| theirs == r"/bin/sh\x00", true,
        "the exit has the path of the file behind symbolic links, where /bin/sh is one";
    &["connect"], &["res", "tuple"], |theirs, ours| ours == "-111" && theirs == "0" || ours.is_empty() && theirs.contains(r"\x90\x1f"), false,
        "a web server listened on 127.0.0.1:8080 there";
    &["connect"], &["tuple"], |theirs, ours| has_empty_source(theirs) && ours.is_empty(), false,
        "a socket that was disconnected has no tuple; the recording has ends of zeros";
    &["recvfrom"], &["tuple"], |theirs, _| has_empty_source(theirs), false,
        "the sender is what the call returned, and nothing is stored without; the recording has ends of zeros";
    &["bind", "sendto", "recvfrom"], &["addr", "tuple"], |_, ours| ours.contains("@lab-abstract"), false,
        "abstract names begin with @ here, as in /proc/net/unix; the recording lacks the NUL, or the name";
    &["timerfd_create"], &["clockid"], |theirs, ours| (theirs, ours) == ("0", "1"), false,
        "the recording has no clock";
    &["inotify_init", "signalfd"], &["flags"], is_cut_to_8_bits, false,
        "the form of 2022, which sysdig 0.29.3 reads, has 8 bits for flags";
    &["signalfd"], &["mask"], |theirs, ours| (theirs, ours) == ("0", "512"), false,
        "the recording has no mask";
    &["read"], &["data"], |theirs, _| theirs.starts_with(r"\n\x00\x00\x00"), false,
        "what a signalfd delivers holds the sender's process id";
    &["read"], &["data"], |_, ours| ours.starts_with(&r"\x00".repeat(80)), false,
        "big.bin holds other bytes";
    &["semget"], &["semflg"], |theirs, ours| (theirs, ours) == ("8192", "8576"), false,
        "permission bits are kept here, as by sysdig 0.29.3's driver";
    &["semget"], &["res"], |_, ours| !ours.starts_with('-'), true,
        "ids of System V objects are the machine's";
    &["pipe", "dup", "bpf"], &[], |_, ours| ours == NO_PARAM, false,
        "written in the form of 2022, which sysdig 0.29.3 reads and which has fewer parameters";
    &["close_range", "setregid"], &["ID"], |_, ours| ours == NO_PARAM, false,
        "a generic event there, one with all its parameters here";
    &["getdents64"], &["res"], |_, ours| !ours.starts_with('-'), false,
        "the folder held other files";
    &[], &[], |theirs, ours| theirs.is_empty() && NULL_TEXTS.contains(&ours), false,
        "no text: an empty value there, the words of sysdig 0.29.3's driver here";
    &["io_uring_setup"], &["features"], |_, _| true, true,
        "features of a newer kernel";
    &["vfork"], &["flags"], |theirs, ours| theirs == "0" && ours != "0", false,
        "vfork in terms of clone, from which readers know that memory is shared";
    &["clone3"],
    &["flags"],
    |theirs, ours| theirs == "0" && ours != "0",
    true,
    "read from the caller's stack when the thread begins, which the caller has used again by then; ours are those of the enter";
    &["userfaultfd"], &["flags"], |theirs, ours| (theirs, ours) == ("524288", "4096"), false,
        "the table says file flags, whose stored form this is; the recording has the native one";
    &["openat", "read", "close"], &["fd"], |_, ours| !ours.starts_with('-'), true,
        "three threads open a file at the same time: who gets which number is a race";
    &["execve"], &["pgid"], |_, ours| ours == "0", false,
        "the group was made outside of the pid namespace, where it has no number; the recording has the host's";
};

/// Calls that may be made or not.
pub(crate) const EVENTS: &[EventRow] =
    &[EventRow { call: "futex", reason: "a thread that has ended is not waited for: a race" }];
