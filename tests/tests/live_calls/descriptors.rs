//! Calls on descriptors.

use crate::expect::{BAD, Script, V, c, cptr, mut_ptr, ptr};
use crate::recorder::{SNAPLEN, record};
use crate::values;
use std::os::fd::AsRawFd;

/// Text longer than the snaplen.
fn long_text() -> Vec<u8> {
    (0..200u8).map(|n| b'a' + n % 26).collect()
}

fn iovec(parts: &[&[u8]]) -> Vec<[u64; 2]> {
    parts.iter().map(|p| [p.as_ptr() as u64, p.len() as u64]).collect()
}

#[test]
fn reading_and_writing() {
    let file = tempfile::tempfile().expect("a file");
    let Some((script, recording)) = record("reading_and_writing", || {
        let mut s = Script::new();
        let fd = i64::from(file.as_raw_fd());
        let f = fd as u64;
        let text = long_text();
        let seen = text[..SNAPLEN].to_vec();
        s.ok(libc::SYS_write, &[f, ptr(&text[..]), 200]);
        s.enter(values!["fd" = fd, "size" = 200]);
        s.exit(values!["res" = 200, "data" = seen.clone(), "fd" = fd, "size" = 200]);
        let error = s.fails(libc::EBADF, libc::SYS_write, &[999, ptr(&text[..]), 3]);
        s.enter(values!["fd" = 999, "size" = 3]);
        s.exit(values!["res" = error, "data" = b"abc".to_vec(), "fd" = 999, "size" = 3]);
        s.ok(libc::SYS_lseek, &[f, 0, libc::SEEK_SET as u64]);
        s.enter(values!["fd" = fd, "offset" = 0, "whence" = 0]);
        s.exit(values!["res" = 0, "fd" = fd, "offset" = 0, "whence" = 0]);
        let error = s.fails(libc::EINVAL, libc::SYS_lseek, &[f, -5i64 as u64, libc::SEEK_CUR as u64]);
        s.enter(values!["fd" = fd, "offset" = -5, "whence" = 1]);
        s.exit(values!["res" = error, "fd" = fd, "offset" = -5, "whence" = 1]);
        let mut buf = [0u8; 4096];
        let at = mut_ptr(&mut buf);
        s.ok(libc::SYS_read, &[f, at, 4096]);
        s.enter(values!["fd" = fd, "size" = 4096]);
        s.exit(values!["res" = 200, "data" = seen, "fd" = fd, "size" = 4096]);
        s.ok(libc::SYS_read, &[f, at, 10]);
        s.enter(values!["fd" = fd, "size" = 10]);
        s.exit(values!["res" = 0, "data" = vec![], "fd" = fd, "size" = 10]);
        let error = s.fails(libc::EFAULT, libc::SYS_pread64, &[f, BAD, 10, 0]);
        s.enter(values!["fd" = fd, "size" = 10, "pos" = 0]);
        s.exit(values!["res" = error, "data" = vec![], "fd" = fd, "size" = 10, "pos" = 0]);
        s.ok(libc::SYS_pread64, &[f, at, 3, 23]);
        s.enter(values!["fd" = fd, "size" = 3, "pos" = 23]);
        s.exit(values!["res" = 3, "data" = b"xyz".to_vec(), "fd" = fd, "size" = 3, "pos" = 23]);
        let far = 1i64 << 33;
        s.ok(libc::SYS_pwrite64, &[f, ptr(&text[..]), 2, far as u64]);
        s.enter(values!["fd" = fd, "size" = 2, "pos" = far]);
        s.exit(values!["res" = 2, "data" = b"ab".to_vec(), "fd" = fd, "size" = 2, "pos" = far]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn vectors() {
    let file = tempfile::tempfile().expect("a file");
    let Some((script, recording)) = record("vectors", || {
        let mut s = Script::new();
        let fd = i64::from(file.as_raw_fd());
        let f = fd as u64;
        let two = iovec(&[b"hello ", b"world"]);
        s.ok(libc::SYS_writev, &[f, ptr(&two[..]), 2]);
        s.enter(values!["fd" = fd, "size" = 11]);
        s.exit(values!["res" = 11, "data" = b"hello world".to_vec(), "fd" = fd, "size" = 11]);
        let error = s.fails(libc::EBADF, libc::SYS_writev, &[999, ptr(&two[..]), 2]);
        s.enter(values!["fd" = 999, "size" = 11]);
        s.exit(values!["res" = error, "data" = b"hello world".to_vec(), "fd" = 999, "size" = 11]);
        s.ok(libc::SYS_pwritev, &[f, ptr(&two[..]), 1, 11]);
        s.enter(values!["fd" = fd, "size" = 6, "pos" = 11]);
        s.exit(values!["res" = 6, "data" = b"hello ".to_vec(), "fd" = fd, "size" = 6, "pos" = 11]);
        let (mut a, mut b) = ([0u8; 4], [0u8; 100]);
        let into = [[mut_ptr(&mut a), 4], [mut_ptr(&mut b), 100]];
        s.ok(libc::SYS_preadv, &[f, ptr(&into), 2, 6]);
        s.enter(values!["fd" = fd, "pos" = 6]);
        s.exit(values!["res" = 11, "size" = 11, "data" = b"worldhello ".to_vec(), "fd" = fd, "pos" = 6]);
        s.ok(libc::SYS_lseek, &[f, 0, 0]);
        s.enter(values!["fd" = fd, "offset" = 0, "whence" = 0]);
        s.exit(values!["res" = 0, "fd" = fd, "offset" = 0, "whence" = 0]);
        s.ok(libc::SYS_readv, &[f, ptr(&into), 2]);
        s.enter(values!["fd" = fd]);
        s.exit(values!["res" = 17, "size" = 17, "data" = b"hello worldhello ".to_vec(), "fd" = fd]);
        let error = s.fails(libc::EBADF, libc::SYS_readv, &[999, ptr(&into), 2]);
        s.enter(values!["fd" = 999]);
        s.exit(values!["res" = error, "size" = 0, "data" = vec![], "fd" = 999]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn copies() {
    let file = tempfile::tempfile().expect("a file");
    let Some((script, recording)) = record("copies", || {
        let mut s = Script::new();
        let fd = i64::from(file.as_raw_fd());
        let f = fd as u64;
        let one = s.ok(libc::SYS_dup, &[f]);
        s.enter(values!["fd" = fd]).exit(values!["res" = one]);
        let error = s.fails(libc::EBADF, libc::SYS_dup, &[999]);
        s.enter(values!["fd" = 999]).exit(values!["res" = error]);
        s.ok(libc::SYS_dup2, &[f, 200]);
        s.enter(values!["fd" = fd]).exit(values!["res" = 200]);
        s.ok(libc::SYS_dup3, &[f, 201, libc::O_CLOEXEC as u64]);
        s.enter(values!["fd" = fd]).exit(values!["res" = 201]);
        let error = s.fails(libc::EINVAL, libc::SYS_dup3, &[f, f, 0]);
        s.enter(values!["fd" = fd]).exit(values!["res" = error]);
        let dup = s.ok(libc::SYS_fcntl, &[f, libc::F_DUPFD_CLOEXEC as u64, 210]);
        s.enter(values!["fd" = fd, "cmd" = 26]);
        s.exit(values!["res" = dup, "fd" = fd, "cmd" = 26, "arg" = 210]);
        let flags = s.ok(libc::SYS_fcntl, &[f, libc::F_GETFL as u64, 0]);
        s.enter(values!["fd" = fd, "cmd" = 4]).exit(values!["res" = flags, "fd" = fd, "cmd" = 4, "arg" = 0]);
        let error = s.fails(libc::EBADF, libc::SYS_fcntl, &[999, libc::F_SETFD as u64, 1]);
        s.enter(values!["fd" = 999, "cmd" = 3]);
        s.exit(values!["res" = error, "fd" = 999, "cmd" = 3, "arg" = 1]);
        let mut size = 0u32;
        let place = mut_ptr(&mut size);
        let error = s.fails(libc::ENOTTY, libc::SYS_ioctl, &[f, libc::TIOCGWINSZ, place]);
        let request = libc::TIOCGWINSZ as i64;
        s.enter(values!["fd" = fd, "request" = request, "argument" = place as i64]);
        s.exit(values!["res" = error, "fd" = fd, "request" = request, "argument" = place as i64]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn pipes_and_counters() {
    let Some((script, recording)) = record("pipes_and_counters", || {
        let mut s = Script::new();
        let mut fds = [0i32; 2];
        let place = mut_ptr(&mut fds);
        for (nr, args) in
            [(libc::SYS_pipe, vec![place]), (libc::SYS_pipe2, vec![place, libc::O_NONBLOCK as u64])]
        {
            s.ok(nr, &args);
            // SAFETY: the kernel has just written both.
            let fds = unsafe { std::ptr::read_volatile(place as *const [i32; 2]) };
            let link = std::fs::read_link(format!("/proc/self/fd/{}", fds[0])).expect("is open");
            let ino = link.to_str().and_then(|l| l.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok());
            s.exit(values![
                "res" = 0,
                "fd1" = i64::from(fds[0]),
                "fd2" = i64::from(fds[1]),
                "ino" = ino.unwrap_or(0i64)
            ]);
        }
        let error = s.fails(libc::EFAULT, libc::SYS_pipe, &[BAD]);
        s.exit(values!["res" = error, "fd1" = -1, "fd2" = -1, "ino" = V::Unknown]);
        let fd = s.ok(libc::SYS_eventfd, &[7]);
        s.enter(values!["initval" = 7, "flags" = 0]).exit(values!["res" = fd, "initval" = 7, "flags" = 0]);
        let flags = (libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) as u64;
        let fd = s.ok(libc::SYS_eventfd2, &[8, flags]);
        s.enter(values!["initval" = 8, "flags" = 0x1040]);
        s.exit(values!["res" = fd, "initval" = 8, "flags" = 0x1040]);
        let mask = [0x200u64];
        let fd = s.ok(libc::SYS_signalfd4, &[u64::MAX, ptr(&mask), 8, libc::SFD_NONBLOCK as u64]);
        s.enter(values!["fd" = -1, "mask" = 0x200, "flags" = 0x40]);
        s.exit(values!["res" = fd, "fd" = -1, "mask" = 0x200, "flags" = 0x40]);
        let error = s.fails(libc::EINVAL, libc::SYS_eventfd2, &[8, 0xffff]);
        s.enter(values!["initval" = 8, "flags" = 0x40]);
        s.exit(values!["res" = error, "initval" = 8, "flags" = 0x40]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn sending_files() {
    let file = tempfile::tempfile().expect("a file");
    let out = tempfile::tempfile().expect("a file");
    let Some((script, recording)) = record("sending_files", || {
        use std::io::Write;
        let mut s = Script::new();
        (&file).write_all(&[b'x'; 100]).expect("writes");
        let (from, to) = (i64::from(file.as_raw_fd()), i64::from(out.as_raw_fd()));
        let mut offset = 40u64;
        let place = mut_ptr(&mut offset);
        s.ok(libc::SYS_sendfile, &[to as u64, from as u64, place, 50]);
        s.enter(values!["out_fd" = to, "in_fd" = from, "offset" = 40, "size" = 50]);
        s.exit(values!["res" = 50, "offset" = 90, "out_fd" = to, "in_fd" = from, "size" = 50]);
        let error = s.fails(libc::EBADF, libc::SYS_sendfile, &[999, from as u64, 0, 50]);
        s.enter(values!["out_fd" = 999, "in_fd" = from, "offset" = 0, "size" = 50]);
        s.exit(values!["res" = error, "offset" = 0, "out_fd" = 999, "in_fd" = from, "size" = 50]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

/// A stored fd list.
fn fd_list(entries: &[(i64, i16)]) -> Vec<u8> {
    let mut out = (entries.len() as u16).to_le_bytes().to_vec();
    for (fd, events) in entries {
        out.extend(fd.to_le_bytes());
        out.extend(events.to_le_bytes());
    }
    out
}

#[test]
fn waiting_for_descriptors() {
    let Some((script, recording)) = record("waiting_for_descriptors", || {
        let mut s = Script::new();
        let ready = crate::expect::raw(libc::SYS_eventfd2, &[1, 0]);
        let idle = crate::expect::raw(libc::SYS_eventfd2, &[0, 0]);
        let entry = |fd: i64, events: i16| libc::pollfd { fd: fd as i32, events, revents: 0 };
        let mut list = [entry(ready, libc::POLLIN | libc::POLLOUT), entry(idle, libc::POLLIN), entry(-1, 0)];
        let place = mut_ptr(&mut list);
        let (asked, got) =
            (fd_list(&[(ready, 1 | 4), (idle, 1), (-1, 0)]), fd_list(&[(ready, 1 | 4), (idle, 0), (-1, 0)]));
        s.ok(libc::SYS_poll, &[place, 3, 5]);
        s.enter(values!["fds" = asked.clone(), "timeout" = 5]);
        s.exit(values!["res" = 1, "fds" = got.clone(), "timeout" = 5]);
        let time: [i64; 2] = [1, 7];
        let mask = [0x200u64];
        s.ok(libc::SYS_ppoll, &[place, 3, ptr(&time), ptr(&mask), 8]);
        s.enter(values!["fds" = asked, "timeout" = 1_000_000_007, "sigmask" = 0x200]);
        // The kernel writes back what was left of the time.
        s.exit(values!["res" = 1, "fds" = got, "timeout" = V::Positive, "sigmask" = 0x200]);
        let error = s.fails(libc::EFAULT, libc::SYS_poll, &[BAD, 1, 0]);
        s.enter(values!["fds" = fd_list(&[]), "timeout" = 0]);
        s.exit(values!["res" = error, "fds" = fd_list(&[]), "timeout" = 0]);
        let none: [i64; 2] = [0, 0];
        s.ok(libc::SYS_select, &[0, 0, 0, 0, ptr(&none)]);
        s.exit(values!["res" = 0]);
        let epoll = s.ok(libc::SYS_epoll_create1, &[libc::EPOLL_CLOEXEC as u64]);
        s.enter(values!["flags" = 1]).exit(values!["res" = epoll, "flags" = 1]);
        let error = s.fails(libc::EINVAL, libc::SYS_epoll_create1, &[1]);
        s.enter(values!["flags" = 0]).exit(values!["res" = error, "flags" = 0]);
        let fd = s.ok(libc::SYS_epoll_create, &[9]);
        s.enter(values!["size" = 9]).exit(values!["res" = fd, "size" = 9]);
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 1 };
        let at = mut_ptr(&mut event);
        s.ok(libc::SYS_epoll_ctl, &[epoll as u64, 1, ready as u64, at]);
        s.ok(libc::SYS_epoll_wait, &[epoll as u64, at, 1, 0]);
        s.enter(values!["maxevents" = 1]).exit(values!["res" = 1, "maxevents" = 1]);
        let error = s.fails(libc::EINVAL, libc::SYS_epoll_wait, &[epoll as u64, at, 0, 0]);
        s.enter(values!["maxevents" = 0]).exit(values!["res" = error, "maxevents" = 0]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn calls_without_an_event_of_their_own() {
    let Some((script, recording)) = record("calls_without_an_event_of_their_own", || {
        let mut s = Script::new();
        s.ok(libc::SYS_getpid, &[]);
        s.ok(libc::SYS_gettid, &[]);
        let name = c("/");
        s.fails(libc::EINVAL, libc::SYS_readlink, &[cptr(&name), BAD, 0]);
        s.fails(libc::EINVAL, libc::SYS_membarrier, &[u64::from(u32::MAX)]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}
