//! `proc.*` fields of the event's own process.

use super::health_probe::runs_as;
use super::{Ctx, Field, Print, text, value};
use crate::render::text::push_joined;
use crate::state::containers::ProbeKind;
use crate::state::thread::Thread;
use filter_lang::FieldType::{AbsTime, Bool, Double, Int, RelTime, Str, Uint};
use filter_lang::{ArgRule, Value};

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("proc.pid", Int, "id of the process", "proc.pid=1", |c| int(c.view.thread()?.pid)),
    value("proc.exe", Str, "the program as it was called (argv[0])", "proc.exe=/usr/bin/curl", |c| bytes(&c.view.thread()?.exe)),
    value("proc.name", Str, "name of the program, at most 15 bytes", "proc.name=nginx", |c| bytes(&c.view.thread()?.comm)),
    text("proc.args", "arguments after the program's name, joined by blanks; proc.args[N] is one of them, counted from 0", "proc.args contains -rf",
        args).arg(ArgRule::Optional),
    text("proc.env", "environment, joined by blanks; proc.env[NAME] is one variable's value", "proc.env[HOME]=/root",
        env).arg(ArgRule::Optional),
    text("proc.cmdline", "name and arguments", "proc.cmdline contains 'curl http'",
        |c, out| push(c.view.thread(), |t| push_command_line(out, &t.comm, t))),
    text("proc.exeline", "the program as it was called, and its arguments", "proc.exeline contains ./run",
        |c, out| push(c.view.thread(), |t| {
            out.extend_from_slice(&t.exe);
            // The blank is there without arguments, too, as filters of stock tools have it.
            out.push(b' ');
            push_joined(out, &t.args_raw, b' ');
        })),
    value("proc.cmdnargs", Uint, "number of arguments", "proc.cmdnargs>20", |c| uint(c.view.thread()?.args().count() as u64)),
    value("proc.cmdlenargs", Uint, "length of all arguments in bytes, without the blanks between them", "proc.cmdlenargs>1000",
        |c| uint(c.view.thread()?.args().map(|a| a.len() as u64).sum())),
    value("proc.exepath", Str, "path of the executable", "proc.exepath=/usr/bin/bash", |c| bytes(&c.view.thread()?.exepath)),
    value("proc.cwd", Str, "working directory, with a slash at its end", "proc.cwd=/root/", |c| bytes(&c.view.main_thread()?.cwd)),
    value("proc.nthreads", Uint, "number of threads of the process", "proc.nthreads>100", |c| uint(u64::from(c.view.main_thread()?.nchilds) + 1)),
    value("proc.nchilds", Uint, "number of threads besides the main one; 0 on other threads than that", "proc.nchilds>0", |c| uint(u64::from(c.view.thread()?.nchilds))),
    value("proc.vpid", Int, "id of the process in its own pid namespace", "proc.vpid=1", |c| known(in_namespace(c)?.vpid)),
    value("proc.sid", Int, "id of the session", "proc.sid=4242", |c| int(c.view.thread()?.sid)),
    value("proc.vpgid", Int, "id of the process group, in the process's own pid namespace", "proc.vpgid=1", |c| int(c.view.thread()?.vpgid)),
    value("proc.pgid", Int, "id of the process group", "proc.pgid=4242", |c| known(c.view.thread()?.pgid)),
    value("proc.tty", Int, "controlling terminal as a device number, 0 for none", "proc.tty!=0", |c| int(i64::from(c.view.thread()?.tty))),
    value("proc.duration", RelTime, "nanoseconds since the process was created; no value if that was before the capture", "proc.duration<1s",
        |c| age(c, c.view.thread()?)),
    value("proc.pid.ts", AbsTime, "when the process was created, ns since the epoch", "-p '%proc.pid.ts'",
        |c| set_ns(c.view.main_thread()?.clone_ts_ns)),
    value("proc.fdopencount", Uint, "number of open fds", "proc.fdopencount>1000", |c| uint(c.view.main_thread()?.fds.len() as u64)),
    value("proc.fdlimit", Int, "most fds that the process may open", "proc.fdlimit<1024", |c| int(c.view.main_thread()?.fdlimit)),
    value("proc.fdusage", Double, "open fds in percent of the limit", "proc.fdusage>80", |c| fd_usage(c.view.main_thread()?)).print(Print::OneDecimal),
    value("proc.vmsize", Uint, "virtual memory in kB", "proc.vmsize>1000000", |c| uint(u64::from(c.view.thread()?.vm_size_kb))),
    value("proc.vmrss", Uint, "resident memory in kB", "proc.vmrss>1000000", |c| uint(u64::from(c.view.thread()?.vm_rss_kb))),
    value("proc.vmswap", Uint, "swapped out memory in kB", "proc.vmswap>0", |c| uint(u64::from(c.view.thread()?.vm_swap_kb))),
    value("proc.is_exe_writable", Bool, "whether the process's user may write the executable", "proc.is_exe_writable=true", |c| flag(c.view.thread()?.exe_file.writable)),
    value("proc.is_exe_upper_layer", Bool, "whether the executable is on the upper, writable layer of a container's file system", "proc.is_exe_upper_layer=true", |c| flag(c.view.thread()?.exe_file.upper_layer)),
    value("proc.is_exe_lower_layer", Bool, "whether the executable is on a lower layer of a container's file system", "proc.is_exe_lower_layer=true", |c| flag(c.view.thread()?.exe_file.lower_layer)),
    value("proc.is_exe_from_memfd", Bool, "whether the executable is a memfd", "proc.is_exe_from_memfd=true", |c| flag(c.view.thread()?.exe_file.from_memfd)),
    value("proc.is_sid_leader", Bool, "whether the process leads its session", "proc.is_sid_leader=true", |c| { let t = c.view.thread()?; flag(t.sid == t.vpid) }),
    value("proc.is_vpgid_leader", Bool, "whether the process leads its process group, by ids of its own pid namespace", "proc.is_vpgid_leader=true", |c| { let t = c.view.thread()?; flag(t.vpgid == t.vpid) }),
    value("proc.is_pgid_leader", Bool, "whether the process leads its process group", "proc.is_pgid_leader=true", |c| { let t = c.view.thread()?; flag(t.pgid == t.pid) }),
    value("proc.exe_ino", Uint, "inode of the executable", "proc.exe_ino=1048623", |c| set_ns(c.view.thread()?.exe_file.ino)),
    value("proc.exe_ino.ctime", AbsTime, "change time of the executable, ns since the epoch", "-p '%proc.exe_ino.ctime'", |c| set_ns(c.view.thread()?.exe_file.ctime_ns)),
    value("proc.exe_ino.mtime", AbsTime, "modification time of the executable, ns since the epoch", "-p '%proc.exe_ino.mtime'", |c| set_ns(c.view.thread()?.exe_file.mtime_ns)),
    value("proc.exe_ino.ctime_duration_proc_start", RelTime, "ns between the last change of the executable and the start of the process", "-p '%proc.exe_ino.ctime_duration_proc_start'",
        |c| { let t = c.view.thread()?; since(t.exe_file.ctime_ns, t.clone_ts_ns) }),
    value("proc.exe_ino.ctime_duration_pidns_start", RelTime, "ns between the start of the pid namespace and the last change of the executable", "-p '%proc.exe_ino.ctime_duration_pidns_start'",
        |c| { let t = c.view.thread()?; since(t.pidns_init_start_ns, t.exe_file.ctime_ns) }),
    value("proc.pidns_init_start_ts", AbsTime, "start of the init of the process's pid namespace, ns since the epoch", "-p '%proc.pidns_init_start_ts'", |c| set_ns(c.view.thread()?.pidns_init_start_ns)),
    value("proc.stdin.type", Str, "type of fd 0", "proc.stdin.type=pipe", |c| std_type(c, 0)),
    value("proc.stdout.type", Str, "type of fd 1", "proc.stdout.type=ipv4", |c| std_type(c, 1)),
    value("proc.stderr.type", Str, "type of fd 2", "proc.stderr.type=file", |c| std_type(c, 2)),
    value("proc.stdin.name", Str, "name of fd 0", "proc.stdin.name=/dev/null", |c| bytes(&c.view.fd_numbered(0)?.name)),
    value("proc.stdout.name", Str, "name of fd 1", "proc.stdout.name contains pts", |c| bytes(&c.view.fd_numbered(1)?.name)),
    value("proc.stderr.name", Str, "name of fd 2", "proc.stderr.name contains pts", |c| bytes(&c.view.fd_numbered(2)?.name)),
    value("proc.is_container_healthcheck", Bool, "whether the process is run by a container's health check", "proc.is_container_healthcheck=true", |c| runs_as(c, ProbeKind::Health)),
    value("proc.is_container_liveness_probe", Bool, "whether the process is run by a container's liveness probe", "proc.is_container_liveness_probe=true", |c| runs_as(c, ProbeKind::Liveness)),
    value("proc.is_container_readiness_probe", Bool, "whether the process is run by a container's readiness probe", "proc.is_container_readiness_probe=true", |c| runs_as(c, ProbeKind::Readiness)),
];

pub(super) fn int<'a>(number: i64) -> Option<Value<'a>> {
    Some(Value::Int(number))
}

pub(super) fn uint<'a>(number: u64) -> Option<Value<'a>> {
    Some(Value::Uint(number))
}

pub(super) fn flag<'a>(is: bool) -> Option<Value<'a>> {
    Some(Value::Bool(is))
}

pub(super) fn bytes(text: &[u8]) -> Option<Value<'_>> {
    Some(Value::Str(text))
}

/// The event's thread, if anything told its ids in its own pid namespace.
pub(super) fn in_namespace<'a>(c: &Ctx<'a>) -> Option<&'a Thread> {
    c.view.thread().filter(|thread| thread.has_namespace_ids)
}

/// An id, where it is known.
pub(super) fn known<'a>(id: i64) -> Option<Value<'a>> {
    (id != -1).then_some(Value::Int(id))
}

/// A time or an inode, where it is known.
fn set_ns<'a>(number: u64) -> Option<Value<'a>> {
    (number != 0).then_some(Value::Uint(number))
}

fn since<'a>(from_ns: u64, to_ns: u64) -> Option<Value<'a>> {
    if from_ns == 0 || to_ns == 0 { None } else { Some(Value::Uint(to_ns.checked_sub(from_ns)?)) }
}

/// Time since a thread was created.
pub(super) fn age<'a>(c: &Ctx<'_>, thread: &Thread) -> Option<Value<'a>> {
    since(thread.clone_ts_ns, c.view.raw.ts_ns)
}

pub(super) fn push(thread: Option<&Thread>, write: impl FnOnce(&Thread)) -> bool {
    thread.map(write).is_some()
}

/// Appends a name and the arguments of a thread, joined by blanks.
pub(super) fn push_command_line(out: &mut Vec<u8>, name: &[u8], thread: &Thread) {
    out.extend_from_slice(name);
    if !thread.args_raw.is_empty() {
        out.push(b' ');
        push_joined(out, &thread.args_raw, b' ');
    }
}

fn args(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(thread) = c.view.thread() else { return false };
    let Some(index) = c.arg else {
        push_joined(out, &thread.args_raw, b' ');
        return true;
    };
    let arg = index.parse().ok().and_then(|at| thread.args().nth(at));
    arg.map(|arg| out.extend_from_slice(arg)).is_some()
}

fn env(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(thread) = c.view.main_thread() else { return false };
    let Some(name) = c.arg else {
        push_joined(out, &thread.env_raw, b' ');
        return true;
    };
    let found = thread.env().find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    found.map(|found| out.extend_from_slice(found)).is_some()
}

fn fd_usage<'a>(main: &Thread) -> Option<Value<'a>> {
    let percent = |limit: i64| main.fds.len() as f64 * 100.0 / limit as f64;
    Some(Value::Double(if main.fdlimit > 0 { percent(main.fdlimit) } else { 0.0 }))
}

fn std_type<'a>(c: &Ctx<'a>, fd: i64) -> Option<Value<'a>> {
    Some(Value::text(super::fd::type_name(c.view.fd_numbered(fd)?.ty)))
}
