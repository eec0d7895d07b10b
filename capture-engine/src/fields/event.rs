//! `evt.*` and `syscall.*` fields that tell what happened.

use super::category::{self, category_name};
use super::{Ctx, Field, text, value};
use crate::event_kinds::EventKind;
use crate::render::path::push_absolute;
use crate::render::text::until_nul;
use crate::render::{event_name, push_arg, push_args};
use crate::state::fd::FdInfo;
use crate::view::EventView;
use capture_common::event_table::{ParamExtra, errno_name};
use capture_common::raw_event::{read_int, read_uint};
use capture_common::{Category, EventFlags, EventInfo, ParamType};
use filter_lang::FieldType::{Bool, Bytes, Int, Keyword, Str, Uint};
use filter_lang::{ArgRule, Value};

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("evt.dir", Keyword, "> for enter events, < for exit events", "evt.dir=<",
        |c| Some(Value::text(if c.view.raw.code.is_enter() { ">" } else { "<" }))),
    value("evt.type", Keyword, "name of the event: the system call, or switch, signaldeliver, procexit and so on", "evt.type in (open,openat)",
        |c| Some(Value::text(event_name(c.view)))),
    value("evt.type.is", Uint, "1 if the event has the name given after the dot, else 0", "evt.type.is.open=1",
        |c| Some(Value::Uint(u64::from(c.arg? == event_name(c.view))))).arg(ArgRule::Required),
    value("syscall.type", Keyword, "name of the system call; no value on other events", "syscall.type=read",
        |c| is_syscall(c.view).then(|| Value::text(event_name(c.view)))),
    value("evt.category", Str, "area of the event: file, net, IPC, memory, process, sleep, system, signal, user, time, wait, scheduler; for reads and writes by the type of the fd", "evt.category=net",
        |c| Some(Value::text(category_name(category::of(c.view)?)))),
    value("evt.cpu", Int, "number of the CPU that the event happened on", "evt.cpu=0",
        |c| Some(Value::Int(i64::from(c.view.raw.cpu)))),
    text("evt.args", "all arguments as name=value", "evt.args contains /etc",
        |c, out| { push_args(out, c.view, c.options); true }).rendered(),
    text("evt.arg", "one argument in its most telling form, by name or by position: evt.arg.fd, evt.arg[0]", "evt.arg.res=ENOENT",
        |c, out| arg_index(c).is_some_and(|at| push_arg(out, c.view, at, c.options))).arg(ArgRule::Required).rendered(),
    value("evt.rawarg", Str, "one argument as the number or text that was stored", "evt.rawarg.res<0",
        raw_arg).arg(ArgRule::Required),
    text("evt.info", "the arguments", "-p '%evt.info'",
        |c, out| { push_args(out, c.view, c.options); true }).rendered(),
    value("evt.buffer", Bytes, "the data that was read, written, sent or received", "evt.buffer contains GET",
        |c| Some(Value::Bytes(c.view.raw.param(EventKind::get(c.view.raw.code)?.data_param()?)?))),
    value("evt.buflen", Uint, "number of bytes that a successful call on an fd moved", "evt.buflen>4096",
        |c| Some(Value::Uint(moved_bytes(c.view)?))),
    text("evt.res", "SUCCESS or the name of the error; exits only", "evt.res=ENOENT",
        |c, out| match result(c.view) {
            Some(res) if res >= 0 => { out.extend_from_slice(b"SUCCESS"); true }
            Some(res) => { push_error(out, res); true }
            None => false,
        }),
    value("evt.rawres", Int, "return value as a number; exits only", "evt.rawres=-2",
        |c| Some(Value::Int(result(c.view)?))),
    value("evt.failed", Bool, "whether the call failed; a restart (ERESTARTSYS and its like) is no failure", "evt.failed=true",
        |c| Some(Value::Bool(has_failed(c.view)))),
    value("evt.is_io", Bool, "whether the call reads from or writes to an fd", "evt.is_io=true",
        |c| Some(Value::Bool(has(c.view, READS_OR_WRITES)))),
    value("evt.is_io_read", Bool, "whether the call reads from an fd", "evt.is_io_read=true",
        |c| Some(Value::Bool(has(c.view, EventFlags::READS_FROM_FD)))),
    value("evt.is_io_write", Bool, "whether the call writes to an fd", "evt.is_io_write=true",
        |c| Some(Value::Bool(has(c.view, EventFlags::WRITES_TO_FD)))),
    value("evt.io_dir", Str, "read or write; no value on other events", "evt.io_dir=write",
        // copy_file_range does both and counts as a write.
        |c| if has(c.view, EventFlags::WRITES_TO_FD) { Some(Value::text("write")) }
            else if has(c.view, EventFlags::READS_FROM_FD) { Some(Value::text("read")) }
            else { None }),
    value("evt.is_wait", Bool, "whether the call waits: poll, select, sleep", "evt.is_wait=true",
        |c| Some(Value::Bool(has(c.view, EventFlags::WAITS)))),
    value("evt.is_syslog", Bool, "whether the event writes to /dev/log", "evt.is_syslog=true",
        |c| Some(Value::Bool(has(c.view, EventFlags::WRITES_TO_FD)
            && c.view.fd().is_some_and(is_log)))),
    text("evt.abspath", "absolute path of a call that takes a directory fd, on exits; evt.abspath.src and evt.abspath.dst where there are two", "evt.abspath.src=/etc/passwd",
        absolute_path).arg(ArgRule::Optional),
    value("evt.is_open_read", Bool, "whether an open asks for reading", "evt.is_open_read=true and fd.name startswith /etc",
        |c| Some(Value::Bool(open_flags(c.view).is_some_and(|f| f & O_RDONLY != 0)))),
    value("evt.is_open_write", Bool, "whether an open asks for writing", "evt.is_open_write=true",
        |c| Some(Value::Bool(open_flags(c.view).is_some_and(|f| f & O_WRONLY != 0)))),
    value("evt.is_open_exec", Bool, "whether an open creates a file that may be executed", "evt.is_open_exec=true",
        |c| Some(Value::Bool(creates_executable(c.view)))),
    value("evt.is_open_create", Bool, "whether an open made a new file", "evt.is_open_create=true",
        |c| Some(Value::Bool(open_flags(c.view).is_some_and(|f| f & O_F_CREATED != 0)))),
];

const READS_OR_WRITES: EventFlags = EventFlags(EventFlags::READS_FROM_FD.0 | EventFlags::WRITES_TO_FD.0);
// Stored open flags (`file_flags` of the event table).
const O_RDONLY: u64 = 1;
const O_WRONLY: u64 = 2;
const O_CREAT: u64 = 4;
const O_TMPFILE: u64 = 1 << 13;
const O_F_CREATED: u64 = 1 << 14;
const ANY_EXECUTE: u64 = 0o111;

pub(super) fn has(view: &EventView<'_>, flags: EventFlags) -> bool {
    view.info.is_some_and(|info| flags_of(info).contains(flags))
}

/// Flags by the table that stock of the event's time used.
pub fn flags_of(info: &EventInfo) -> EventFlags {
    if info.params_2022.is_some() { info.flags_2022 } else { info.flags }
}

/// Whether the event is a system call's: not one of the scheduler, of signals, or of the capture.
pub(crate) fn is_syscall(view: &EventView<'_>) -> bool {
    use capture_common::event_table::code as k;
    let Some(info) = view.info else { return false };
    !matches!(info.category, Category::Internal | Category::Scheduler)
        && !matches!(
            view.raw.code,
            k::PROCEXIT_E
                | k::PROCEXIT_1_E
                | k::SIGNALDELIVER_E
                | k::DROP_E
                | k::DROP_X
                | k::PAGE_FAULT_E
                | k::ASYNCEVENT_E
        )
}

/// Whether an fd leads to the system log.
pub(super) fn is_log(fd: &FdInfo) -> bool {
    const LOG: &[u8] = b"/dev/log";
    fd.name.windows(LOG.len()).any(|w| w == LOG)
}

/// Index of the parameter that the field's argument names.
fn arg_index(c: &Ctx<'_>) -> Option<usize> {
    match c.places {
        Some(places) => places.at(c.view.raw.code),
        None => c.arg?.parse().ok(),
    }
}

fn raw_arg<'a>(c: &Ctx<'a>) -> Option<Value<'a>> {
    let at = arg_index(c)?;
    let (_, param, bytes) = crate::render::arg(c.view, at)?;
    use ParamType as T;
    Some(match param.ty {
        T::CharBuf | T::FsPath | T::FsRelPath => Value::Str(until_nul(bytes)),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Errno | T::Fd | T::Fd32 | T::Pid | T::Pid32 => {
            Value::Int(read_int(bytes)?)
        }
        // mmap's address is a negative number where the call failed.
        T::Uint64 if is_result(c, at) => Value::Int(read_int(bytes)?),
        T::Dyn => Value::Int(read_int(bytes.get(1..)?)?),
        ty if ty.fixed_size().is_some_and(|size| size <= 8) => Value::Uint(read_uint(bytes)?),
        _ => Value::Bytes(bytes),
    })
}

/// Whether current tables know a parameter as a call's result.
fn is_result(c: &Ctx<'_>, at: usize) -> bool {
    c.view.info.and_then(|info| info.params.get(at)).is_some_and(|p| p.ty == ParamType::Errno)
}

/// The return value of an exit: its parameter `res`, or `fd` where the call makes one.
pub(crate) fn result(view: &EventView<'_>) -> Option<i64> {
    view.raw.int(EventKind::get(view.raw.code)?.result_param()?)
}

/// Whether the event is the exit of a call that failed.
#[inline]
pub(crate) fn has_failed(view: &EventView<'_>) -> bool {
    result(view).is_some_and(is_failure)
}

/// Whether a return value tells of a failure. The kernel's restart codes (512 to 516) do not:
/// the call goes on.
pub(crate) fn is_failure(res: i64) -> bool {
    res < 0 && !(-516..=-512).contains(&res)
}

fn push_error(out: &mut Vec<u8>, res: i64) {
    let number = u32::try_from(res.unsigned_abs()).unwrap_or(u32::MAX);
    match errno_name(number) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => crate::render::number::dec_i64(out, res),
    }
}

/// Bytes that a successful call on a known fd moved.
pub(crate) fn moved_bytes(view: &EventView<'_>) -> Option<u64> {
    let info = view.info?;
    let io = matches!(info.category, Category::IoRead | Category::IoWrite | Category::IoOther)
        || flags_of(info).contains(READS_OR_WRITES);
    if !io || view.fd().is_none() {
        return None;
    }
    u64::try_from(result(view)?).ok()
}

fn absolute_path(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    if c.view.raw.code.is_enter() {
        return false;
    }
    let wanted = match c.arg {
        None | Some("src") => 0,
        Some("dst") => 1,
        Some(_) => return false,
    };
    let Some(info) = c.view.info else { return false };
    let mut paths =
        (0..info.params.len()).filter(|&at| matches!(info.params[at].extra, ParamExtra::DirFd(_)));
    paths.nth(wanted).is_some_and(|at| push_absolute(out, c.view, info, at))
}

/// Stored flags of an open's exit.
fn open_flags(view: &EventView<'_>) -> Option<u64> {
    let info = view.info?;
    let opens = flags_of(info).contains(EventFlags::CREATES_FD) && info.category == Category::File;
    if !opens || view.raw.code.is_enter() {
        return None;
    }
    view.raw.uint(info.param_index("flags")?)
}

fn creates_executable(view: &EventView<'_>) -> bool {
    let Some(info) = view.info else { return false };
    let mode = info.param_index("mode").and_then(|at| view.raw.uint(at)).unwrap_or(0);
    open_flags(view).is_some_and(|f| f & (O_CREAT | O_TMPFILE) != 0)
        && mode & ANY_EXECUTE != 0
        && result(view).is_some_and(|res| res >= 0)
}
