//! Memory, waiting, signals, identities.

use crate::expect::{BAD, Script, V, mut_ptr, ptr, raw};
use crate::recorder::{gettid, record};
use crate::values;
use capture_common::event_table::code;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

#[test]
fn mappings() {
    let Some((script, recording)) = record("mappings", || {
        let mut s = Script::new();
        let vm = |mut list: crate::expect::Values| {
            list.extend([("vm_size", V::Positive), ("vm_rss", V::Positive), ("vm_swap", V::Unknown)]);
            list
        };
        let (prot, flags) = (3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let minus_one = u64::MAX;
        let at = s.ok(libc::SYS_mmap, &[0, 65536, prot, flags as u64, minus_one, 0]);
        let args = |addr: i64, length: i64, fd: i64, offset: i64| {
            values![
                "addr" = addr,
                "length" = length,
                "prot" = 3,
                "flags" = 2 | 8,
                "fd" = fd,
                "offset" = offset
            ]
        };
        s.enter(args(0, 65536, -1, 0));
        let mut exit = vm(args(0, 65536, -1, 0));
        exit.push(("res", V::N(at)));
        s.exit(exit);
        let error =
            s.fails(libc::EBADF, libc::SYS_mmap, &[0, 4096, prot, libc::MAP_PRIVATE as u64, 999, 4096]);
        let args = values!["addr" = 0, "length" = 4096, "prot" = 3, "flags" = 2, "fd" = 999, "offset" = 4096];
        s.enter(args.clone());
        let mut exit = vm(args);
        exit.push(("res", V::N(error)));
        s.exit(exit);
        s.ok(libc::SYS_mprotect, &[at as u64, 4096, 1]);
        s.enter(values!["addr" = at, "length" = 4096, "prot" = 1]);
        s.exit(values!["res" = 0, "addr" = at, "length" = 4096, "prot" = 1]);
        let error = s.fails(libc::EINVAL, libc::SYS_mprotect, &[at as u64 + 1, 4096, 5]);
        s.enter(values!["addr" = at + 1, "length" = 4096, "prot" = 5]);
        s.exit(values!["res" = error, "addr" = at + 1, "length" = 4096, "prot" = 5]);
        s.ok(libc::SYS_munmap, &[at as u64, 65536]);
        s.enter(values!["addr" = at, "length" = 65536]);
        s.exit(vm(values!["res" = 0, "addr" = at, "length" = 65536]));
        let error = s.fails(libc::EINVAL, libc::SYS_munmap, &[at as u64 + 1, 4096]);
        s.enter(values!["addr" = at + 1, "length" = 4096]);
        s.exit(vm(values!["res" = error, "addr" = at + 1, "length" = 4096]));
        let end = s.ok(libc::SYS_brk, &[0]);
        s.enter(values!["addr" = 0]).exit(vm(values!["res" = end, "addr" = 0]));
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn waiting() {
    let Some((script, recording)) = record("waiting", || {
        let mut s = Script::new();
        let word = 5u32;
        let at = ptr(&word) as i64;
        // FUTEX_WAKE|FUTEX_PRIVATE_FLAG, FUTEX_WAIT on a value that is not there.
        s.ok(libc::SYS_futex, &[at as u64, 129, 3]);
        s.enter(values!["addr" = at, "op" = 129, "val" = 3]);
        s.exit(values!["res" = 0, "addr" = at, "op" = 129, "val" = 3]);
        let error = s.fails(libc::EAGAIN, libc::SYS_futex, &[at as u64, 0, 6, 0]);
        s.enter(values!["addr" = at, "op" = 0, "val" = 6]);
        s.exit(values!["res" = error, "addr" = at, "op" = 0, "val" = 6]);
        let time: [i64; 2] = [0, 1_500_000];
        s.ok(libc::SYS_nanosleep, &[ptr(&time), 0]);
        s.enter(values!["interval" = 1_500_000]).exit(values!["res" = 0, "interval" = 1_500_000]);
        let bad: [i64; 2] = [0, 1_000_000_000];
        let error = s.fails(libc::EINVAL, libc::SYS_nanosleep, &[ptr(&bad), 0]);
        s.enter(values!["interval" = 1_000_000_000]).exit(values!["res" = error, "interval" = 1_000_000_000]);
        let error = s.fails(libc::EFAULT, libc::SYS_nanosleep, &[BAD, 0]);
        s.enter(values!["interval" = -1]).exit(values!["res" = error, "interval" = -1]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn signals() {
    let Some((script, recording)) = record("signals", || {
        let mut s = Script::new();
        let (pid, tid) = (i64::from(std::process::id()), gettid());
        s.ok(libc::SYS_kill, &[pid as u64, 0]);
        s.enter(values!["pid" = pid, "sig" = 0]).exit(values!["res" = 0, "pid" = pid, "sig" = 0]);
        let error = s.fails(libc::ESRCH, libc::SYS_kill, &[0x3fff_ffff, 15]);
        s.enter(values!["pid" = 0x3fff_ffff, "sig" = 15]);
        s.exit(values!["res" = error, "pid" = 0x3fff_ffff, "sig" = 15]);
        let error = s.fails(libc::EINVAL, libc::SYS_kill, &[pid as u64, 99]);
        s.enter(values!["pid" = pid, "sig" = 99]).exit(values!["res" = error, "pid" = pid, "sig" = 99]);
        s.ok(libc::SYS_tkill, &[tid as u64, 0]);
        s.enter(values!["tid" = tid, "sig" = 0]).exit(values!["res" = 0, "tid" = tid, "sig" = 0]);
        s.ok(libc::SYS_tgkill, &[pid as u64, tid as u64, 0]);
        s.enter(values!["pid" = pid, "tid" = tid, "sig" = 0]);
        s.exit(values!["res" = 0, "pid" = pid, "tid" = tid, "sig" = 0]);
        let error = s.fails(libc::ESRCH, libc::SYS_tgkill, &[pid as u64, 0x3fff_ffff, 9]);
        s.enter(values!["pid" = pid, "tid" = 0x3fff_ffff, "sig" = 9]);
        s.exit(values!["res" = error, "pid" = pid, "tid" = 0x3fff_ffff, "sig" = 9]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

/// A shell that ends with 3 when `signal` reaches it, and says when it is ready for that.
fn trapping(signal: &str, set_timer: bool) -> Child {
    let script = format!("trap 'exit 3' {signal}; echo; while :; do sleep 0.02; done");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdout(Stdio::piped());
    // SAFETY: setitimer is a plain system call, and the timer outlives the exec.
    unsafe {
        command.pre_exec(move || {
            let mut timer: libc::itimerval = std::mem::zeroed();
            timer.it_value.tv_sec = i64::from(set_timer);
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
            Ok(())
        });
    }
    let mut child = command.spawn().expect("starts");
    child.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("is ready");
    child
}

#[test]
fn delivered_signals() {
    let own = i64::from(std::process::id());
    let Some((children, recording)) = record("delivered_signals", || {
        let mut killed = Command::new("sleep").arg("10").spawn().expect("starts");
        killed.kill().expect("is there");
        let asked = trapping("TERM", false);
        raw(libc::SYS_kill, &[u64::from(asked.id()), libc::SIGTERM as u64]);
        let aborted = Command::new("sh").args(["-c", "kill -ABRT $$"]).spawn().expect("starts");
        let itself = i64::from(aborted.id());
        let children = [
            // The kernel hands out SIGKILL without what came with it.
            (killed, 0, libc::SIGKILL),
            (asked, own, libc::SIGTERM),
            (trapping("ALRM", true), 0, libc::SIGALRM),
            (aborted, itself, libc::SIGABRT),
        ];
        children.map(|(mut child, sender, signal)| {
            let status = child.wait().expect("ends");
            assert!(status.code() == Some(3) || status.signal() == Some(signal), "{status}");
            (i64::from(child.id()), sender, i64::from(signal))
        })
    }) else {
        return;
    };
    for (pid, sender, signal) in children {
        let events = recording.of(pid);
        let delivered: Vec<_> = (events.iter().filter(|e| e.code == code::SIGNALDELIVER_E))
            .map(|e| (e.int(0), e.int(1), e.uint(2)))
            // The shells' own children end, too.
            .filter(|(_, _, signal)| *signal != Some(libc::SIGCHLD as u64))
            .collect();
        assert_eq!(delivered, [(Some(sender), Some(pid), Some(signal as u64))], "child {pid}");
    }
}

#[test]
fn identities() {
    let Some((script, recording)) = record("identities", || {
        let mut s = Script::new();
        for (nr, name) in [
            (libc::SYS_getuid, "uid"),
            (libc::SYS_geteuid, "euid"),
            (libc::SYS_getgid, "gid"),
            (libc::SYS_getegid, "egid"),
        ] {
            let id = s.ok(nr, &[]);
            s.exit(vec![(name, V::N(id))]);
        }
        let mut ids = [0u32; 3];
        let base = mut_ptr(&mut ids);
        let places = [base, base + 4, base + 8];
        s.ok(libc::SYS_getresuid, &places);
        s.exit(values!["res" = 0, "ruid" = 0, "euid" = 0, "suid" = 0]);
        s.ok(libc::SYS_getresgid, &places);
        s.exit(values!["res" = 0, "rgid" = 0, "egid" = 0, "sgid" = 0]);
        let error = s.fails(libc::EFAULT, libc::SYS_getresuid, &[BAD, BAD, BAD]);
        s.exit(values!["res" = error, "ruid" = -1, "euid" = -1, "suid" = -1]);
        // Credentials are per thread for raw calls; the last ones lock this thread out.
        let none = u64::MAX;
        s.ok(libc::SYS_setresgid, &[none, 7, none]);
        s.enter(values!["rgid" = -1, "egid" = 7, "sgid" = -1]);
        s.exit(values!["res" = 0, "rgid" = -1, "egid" = 7, "sgid" = -1]);
        s.ok(libc::SYS_setgid, &[8]);
        s.enter(values!["gid" = 8]).exit(values!["res" = 0, "gid" = 8]);
        s.ok(libc::SYS_setregid, &[9, 9]);
        s.exit(values!["res" = 0, "rgid" = 9, "egid" = 9]);
        s.ok(libc::SYS_setreuid, &[none, 1001]);
        s.exit(values!["res" = 0, "ruid" = -1, "euid" = 1001]);
        s.ok(libc::SYS_setresuid, &[1001, 1001, 1001]);
        s.enter(values!["ruid" = 1001, "euid" = 1001, "suid" = 1001]);
        s.exit(values!["res" = 0, "ruid" = 1001, "euid" = 1001, "suid" = 1001]);
        let error = s.fails(libc::EPERM, libc::SYS_setuid, &[0]);
        s.enter(values!["uid" = 0]).exit(values!["res" = error, "uid" = 0]);
        s.ok(libc::SYS_getresuid, &places);
        s.exit(values!["res" = 0, "ruid" = 1001, "euid" = 1001, "suid" = 1001]);
        let error = s.fails(libc::EPERM, libc::SYS_setgid, &[0]);
        s.enter(values!["gid" = 0]).exit(values!["res" = error, "gid" = 0]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}
