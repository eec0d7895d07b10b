//! Programs on page faults, attached when asked for: a fault costs about a microsecond, and starting a
//! process takes hundreds.

use crate::{
    config::ro,
    read::{Ctx, arg, current, ld8, st4, st8, untrusted},
    sched,
};
use capture_common::abi::{PageFaultFixed, RecordHeader, kind};
use core::mem::offset_of;

const FIXED: usize = RecordHeader::LEN_BYTES;

#[inline(always)]
fn fault(ctx: Ctx) -> i32 {
    let Some(record) = sched::begin(kind::PAGE_FAULT, untrusted(current()), false, None) else { return 0 };
    st8(record.start, FIXED + offset_of!(PageFaultFixed, address), arg(ctx, 0));
    st8(record.start, FIXED + offset_of!(PageFaultFixed, ip), ld8(arg(ctx, 1), ro!(R_IP)));
    st4(record.start, FIXED + offset_of!(PageFaultFixed, error), arg(ctx, 2) as u32);
    st4(record.start, FIXED + offset_of!(PageFaultFixed, reserved), 0);
    record.publish((FIXED + PageFaultFixed::LEN_BYTES) as u64);
    0
}

/// tp_btf page_fault_user(address, regs, error_code).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/page_fault_user")]
pub fn capture_fault_user(ctx: Ctx) -> i32 {
    fault(ctx)
}

/// tp_btf page_fault_kernel(address, regs, error_code): the kernel touches a page, as a rule the
/// caller's.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/page_fault_kernel")]
pub fn capture_fault_kernel(ctx: Ctx) -> i32 {
    fault(ctx)
}
