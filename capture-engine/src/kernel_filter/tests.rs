//! What the kernel may be told of filters: never less than what can pass.

use super::*;
use capture_common::syscall_table::X86_64;
use filter_lang::Library;

fn calls() -> Vec<CallEvents> {
    let events = |s: &capture_common::syscall_table::Syscall| CallEvents {
        enter: s.enter,
        exit: s.exit,
        generic: s.is_generic().then(|| (s.stored_generic_id(), s.nr)),
        tells_result: true,
    };
    X86_64.iter().map(events).collect()
}

fn pushed(text: &str) -> Result<KernelFilter, NotPushed> {
    let filter = EventFilter::compile(text, &Library::new()).unwrap();
    KernelFilter::new(filter.filter(), Shown::default(), &calls())
}

fn passes(filter: &KernelFilter, name: &str) -> Passes {
    let at = X86_64.iter().position(|s| s.name == name).unwrap();
    filter.passes()[at]
}

const NONE: Passes = Passes { enter: 0, exit_ok: 0, exit_failed: 0 };

#[test]
fn calls_that_cannot_match_are_left_out_and_state_is_kept() {
    let filter = pushed("evt.type=read").unwrap();
    assert_eq!(passes(&filter, "read"), Passes::ALL);
    for name in ["write", "futex", "lseek", "rt_sigaction", "mmap", "rseq", "statx"] {
        assert_eq!(passes(&filter, name), NONE, "{name}");
    }
    for name in ["execve", "clone", "openat", "close", "connect", "sendto", "chdir", "mkdir", "setuid"] {
        assert_eq!(passes(&filter, name), Passes::ALL, "{name}");
    }
    assert!(!filter.needs.threads);
}

#[test]
fn calls_without_events_of_their_own_go_by_name() {
    let filter = pushed("evt.type in (rt_sigaction, rseq)").unwrap();
    assert_eq!(passes(&filter, "rt_sigaction"), Passes::ALL);
    assert_eq!(passes(&filter, "rseq"), Passes::ALL);
    assert_eq!(passes(&filter, "rt_sigprocmask"), NONE);
}

#[test]
fn directions_and_results_are_told_apart() {
    let enters = Passes { enter: u8::MAX, ..NONE };
    let failed = Passes { exit_failed: u8::MAX, ..NONE };
    let exits = Passes { enter: 0, ..Passes::ALL };
    assert_eq!(passes(&pushed("evt.type=read and evt.dir=>").unwrap(), "read"), enters);
    assert_eq!(passes(&pushed("evt.dir=<").unwrap(), "read"), exits);
    for text in ["evt.failed=true", "evt.rawres<0", "evt.res!=SUCCESS", "evt.count.error=1"] {
        assert_eq!(passes(&pushed(text).unwrap(), "read"), failed, "{text}");
    }
    let ok = Passes { exit_ok: u8::MAX, ..NONE };
    for text in ["evt.rawres>=0", "evt.res=SUCCESS", "evt.rawres>0"] {
        assert_eq!(passes(&pushed(text).unwrap(), "read"), ok, "{text}");
    }
    // A restart is negative and no failure.
    assert_eq!(passes(&pushed("evt.failed=false").unwrap_err().into_passes(), "read"), Passes::ALL);
}

impl NotPushed {
    fn into_passes(self) -> KernelFilter {
        assert_eq!(self, NotPushed::Nothing);
        let passes = vec![Passes::ALL; X86_64.len()];
        KernelFilter {
            parts: Parts::default(),
            classes: vec![0],
            passes,
            needs: Needs::default(),
            needs_metadata: false,
            needs_image: false,
        }
    }
}

#[test]
fn durations_keep_the_enters_of_exits() {
    let filter = pushed("evt.type=read and evt.dir=< and evt.latency>1ms").unwrap();
    assert_eq!(passes(&filter, "read"), Passes::ALL);
    assert_eq!(passes(&filter, "write"), NONE);
    let filter = EventFilter::compile("evt.type=read and evt.dir=<", &Library::new()).unwrap();
    let shown = Shown { latency: true, ..Shown::default() };
    let filter = KernelFilter::new(filter.filter(), shown, &calls()).unwrap();
    assert_eq!(passes(&filter, "read"), Passes::ALL);
}

#[test]
fn threads_are_told_apart_by_what_decides_them() {
    let filter = pushed("proc.name=nginx").unwrap();
    assert!(filter.needs.threads && filter.needs.keys_only);
    // Results 0: another name; 1: this one. Unknown threads pass.
    let of = |results: usize| filter.classes[results];
    let read = passes(&filter, "read");
    assert_eq!(read.enter >> of(0) & 1, 0);
    assert_eq!(read.enter >> of(1) & 1, 1);
    assert_eq!(read.enter >> CLASS_UNKNOWN & 1, 1);
    assert_eq!(passes(&filter, "openat"), Passes::ALL);

    let mixed = pushed("(proc.name=a and evt.type=read) or (user.uid=0 and evt.type=write)").unwrap();
    assert_eq!(mixed.classes.len(), 4);
    assert_eq!(passes(&mixed, "lseek"), NONE);
    assert!(mixed.needs.keys_only && !mixed.needs.ancestors);
    assert!(pushed("proc.aname=sshd").unwrap().needs.ancestors);
    assert!(pushed("container.id=abc and evt.type=read").unwrap().needs.containers);
    assert!(!pushed("proc.cmdline contains x").unwrap().needs.keys_only);
}

#[test]
fn what_depends_on_every_event_is_not_decided() {
    for text in ["evt.num=3", "evt.type=read and evt.deltatime>1s", "proc.vmsize>1", "evt.reltime<5s"] {
        assert!(matches!(pushed(text), Err(NotPushed::NeedsAll { .. })), "{text}");
    }
    assert_eq!(pushed("fd.name contains etc or evt.cpu=1").unwrap_err(), NotPushed::Nothing);
}

#[test]
fn fields_of_fds_rule_out_calls_without_one() {
    let filter = pushed("fd.name=/etc/hosts").unwrap();
    assert_eq!(passes(&filter, "read"), Passes::ALL);
    assert_eq!(passes(&filter, "getpid"), NONE);
    let filter = pushed("evt.arg.data contains x").unwrap();
    assert_eq!(passes(&filter, "nanosleep"), NONE);
}
