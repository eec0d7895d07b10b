//! [`Script`]: makes system calls and notes what their events must say; [`Script::verify`]
//! compares, parameter by parameter.

use crate::recorder::{Recording, gettid};
use capture_common::event_table::{EventCode, code};
use capture_common::raw_event::RawEvent;
use capture_common::syscall_table;
use std::time::{SystemTime, UNIX_EPOCH};

/// How far an event's time may be outside the time of its call: the offset between the probe's
/// clock and the wall clock is known to that.
const CLOCK_SLACK_NS: u64 = 2_000_000;

/// A value that a parameter must have.
#[derive(Clone, Debug)]
pub(crate) enum V {
    /// A number, in the parameter's own width.
    N(i64),
    /// Text.
    S(String),
    /// Bytes.
    B(Vec<u8>),
    /// A number above 0 that the caller cannot know.
    Positive,
    /// Something that the caller cannot know, of the right size.
    Unknown,
}

impl From<i64> for V {
    fn from(n: i64) -> Self {
        V::N(n)
    }
}

impl From<&str> for V {
    fn from(text: &str) -> Self {
        V::S(text.to_owned())
    }
}

impl From<Vec<u8>> for V {
    fn from(bytes: Vec<u8>) -> Self {
        V::B(bytes)
    }
}

impl V {
    fn fits(&self, stored: &[u8], fixed_size: Option<usize>) -> bool {
        if fixed_size.is_some_and(|size| size != stored.len()) {
            return false;
        }
        match self {
            V::N(n) => fixed_size.is_some() && n.to_le_bytes()[..stored.len()] == *stored,
            V::S(text) => stored.strip_suffix(b"\0") == Some(text.as_bytes()),
            V::B(bytes) => fixed_size.is_none() && bytes == stored,
            V::Positive => stored.iter().any(|b| *b != 0),
            V::Unknown => true,
        }
    }
}

/// Named values of one event.
pub(crate) type Values = Vec<(&'static str, V)>;

/// Names and values, each value converted.
#[macro_export]
macro_rules! values {
    ($($name:literal = $value:expr),* $(,)?) => {
        vec![$(($name, $crate::expect::V::from($value))),*] as $crate::expect::Values
    };
}

/// One call that was made, and what is known of it.
struct Made {
    what: String,
    enter: Option<(EventCode, Values)>,
    exit: Option<(EventCode, Values)>,
    from_ns: u64,
    to_ns: u64,
}

/// Calls of one thread, in order.
pub(crate) struct Script {
    tid: i64,
    made: Vec<Made>,
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

/// Makes a raw system call: its result, or -errno.
pub(crate) fn raw(nr: libc::c_long, args: &[u64]) -> i64 {
    let arg = |n: usize| args.get(n).copied().unwrap_or(0);
    // SAFETY: the tests pass addresses of live buffers of the size that the call uses, or
    // addresses that are unmapped on purpose, which the kernel refuses.
    let ret = unsafe { libc::syscall(nr, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    if ret == -1 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { ret }
}

impl Script {
    /// For the calls that the calling thread is going to make.
    pub(crate) fn new() -> Self {
        Script { tid: gettid(), made: Vec::new() }
    }

    /// The thread that makes the calls.
    pub(crate) fn tid(&self) -> i64 {
        self.tid
    }

    /// Makes a call; what its events must say is told by `enter` and `exit`, which follow.
    pub(crate) fn call(&mut self, nr: libc::c_long, args: &[u64]) -> i64 {
        let from_ns = now_ns();
        let ret = raw(nr, args);
        let call = syscall_table::x86_64(nr as u16).expect("a known call");
        self.made.push(Made {
            what: format!("{}({args:x?}) = {ret}", call.name),
            enter: None,
            exit: None,
            from_ns,
            to_ns: now_ns(),
        });
        if call.is_generic() {
            let id = i64::from(call.stored_generic_id());
            let values = vec![("ID", V::N(id)), ("nativeID", V::N(nr))];
            self.set_enter(call.enter, values.clone());
            self.set_exit(call.exit, [values, vec![("res", V::N(ret))]].concat());
        } else {
            self.set_enter(call.enter, vec![]);
            self.set_exit(call.exit, vec![]);
        }
        ret
    }

    /// Makes a call that should succeed.
    pub(crate) fn ok(&mut self, nr: libc::c_long, args: &[u64]) -> i64 {
        let ret = self.call(nr, args);
        assert!(ret >= 0, "{}", self.made.last().unwrap().what);
        ret
    }

    /// Makes a call that should fail with `errno`; returns -errno.
    pub(crate) fn fails(&mut self, errno: i32, nr: libc::c_long, args: &[u64]) -> i64 {
        let ret = self.call(nr, args);
        assert_eq!(ret, -i64::from(errno), "{}", self.made.last().unwrap().what);
        ret
    }

    fn last(&mut self) -> &mut Made {
        self.made.last_mut().expect("a call was made")
    }

    fn set_enter(&mut self, code: EventCode, values: Values) {
        self.last().enter = Some((code, values));
    }

    fn set_exit(&mut self, code: EventCode, values: Values) {
        self.last().exit = Some((code, values));
    }

    /// All parameters of the last call's enter.
    pub(crate) fn enter(&mut self, values: Values) -> &mut Self {
        let code = self.last().enter.as_ref().expect("has an enter").0;
        self.set_enter(code, values);
        self
    }

    /// All parameters of the last call's exit.
    pub(crate) fn exit(&mut self, values: Values) -> &mut Self {
        let code = self.last().exit.as_ref().expect("has an exit").0;
        self.set_exit(code, values);
        self
    }

    /// Finds the events of every call and compares them; all differences in one panic.
    pub(crate) fn verify(&self, recording: &Recording) {
        recording.assert_whole();
        let events = recording.of(self.tid);
        let mut problems = Vec::new();
        let mut at = 0;
        for made in &self.made {
            match made.find(&events, at) {
                Some(found) => {
                    made.compare(&events, found, &mut problems);
                    at = found + 1;
                }
                None => problems.push(format!("{}: no enter event", made.what)),
            }
        }
        assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
    }
}

impl Made {
    /// The enter event: the first one with the right values, else the first of the right code.
    fn find(&self, events: &[RawEvent<'_>], from: usize) -> Option<usize> {
        let (code, values) = self.enter.as_ref()?;
        let of_code = |i: &usize| events[*i].code == *code;
        let mut candidates = (from..events.len()).filter(of_code);
        candidates.clone().find(|i| compare(&events[*i], values).is_empty()).or_else(|| candidates.next())
    }

    fn compare(&self, events: &[RawEvent<'_>], at: usize, problems: &mut Vec<String>) {
        let enter = &events[at];
        let mut add = |side: &str, list: Vec<String>| {
            problems.extend(list.into_iter().map(|p| format!("{} {side}: {p}", self.what)));
        };
        if let Some((_, values)) = &self.enter {
            add(">", compare(enter, values));
        }
        let Some((code, values)) = &self.exit else { return };
        match events.get(at + 1) {
            Some(exit) if exit.code == *code => {
                add("<", compare(exit, values));
                if enter.ts_ns + CLOCK_SLACK_NS < self.from_ns || exit.ts_ns > self.to_ns + CLOCK_SLACK_NS {
                    add(
                        "time",
                        vec![format!(
                            "{}..{} not in {}..{}",
                            enter.ts_ns, exit.ts_ns, self.from_ns, self.to_ns
                        )],
                    );
                }
            }
            other => add("<", vec![format!("next event is {:?}, not {code:?}", other.map(|e| e.code))]),
        }
    }
}

/// Differences of an event from what is expected: wrong, missing and unmentioned parameters.
pub(crate) fn compare(event: &RawEvent<'_>, expected: &[(&'static str, V)]) -> Vec<String> {
    let info = event.info().expect("a known event");
    // procexit is one event with the number of an enter.
    let is_enter = event.code.is_enter() && event.code != code::PROCEXIT_1_E;
    let params = if is_enter { info.params_2022.unwrap_or(info.params) } else { info.params };
    let mut problems = Vec::new();
    if event.nparams() != params.len() {
        problems.push(format!("{} parameters instead of {}", event.nparams(), params.len()));
    }
    for (name, _) in expected {
        if !params.iter().any(|p| p.name == *name) {
            problems.push(format!("the event has no parameter {name}"));
        }
    }
    for (index, param) in params.iter().enumerate() {
        let stored = event.param(index).unwrap_or(&[]);
        match expected.iter().find(|(name, _)| *name == param.name) {
            None => problems.push(format!("{} is not compared", param.name)),
            Some((_, value)) if value.fits(stored, param.ty.fixed_size()) => {}
            Some((_, value)) => problems.push(format!(
                "{} is {} instead of {value:x?}",
                param.name,
                if param.ty.fixed_size().is_some() {
                    format!("{:?}", capture_common::raw_event::read_int(stored))
                } else {
                    format!("{stored:x?} {:?}", String::from_utf8_lossy(stored))
                }
            )),
        }
    }
    problems
}

/// Address of a value, as a system call takes it.
pub(crate) fn ptr<T: ?Sized>(value: &T) -> u64 {
    std::ptr::from_ref(value).cast::<u8>() as u64
}

/// Address of a value that the kernel is going to write.
pub(crate) fn mut_ptr<T: ?Sized>(value: &mut T) -> u64 {
    std::ptr::from_mut(value).cast::<u8>() as u64
}

/// A path as C has it.
pub(crate) fn c(text: impl Into<String>) -> std::ffi::CString {
    std::ffi::CString::new(text.into()).expect("no NUL inside")
}

/// Address of a C string.
pub(crate) fn cptr(text: &std::ffi::CStr) -> u64 {
    text.as_ptr() as u64
}

/// An address that no process has mapped.
pub(crate) const BAD: u64 = 0x10;
/// `AT_FDCWD` as a register.
pub(crate) const CWD: u64 = libc::AT_FDCWD as u32 as u64;
