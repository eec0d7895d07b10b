//! Calls by the ia32 entry, as 32-bit programs make them.

use super::{Owned, capture};
use capture_common::abi::{IovInfo, tag};
use capture_tests::skip;
use capture_user::live::ProbeOptions;
use std::os::fd::AsRawFd;

/// A call by the ia32 entry, as a 32-bit program makes it.
fn int80(nr: u32, args: [u32; 3]) -> i32 {
    let ret: u64;
    // SAFETY: the kernel preserves all registers but rax (and r8 to r11); rbx, which LLVM keeps for
    // itself, is swapped in and out.
    unsafe {
        std::arch::asm!(
            "xchg {first}, rbx", "int 0x80", "xchg {first}, rbx",
            first = inout(reg) u64::from(args[0]) => _,
            inout("rax") u64::from(nr) => ret,
            in("rcx") u64::from(args[1]), in("rdx") u64::from(args[2]),
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    ret as i32
}

#[test]
fn ia32_callers() {
    const WRITE: u32 = 4;
    const WRITEV: u32 = 146;
    let ran = capture("ia32_callers", ProbeOptions::default(), || {
        let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        // SAFETY: a fresh mapping below 4 GB, used for two small arrays.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, 3, flags, -1, 0) };
        let low = at as u32;
        // SAFETY: as above.
        unsafe {
            at.cast::<[u8; 9]>().write(*b"low bytes");
            at.cast::<u8>().add(64).cast::<[u32; 4]>().write([low, 3, low + 4, 5]);
        }
        let fd = null.as_raw_fd() as u32;
        (int80(WRITE, [fd, low, 9]), int80(WRITEV, [fd, low + 64, 2]))
    });
    let Some(((written, vectored), tid, records)) = ran else { return };
    if written == -38 {
        return skip("ia32_callers", "this kernel has no ia32 entry");
    }
    assert_eq!((written, vectored), (9, 8));
    let compat = |nr| {
        let flags = |r: &Owned| r.view().header.flags & capture_common::abi::flag::COMPAT32 != 0;
        let found = records
            .iter()
            .filter(|r| r.tid == tid && r.nr == i64::from(nr) && flags(r))
            .cloned()
            .collect::<Vec<_>>();
        assert_eq!(found.len(), 2, "enter and exit of ia32 call {nr}");
        found
    };
    let write = compat(WRITE);
    assert_eq!((write[0].args()[2], write[1].ret()), (9, 9));
    assert_eq!(write[1].text(tag::BYTES, 1), "low bytes");
    let writev = compat(WRITEV);
    assert_eq!(IovInfo::read(&writev[0].section(tag::IOV_INFO).unwrap().data).unwrap().total_len, 8);
    assert_eq!(writev[1].text(tag::IOV, 1), "lowbytes");
}
