//! Every call of the table that can be made here without harm: the calls without an event of their
//! own are made one after another and their number, id and result compared; the others are made
//! by the rest of this suite, which is counted. What is not covered stands below with its reason.

use crate::expect::{BAD, Script};
use crate::recorder::record;
use capture_common::syscall_table::{Syscall, X86_64};
use std::collections::BTreeSet;

/// Calls that another file of this suite makes and compares.
const SUITE: &[&str] = &[
    include_str!("addresses.rs"),
    include_str!("administration.rs"),
    include_str!("descriptors.rs"),
    include_str!("files.rs"),
    include_str!("memory.rs"),
    include_str!("network.rs"),
    include_str!("processes.rs"),
];

/// Calls that are made nowhere in this suite, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("exit", "ends the thread; seen in live_order"),
    ("exit_group", "ends the process; its enter, which is all there is, is compared in processes.rs"),
    ("pause", "waits for a signal; seen in live_kitchen"),
    ("rt_sigreturn", "only a signal handler can; seen in processes.rs as a handler's end"),
    ("restart_syscall", "the kernel's own; seen in live_order"),
    ("set_tid_address", "the C library waits at that address for the thread's end"),
    ("rseq", "registered by the C library once per thread"),
    ("uretprobe", "ends the process with SIGILL outside of the kernel's own code"),
    ("uprobe", "as uretprobe"),
    ("vhangup", "takes the terminal away from everybody on it"),
    ("sync", "writes out the disks of the whole machine; seen in live_kitchen"),
    ("umask", "of all threads, other tests among them; seen in live_kitchen"),
    ("vfork", "shares this process's stack; seen in live_kitchen"),
    ("wait4", "may take another test's child; seen in live_kitchen"),
];

/// Arguments of calls to which those of everybody else would do harm, or which need others to end.
const ARGUMENTS: &[(&str, [u64; 6])] =
    &[("alarm", [0; 6]), ("waitid", [99, 0, 0, 0, 0, 0]), ("sched_yield", [0; 6]), ("getppid", [0; 6])];

/// What everybody else gets: no descriptor, no address, no process.
const NOTHING: [u64; 6] = [u64::MAX, BAD, BAD, BAD, BAD, BAD];

fn is_made_elsewhere(name: &str) -> bool {
    let needle = format!("SYS_{name}");
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    SUITE.iter().any(|text| text.match_indices(&needle).any(|(at, _)| is_end(&text[at + needle.len()..])))
}

#[test]
fn every_call_is_covered_or_has_its_reason() {
    let mut made = BTreeSet::new();
    let outcome = record("every_call_is_covered_or_has_its_reason", || {
        let mut s = Script::new();
        let mut made = BTreeSet::new();
        for call in X86_64.iter().filter(|call| call.is_generic()) {
            if LEFT_OUT.iter().any(|(name, _)| *name == call.name) {
                continue;
            }
            let own = ARGUMENTS.iter().find(|(name, _)| *name == call.name);
            s.call(i64::from(call.nr), own.map_or(&NOTHING, |(_, args)| args));
            made.insert(call.name);
        }
        (s, made)
    });
    if let Some(((script, names), recording)) = outcome {
        script.verify(&recording);
        made = names;
    }
    let covered =
        |call: &&Syscall| made.contains(call.name) || !call.is_generic() && is_made_elsewhere(call.name);
    let (yes, no): (Vec<_>, Vec<_>) = X86_64.iter().partition(covered);
    println!("{} of {} calls covered; not covered:", yes.len(), X86_64.len());
    for name in no.into_iter().map(|call| call.name) {
        let reason = LEFT_OUT.iter().find(|(left, _)| *left == name).map(|(_, reason)| *reason);
        match reason {
            Some(reason) => println!("  {name}: {reason}"),
            None if made.is_empty() => {}
            None => panic!("{name} is neither covered nor has it a reason"),
        }
    }
    assert!(made.is_empty() || yes.len() >= 350, "{} calls covered", yes.len());
}
