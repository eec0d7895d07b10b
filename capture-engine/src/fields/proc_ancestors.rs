//! `proc.*` fields of other processes: parents, ancestors, leaders of session and group.

use super::proc::{age, bytes, int, known, push, push_command_line};
use super::{Ctx, Field, text, value};
use crate::render::text::push_joined;
use crate::state::thread::Thread;
use filter_lang::FieldType::{AbsTime, Int, RelTime, Str};
use filter_lang::{ArgRule, Arity, Value};

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("proc.ppid", Int, "id of the parent process", "proc.ppid=1", |c| int(c.view.main_thread()?.ptid)),
    value("proc.pname", Str, "name of the parent process", "proc.pname=bash", |c| bytes(&parent(c)?.comm)),
    value("proc.pexe", Str, "the parent's program as it was called", "proc.pexe=/bin/sh", |c| bytes(&parent(c)?.exe)),
    value("proc.pexepath", Str, "path of the parent's executable", "proc.pexepath=/usr/bin/bash", |c| bytes(&parent(c)?.exepath)),
    text("proc.pcmdline", "name and arguments of the parent", "proc.pcmdline contains make",
        |c, out| push(parent(c), |t| push_command_line(out, &t.comm, t))),
    value("proc.pvpid", Int, "id of the parent in its own pid namespace", "proc.pvpid=1", |c| known(parent(c)?.vpid)),
    value("proc.ppid.duration", RelTime, "nanoseconds since the parent was created", "proc.ppid.duration<1s", |c| age(c, parent(c)?)),
    value("proc.ppid.ts", AbsTime, "when the parent was created, ns since the epoch", "-p '%proc.ppid.ts'",
        |c| match parent(c)?.clone_ts_ns { 0 => None, ns => Some(Value::Uint(ns)) }),
    value("proc.apid", Int, "id of an ancestor: [0] the process itself, [1] its parent; without index any of them from the parent on", "proc.apid=1",
        |c| lineage(c, |t| Value::Int(t.pid))).arg(ArgRule::Optional).arity(Arity::Any),
    value("proc.aname", Str, "name of an ancestor, indexed as proc.apid", "proc.aname=sshd",
        |c| lineage(c, |t| Value::Str(&t.comm))).arg(ArgRule::Optional).arity(Arity::Any),
    value("proc.aexe", Str, "an ancestor's program as it was called, indexed as proc.apid", "proc.aexe[1]=/bin/sh",
        |c| lineage(c, |t| Value::Str(&t.exe))).arg(ArgRule::Optional).arity(Arity::Any),
    value("proc.aexepath", Str, "path of an ancestor's executable, indexed as proc.apid", "proc.aexepath[1]=/usr/bin/bash",
        |c| lineage(c, |t| Value::Str(&t.exepath))).arg(ArgRule::Optional).arity(Arity::Any),
    value("proc.acmdline", Str, "name and arguments of an ancestor, indexed as proc.apid", "proc.acmdline contains make",
        |c| lineage_text(c, |t, out| push_command_line(out, &t.comm, t))).arg(ArgRule::Optional).arity(Arity::Any),
    value("proc.aargs", Str, "arguments of an ancestor, indexed as proc.apid", "proc.aargs[1] contains -c",
        |c| lineage_text(c, |t, out| push_joined(out, &t.args_raw, b' '))).arg(ArgRule::Optional).arity(Arity::Any),
    value("proc.aenv", Str, "environment of an ancestor, indexed as proc.apid", "proc.aenv[1] contains LD_PRELOAD",
        |c| lineage_text(c, |t, out| push_joined(out, &t.env_raw, b' '))).arg(ArgRule::Optional).arity(Arity::Any),
    value("proc.loginshellid", Int, "id of the oldest shell among the process and its ancestors", "proc.loginshellid=4242", login_shell),
    value("proc.sname", Str, "name of the session's leader, or of the oldest ancestor in the session", "proc.sname=bash", |c| bytes(&leader(c, c.view.thread()?.sid, |t| t.sid)?.comm)),
    value("proc.sid.exe", Str, "the session leader's program as it was called", "proc.sid.exe=/bin/bash", |c| bytes(&leader(c, c.view.thread()?.sid, |t| t.sid)?.exe)),
    value("proc.sid.exepath", Str, "path of the session leader's executable", "proc.sid.exepath=/usr/bin/bash", |c| bytes(&leader(c, c.view.thread()?.sid, |t| t.sid)?.exepath)),
    value("proc.vpgid.name", Str, "name of the process group's leader, by ids of the pid namespace", "proc.vpgid.name=make", |c| bytes(&leader(c, c.view.thread()?.vpgid, |t| t.vpgid)?.comm)),
    value("proc.vpgid.exe", Str, "that leader's program as it was called", "proc.vpgid.exe=make", |c| bytes(&leader(c, c.view.thread()?.vpgid, |t| t.vpgid)?.exe)),
    value("proc.vpgid.exepath", Str, "path of that leader's executable", "proc.vpgid.exepath=/usr/bin/make", |c| bytes(&leader(c, c.view.thread()?.vpgid, |t| t.vpgid)?.exepath)),
    value("proc.pgid.name", Str, "name of the process group's leader", "proc.pgid.name=make", |c| bytes(&group_leader(c)?.comm)),
    value("proc.pgid.exe", Str, "the group leader's program as it was called", "proc.pgid.exe=make", |c| bytes(&group_leader(c)?.exe)),
    value("proc.pgid.exepath", Str, "path of the group leader's executable", "proc.pgid.exepath=/usr/bin/make", |c| bytes(&group_leader(c)?.exepath)),
];

fn parent<'a>(c: &Ctx<'a>) -> Option<&'a Thread> {
    c.view.machine.parent(c.view.thread()?)
}

/// The process and its ancestors.
fn ancestry<'a>(c: &Ctx<'a>) -> Option<impl Iterator<Item = &'a Thread>> {
    let thread = c.view.thread()?;
    let main = c.view.machine.main_thread(thread);
    Some(std::iter::once(main).chain(c.view.machine.ancestors(thread)))
}

/// One ancestor's value by the field's index, or those of all ancestors.
fn lineage<'a>(c: &Ctx<'a>, get: impl Fn(&'a Thread) -> Value<'a>) -> Option<Value<'a>> {
    match c.arg {
        Some(index) => ancestry(c)?.nth(index.parse().ok()?).map(get),
        None => Some(Value::List(c.arena.list(ancestry(c)?.skip(1).map(get)))),
    }
}

fn lineage_text<'a>(c: &Ctx<'a>, write: fn(&Thread, &mut Vec<u8>)) -> Option<Value<'a>> {
    let arena = c.arena;
    lineage(c, move |thread| {
        let mut out = Vec::new();
        write(thread, &mut out);
        Value::Str(arena.copy(&out))
    })
}

fn login_shell<'a>(c: &Ctx<'a>) -> Option<Value<'a>> {
    let shell = ancestry(c)?.filter(|t| t.comm.ends_with(b"sh")).last()?;
    int(shell.pid)
}

/// The process whose id is that of the group or session; where that is gone, the oldest ancestor
/// in an unbroken line that is in it.
fn leader<'a>(c: &Ctx<'a>, id: i64, of: fn(&Thread) -> i64) -> Option<&'a Thread> {
    let machine = c.view.machine;
    let thread = c.view.thread()?;
    // Session and group ids may be those of a pid namespace; the host's table answers for the
    // thread's own namespace only if that is the host's.
    let in_host = thread.tid == thread.vtid;
    if let Some(found) = machine.thread(id).filter(|_| in_host) {
        return Some(found);
    }
    ancestry(c)?.take_while(|t| of(t) == id).last()
}

fn group_leader<'a>(c: &Ctx<'a>) -> Option<&'a Thread> {
    let pgid = c.view.thread()?.pgid;
    if pgid == -1 { None } else { leader(c, pgid, |t| t.pgid) }
}
