//! Reading kernel and user memory. Typed loads (`ld*`) follow pointers whose type the verifier
//! knows: they cost a plain load, and a fault reads as 0. `cast_*` gives a plain number a type
//! again; where the kernel cannot do that, `k*` falls back to a helper call per read.

use crate::config::ro;
use aya_ebpf::helpers::generated as helper;
use core::{
    ffi::c_void,
    ptr::{read_volatile, write_volatile},
};

/// Context of every program here: the tracepoint's arguments, one word each.
pub(crate) type Ctx = *mut u64;

#[inline(always)]
pub(crate) fn arg(ctx: Ctx, n: usize) -> u64 {
    // SAFETY: the verifier checks `n` against the tracepoint's prototype.
    unsafe { *ctx.add(n) }
}

macro_rules! loads {
    ($($name:ident, $store:ident: $t:ty;)*) => {$(
        /// Loads at `base + offset`.
        #[inline(always)]
        pub(crate) fn $name(base: u64, offset: u64) -> $t {
            // SAFETY: the verifier proves the access or makes it fault-safe.
            unsafe { read_volatile((base + offset) as *const $t) }
        }
        /// Stores at `base + offset`, in a map value.
        #[inline(always)]
        pub(crate) fn $store(base: *mut u8, offset: usize, value: $t) {
            // SAFETY: the verifier proves the access.
            unsafe { write_volatile(base.add(offset).cast(), value) }
        }
    )*};
}
loads! { ld8, st8: u64; ld4, st4: u32; ld2, st2: u16; ld1, st1: u8; }

/// Kernel memory by helper; 0 on a fault.
#[inline(always)]
pub(crate) fn probe8(addr: u64) -> u64 {
    let mut out = 0u64;
    // SAFETY: writes 8 bytes to `out`.
    unsafe { helper::bpf_probe_read_kernel((&raw mut out).cast(), 8, addr as *const c_void) };
    out
}

#[inline(always)]
pub(crate) fn probe4(addr: u64) -> u32 {
    let mut out = 0u32;
    // SAFETY: writes 4 bytes to `out`.
    unsafe { helper::bpf_probe_read_kernel((&raw mut out).cast(), 4, addr as *const c_void) };
    out
}

/// Kernel memory into a map value; false on a fault (the bytes are then 0).
#[inline(always)]
pub(crate) fn probe_into(dst: *mut u8, len: u64, addr: u64) -> bool {
    // SAFETY: the verifier proves that `len` bytes fit at `dst`.
    unsafe { helper::bpf_probe_read_kernel(dst.cast(), len as u32, addr as *const c_void) == 0 }
}

/// User memory into a map value; false on a fault (the bytes are then 0).
#[inline(always)]
pub(crate) fn user_into(dst: *mut u8, len: u64, addr: u64) -> bool {
    // SAFETY: the verifier proves that `len` bytes fit at `dst`.
    unsafe { helper::bpf_probe_read_user(dst.cast(), len as u32, addr as *const c_void) == 0 }
}

/// User string into a map value: bytes with the NUL, or negative.
#[inline(always)]
pub(crate) fn user_str_into(dst: *mut u8, cap: u64, addr: u64) -> i64 {
    // SAFETY: the verifier proves that `cap` bytes fit at `dst`.
    unsafe { helper::bpf_probe_read_user_str(dst.cast(), cap as u32, addr as *const c_void) }
}

/// Gives a plain number the type with BTF id `id`, where the kernel can; else returns it as is.
///
/// aya has no kfuncs: the call to `bpf_rdonly_cast` is emitted as data with a marker in place of
/// its BTF id, which the loader patches (or replaces by `r0 = r1`).
#[inline(always)]
pub(crate) fn cast(addr: u64, id: u64) -> u64 {
    let out: u64;
    // SAFETY: a call clobbers r0-r5 only.
    unsafe {
        core::arch::asm!(
            ".8byte 0x7fffff0100002085",
            inout("r1") addr => _, inout("r2") id => _, out("r0") out,
            out("r3") _, out("r4") _, out("r5") _,
        );
    }
    out
}

macro_rules! cast_loads {
    ($($name:ident, $typed:ident: $t:ty;)*) => {$(
        /// Loads from what `cast` returned.
        #[inline(always)]
        pub(crate) fn $name(base: u64, offset: u64) -> $t {
            if ro!(CAST) != 0 { $typed(base, offset) } else { probe8(base + offset) as $t }
        }
    )*};
}
cast_loads! { k8, ld8: u64; k4, ld4: u32; k2, ld2: u16; k1, ld1: u8; }

/// The task as an untrusted pointer. Loads from it are the same; but for each pointer loaded from a
/// trusted one the verifier searches the kernel's whole type information by name, several times,
/// which made loading the probe take seconds.
#[inline(always)]
pub(crate) fn untrusted(task: u64) -> u64 {
    cast(task, ro!(ID_TASK))
}

/// Turns a typed pointer into a plain number by way of a map value.
#[inline(always)]
pub(crate) fn plain(slot: *mut u64, pointer: u64) -> u64 {
    // SAFETY: `slot` is in a map value.
    unsafe {
        write_volatile(slot, pointer);
        read_volatile(slot)
    }
}

/// The running task, typed.
#[inline(always)]
pub(crate) fn current() -> u64 {
    // SAFETY: no arguments.
    unsafe { helper::bpf_get_current_task_btf() as u64 }
}

#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: no arguments.
    unsafe { helper::bpf_ktime_get_ns() }
}

#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: no arguments.
    unsafe { helper::bpf_get_smp_processor_id() }
}
