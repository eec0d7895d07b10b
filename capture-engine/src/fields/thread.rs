//! `thread.*` fields.

use super::proc::{flag, in_namespace, known, uint};
use super::{Ctx, Field, text, value};
use crate::state::thread::Thread;
use filter_lang::FieldType::{Bool, Int, Str, Uint};
use filter_lang::{ArgRule, Value};

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("thread.tid", Int, "id of the thread", "thread.tid=4242", |c| known(c.view.raw.tid)),
    value("thread.ismain", Bool, "whether it is the main thread of its process", "thread.ismain=true", |c| flag(c.view.thread()?.is_main())),
    value("thread.vtid", Int, "id of the thread in its own pid namespace", "thread.vtid=1", |c| known(in_namespace(c)?.vtid)),
    text("thread.nametid", "name and id of the thread in one", "-p '%thread.nametid'",
        |c, out| super::proc::push(c.view.thread(), |t| { out.extend_from_slice(&t.comm); crate::render::number::dec_i64(out, t.tid); })).hidden(),
    value("thread.pfmajor", Uint, "major page faults since the thread began", "thread.pfmajor>0", |c| uint(c.view.thread()?.pfmajor)),
    value("thread.pfminor", Uint, "minor page faults since the thread began", "thread.pfminor>1000", |c| uint(c.view.thread()?.pfminor)),
    value("thread.vmsize", Uint, "virtual memory in kB; 0 on other threads than the main one", "thread.vmsize>1000000", |c| memory(c, |t| t.vm_size_kb, 1)),
    value("thread.vmrss", Uint, "resident memory in kB; 0 on other threads than the main one", "thread.vmrss>1000000", |c| memory(c, |t| t.vm_rss_kb, 1)),
    value("thread.vmsize.b", Uint, "as thread.vmsize, in bytes", "-p '%thread.vmsize.b'", |c| memory(c, |t| t.vm_size_kb, 1024)).hidden(),
    value("thread.vmrss.b", Uint, "as thread.vmrss, in bytes", "-p '%thread.vmrss.b'", |c| memory(c, |t| t.vm_rss_kb, 1024)).hidden(),
    text("thread.cgroups", "all control groups as subsystem=path, joined by blanks", "thread.cgroups contains docker", cgroups),
    value("thread.cgroup", Str, "path of the control group of the subsystem named", "thread.cgroup.cpu contains kubepods",
        |c| { let wanted = c.arg?; let (_, path) = c.view.thread()?.cgroups().find(|(name, _)| *name == wanted.as_bytes())?; Some(Value::Str(path)) }).arg(ArgRule::Required),
    text("thread.cap_permitted", "permitted capabilities", "thread.cap_permitted contains CAP_SYS_ADMIN", |c, out| capabilities(c, out, 1)),
    text("thread.cap_inheritable", "inheritable capabilities", "thread.cap_inheritable contains CAP_NET_RAW", |c, out| capabilities(c, out, 0)),
    text("thread.cap_effective", "effective capabilities", "thread.cap_effective contains CAP_SYS_PTRACE", |c, out| capabilities(c, out, 2)),
];

fn memory<'a>(c: &Ctx<'a>, of: fn(&Thread) -> u32, unit: u64) -> Option<Value<'a>> {
    let thread = c.view.thread()?;
    uint(if thread.is_main() { u64::from(of(thread)) * unit } else { 0 })
}

fn cgroups(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(thread) = c.view.thread().filter(|t| !t.cgroups_raw.is_empty()) else { return false };
    for (i, (name, path)) in thread.cgroups().enumerate() {
        if i != 0 {
            out.push(b' ');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(path);
    }
    true
}

/// Capabilities by bit, capabilities(7).
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

fn capabilities(c: &Ctx<'_>, out: &mut Vec<u8>, set: usize) -> bool {
    let Some(thread) = c.view.thread() else { return false };
    let start = out.len();
    for (bit, name) in CAPABILITIES.iter().enumerate() {
        if thread.caps[set] >> bit & 1 != 0 {
            if out.len() != start {
                out.push(b' ');
            }
            out.extend_from_slice(name.as_bytes());
        }
    }
    true
}
