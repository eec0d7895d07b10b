//! Page faults: recorded when asked for, with address, instruction and kind.

use capture_common::event_table::code;
use capture_tests::live;
use std::process::{Command, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
// Stored flags of a fault (`pf_flags`).
const NOT_PRESENT: u64 = 2;
const WRITE: u64 = 4;
const USER: u64 = 0x10;
const SUPERVISOR: u64 = 0x20;

/// Address, instruction and flags of the faults, and the address that the program says.
fn record(options: &[&str], test: &str) -> Option<(Vec<[u64; 3]>, u64)> {
    if !live::can_record(test) {
        return None;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let program = live::compile("faults", dir.path(), test)?;
    let file = dir.path().join("f.scap");
    let out = Command::new(CAPTURE)
        .args(options)
        .arg("-w")
        .arg(&file)
        .arg("--")
        .arg(&program)
        .stdin(Stdio::null())
        .output()
        .expect("capture runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8_lossy(&out.stdout).trim().parse().expect("an address");
    let mut faults = Vec::new();
    live::read_events(&file, |event| {
        if event.code == code::PAGE_FAULT_E {
            faults.push([0, 1, 2].map(|at| event.uint(at).expect("a number")));
        }
    })
    .expect("reads");
    Some((faults, said))
}

#[test]
fn every_new_page_is_a_fault() {
    let Some((faults, first)) = record(&["--page-faults"], "every_new_page_is_a_fault") else { return };
    let of = |page: u64| {
        faults.iter().filter(|[address, ..]| address / 4096 == first / 4096 + page).collect::<Vec<_>>()
    };
    for page in 1..16 {
        let [[address, ip, flags]] = of(page)[..] else { panic!("page {page}: {:?}", of(page)) };
        assert_eq!((address % 4096, *flags), (7, NOT_PRESENT | WRITE | USER));
        assert!(*ip != 0 && *ip < 1 << 47, "{ip:x} is an instruction of the program");
    }
    // The page that read(2) filled: touched by the kernel.
    let [[address, _, flags]] = of(0)[..] else { panic!("{:?}", of(0)) };
    assert_eq!((*address, *flags), (first, NOT_PRESENT | WRITE | SUPERVISOR));
}

#[test]
fn without_the_option_there_are_none() {
    let Some((faults, _)) = record(&[], "without_the_option_there_are_none") else { return };
    assert_eq!(faults, Vec::<[u64; 3]>::new());
}
