//! Turns the running kernel's BTF into the values of the probe's `.rodata` globals: offsets of
//! structure members (`capture_common::kernel_offsets`), of registers, type ids and cgroup
//! controller numbers.

use super::{
    btf::Btf,
    error::LiveError,
    uring::{self, UringRows},
};
use capture_common::kernel_offsets::{ABSENT, ROWS};

/// Values of globals by name, and what the loader must know besides.
pub(crate) struct Resolved {
    /// Name and value of each global.
    pub(crate) globals: Vec<(&'static str, u64)>,
    /// BTF id of the kfunc bpf_rdonly_cast, where the kernel has it (6.2).
    pub(crate) cast_kfunc: Option<u32>,
    /// io_uring operations as calls, where the kernel reports them.
    pub(crate) uring: Option<UringRows>,
}

/// Member of pt_regs with the call number, the instruction pointer and the arguments: global and member path.
#[cfg(target_arch = "x86_64")]
const REGISTERS: &[(&str, &str)] = &[
    ("R_NR", "orig_ax"),
    ("R_IP", "ip"),
    ("R_A0", "di"),
    ("R_A1", "si"),
    ("R_A2", "dx"),
    ("R_A3", "r10"),
    ("R_A4", "r8"),
    ("R_A5", "r9"),
    ("R_C0", "bx"),
    ("R_C1", "cx"),
    ("R_C2", "dx"),
    ("R_C3", "si"),
    ("R_C4", "di"),
    ("R_C5", "bp"),
];
#[cfg(target_arch = "aarch64")]
const REGISTERS: &[(&str, &str)] = &[
    ("R_NR", "syscallno"),
    ("R_IP", "pc"),
    ("R_A0", "orig_x0"),
    ("R_A1", "regs[1]"),
    ("R_A2", "regs[2]"),
    ("R_A3", "regs[3]"),
    ("R_A4", "regs[4]"),
    ("R_A5", "regs[5]"),
    ("R_C0", "orig_x0"),
    ("R_C1", "regs[1]"),
    ("R_C2", "regs[2]"),
    ("R_C3", "regs[3]"),
    ("R_C4", "regs[4]"),
    ("R_C5", "regs[5]"),
];

/// Structures that plain addresses are cast to: global and structure. `pt_regs` starts with a
/// plain word and stands for "any word".
const CASTS: &[(&str, &str)] = &[
    ("ID_TASK", "task_struct"),
    ("ID_FILE", "file"),
    ("ID_SIGINFO", "kernel_siginfo"),
    ("ID_SOCKET", "socket"),
    ("ID_UNIX_SOCK", "unix_sock"),
    ("ID_INET_SOCK", "inet_sock"),
    ("ID_MOUNT", "mount"),
    ("ID_DENTRY", "dentry"),
    ("ID_VFSMOUNT", "vfsmount"),
    ("ID_KIOCB", "io_kiocb"),
    ("ID_WORD", "pt_regs"),
];

/// Cgroup controllers: global and member of `enum cgroup_subsys_id`.
const CONTROLLERS: &[(&str, &str)] = &[
    ("CG_CPUSET", "cpuset_cgrp_id"),
    ("CG_CPU", "cpu_cgrp_id"),
    ("CG_CPUACCT", "cpuacct_cgrp_id"),
    ("CG_IO", "io_cgrp_id"),
    ("CG_MEMORY", "memory_cgrp_id"),
    ("CG_PIDS", "pids_cgrp_id"),
    ("CG_DEVICES", "devices_cgrp_id"),
];

/// Resolves everything.
pub(crate) fn resolve(btf: &Btf<'_>) -> Result<Resolved, LiveError> {
    let mut globals = Vec::with_capacity(ROWS.len() + 32);
    let mut cached: Option<(&str, Option<u32>)> = None;
    for row in ROWS {
        let id = match cached {
            Some((name, id)) if name == row.structure => id,
            _ => btf.struct_id(row.structure),
        };
        cached = Some((row.structure, id));
        let place = id.and_then(|id| row.paths.iter().find_map(|path| btf.place(id, path)));
        let value = match place {
            Some(place) => u64::from(place.bit_offset / 8),
            None if row.optional => ABSENT,
            None => return Err(LiveError::NoMember { structure: row.structure, member: row.paths[0] }),
        };
        globals.push((row.global, value));
        if row.global == "S_SUBREAPER" {
            globals.push(("S_SUBREAPER_BIT", place.map_or(0, |p| u64::from(p.bit_offset % 8))));
        }
    }
    let regs =
        btf.struct_id("pt_regs").ok_or(LiveError::NoMember { structure: "pt_regs", member: "(itself)" })?;
    for (global, member) in REGISTERS {
        let place = btf.place(regs, member).ok_or(LiveError::NoMember { structure: "pt_regs", member })?;
        globals.push((global, u64::from(place.bit_offset / 8)));
    }
    let cast_kfunc = btf.func_id("bpf_rdonly_cast");
    globals.push(("CAST", u64::from(cast_kfunc.is_some())));
    for (global, structure) in CASTS {
        globals.push((global, btf.struct_id(structure).map_or(0, u64::from)));
    }
    let inode = btf.struct_id("inode").and_then(|id| btf.size_bytes(id)).unwrap_or(0);
    globals.push(("INODE_SIZE", u64::from(inode)));
    let mut numbers = [ABSENT; CONTROLLERS.len()];
    // Without cgroups there is no such enum, and every controller stays ABSENT.
    let _ = btf.enum_values("cgroup_subsys_id", |name, value| {
        if let Some(i) = CONTROLLERS.iter().position(|(_, member)| member.as_bytes() == name) {
            numbers[i] = u64::from(value);
        }
    });
    globals.extend(CONTROLLERS.iter().zip(numbers).map(|((global, _), value)| (*global, value)));
    let uring = uring::resolve(btf, &globals);
    globals.push(("URING_CQE", u64::from(uring.as_ref().is_some_and(|rows| rows.has_cqe_pointer))));
    Ok(Resolved { globals, cast_kfunc, uring })
}
