//! Processes: clone and exec forms, identities, limits, namespaces, prctl, ptrace.

use crate::live::decode::call::Call;
use crate::live::decode::source::Src::{Bytes, Int, Map, Num, Ret, Str, Text, Uint};
use crate::live::decode::source::{Row, Src, row};
use crate::live::decode::task;
use capture_common::native::maps;

/// What the three id calls wrote at their pointers; -1 where nothing.
fn id_at(c: &Call<'_>, arg: u8) -> u64 {
    c.raw_u32(arg, 0).map_or(u64::from(u32::MAX), u64::from)
}

/// A limit; 32-bit callers have 32-bit ones, whose all-ones mean "unlimited" too.
fn limit(c: &Call<'_>, arg: u8, index: usize) -> u64 {
    let Some(raw) = c.raw(arg) else { return 0 };
    if raw.len() >= 16 {
        return c.raw_u64(arg, index).unwrap_or(0);
    }
    match c.raw_u32(arg, index) {
        Some(u32::MAX) => u64::MAX,
        Some(value) => u64::from(value),
        None => 0,
    }
}

const fn resource(arg: u8) -> Src {
    Map(arg, &maps::RLIMIT_RESOURCE)
}

fn ptrace_request(c: &Call<'_>) -> u64 {
    const EXTENDED: u64 = 0x4200;
    let request = c.arg(0) & 0xffff_ffff;
    let map = if request >= EXTENDED { &maps::PTRACE_REQUEST_EXT } else { &maps::PTRACE_REQUEST };
    u64::from(map.stored(request))
}

/// What the data of a ptrace request is: (request, form).
const PTRACE_FORMS: &[(u64, PtraceForm)] = &[
    (1, PtraceForm::Peeked),  // PTRACE_PEEKTEXT
    (2, PtraceForm::Peeked),  // PTRACE_PEEKDATA
    (3, PtraceForm::Peeked),  // PTRACE_PEEKUSR
    (7, PtraceForm::Signal),  // PTRACE_CONT
    (9, PtraceForm::Signal),  // PTRACE_SINGLESTEP
    (17, PtraceForm::Signal), // PTRACE_DETACH
    (24, PtraceForm::Signal), // PTRACE_SYSCALL
];

#[derive(Clone, Copy)]
enum PtraceForm {
    /// The kernel stored a word where it points.
    Peeked,
    /// The signal that the tracee goes on with.
    Signal,
}

fn push_ptrace_data(c: &Call<'_>, out: &mut Vec<u8>) {
    /// Dynamic form of a signal.
    const SIGNAL: u8 = 1;
    let request = c.arg(0) & 0xffff_ffff;
    match PTRACE_FORMS.iter().find(|(n, _)| *n == request).map(|(_, form)| *form) {
        Some(PtraceForm::Signal) => out.extend_from_slice(&[SIGNAL, c.arg(3) as u8]),
        Some(PtraceForm::Peeked) => push_word(c.raw_u64(3, 0).unwrap_or(0), out),
        None => push_word(c.arg(3), out),
    }
}

/// Dynamic form 0: a number of 64 bits.
fn push_word(value: u64, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Options of prctl whose argument 2 is text: given, or stored by the kernel.
fn prctl_has_text(c: &Call<'_>) -> bool {
    const PR_SET_NAME: u64 = 15;
    const PR_GET_NAME: u64 = 16;
    matches!(c.arg(0) & 0xffff_ffff, PR_SET_NAME | PR_GET_NAME)
}

fn prctl_text<'a>(c: &Call<'a>) -> &'a [u8] {
    if prctl_has_text(c) { c.text(1) } else { b"<NA>" }
}

fn prctl_number(c: &Call<'_>) -> u64 {
    if prctl_has_text(c) { 0 } else { c.arg(1) }
}

/// `struct __user_cap_data_struct[2]`: effective, permitted, inheritable; low words, then high.
fn capset_word(c: &Call<'_>, field: usize) -> u64 {
    let low = c.raw_u32(1, field).map_or(0, u64::from);
    let high = c.raw_u32(1, field + 3).map_or(0, u64::from);
    maps::CAPABILITIES.stored64(high << 32 | low)
}

const PTRACE: Src = Num(ptrace_request);
const NS_FLAGS: Src = Map(0, &maps::CLONE_FLAGS);
const SETNS_TYPE: Src = Map(1, &maps::CLONE_FLAGS);

pub(in crate::live::decode) const ROWS: &[Row] = &[
    row!(&["clone"], &[], task::CLONE),
    row!(&["clone3"], &[], task::CLONE3),
    row!(&["fork"], &[], task::FORK),
    row!(&["vfork"], &[], task::VFORK),
    row!(&["execve"], &[Str(0)], task::EXECVE),
    row!(&["execveat"], &[Int(0), Str(1), Map(4, &maps::EXECVEAT_FLAGS)], task::EXECVEAT),
    // Identities. A uid or gid of -1 means "leave as it is" and is stored so.
    row!(&["setuid", "setuid32"], &[Uint(0)], &[Ret, Uint(0)]),
    row!(&["setgid", "setgid32"], &[Uint(0)], &[Ret, Uint(0)]),
    row!(&["setreuid", "setreuid32"], &[], &[Ret, Uint(0), Uint(1)]),
    row!(&["setregid", "setregid32"], &[], &[Ret, Uint(0), Uint(1)]),
    row!(&["setresuid", "setresuid32"], &[Uint(0), Uint(1), Uint(2)], &[Ret, Uint(0), Uint(1), Uint(2)],),
    row!(&["setresgid", "setresgid32"], &[Uint(0), Uint(1), Uint(2)], &[Ret, Uint(0), Uint(1), Uint(2)],),
    row!(&["getuid", "getuid32"], &[], &[Ret]),
    row!(&["geteuid", "geteuid32"], &[], &[Ret]),
    row!(&["getgid", "getgid32"], &[], &[Ret]),
    row!(&["getegid", "getegid32"], &[], &[Ret]),
    row!(
        &["getresuid", "getresuid32"],
        &[],
        &[Ret, Num(|c| id_at(c, 0)), Num(|c| id_at(c, 1)), Num(|c| id_at(c, 2))],
    ),
    row!(
        &["getresgid", "getresgid32"],
        &[],
        &[Ret, Num(|c| id_at(c, 0)), Num(|c| id_at(c, 1)), Num(|c| id_at(c, 2))],
    ),
    row!(&["setsid"], &[], &[Ret]),
    row!(&["setpgid"], &[Int(0), Int(1)], &[Ret, Int(0), Int(1)]),
    row!(
        &["capset"],
        &[],
        &[Ret, Num(|c| capset_word(c, 2)), Num(|c| capset_word(c, 1)), Num(|c| capset_word(c, 0)),],
    ),
    row!(&["prctl"], &[], &[Ret, Uint(0), Text(prctl_text), Num(prctl_number)]),
    // Limits.
    row!(
        &["getrlimit"],
        &[resource(0)],
        &[Ret, Num(|c| limit(c, 1, 0)), Num(|c| limit(c, 1, 1)), resource(0)],
    ),
    row!(
        &["setrlimit"],
        &[resource(0)],
        &[Ret, Num(|c| limit(c, 1, 0)), Num(|c| limit(c, 1, 1)), resource(0)],
    ),
    row!(
        &["prlimit64"],
        &[Int(0), resource(1)],
        &[
            Ret,
            Num(|c| limit(c, 2, 0)),
            Num(|c| limit(c, 2, 1)),
            Num(|c| limit(c, 3, 0)),
            Num(|c| limit(c, 3, 1)),
            Int(0),
            resource(1),
        ],
    ),
    // Namespaces and tracing.
    row!(&["unshare"], &[NS_FLAGS], &[Ret, NS_FLAGS]),
    row!(&["setns"], &[Int(0), SETNS_TYPE], &[Ret, Int(0), SETNS_TYPE]),
    row!(
        &["ptrace"],
        &[PTRACE, Int(1)],
        &[Ret, Bytes(|c, out| push_word(c.arg(2), out)), Bytes(push_ptrace_data), PTRACE, Int(1),],
    ),
];
