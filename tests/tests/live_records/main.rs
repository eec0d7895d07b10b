//! The probe on the running kernel: make a call, expect its records, byte by byte. Needs root;
//! skipped otherwise.
#![allow(unsafe_code, reason = "makes raw system calls")]

#[cfg(target_arch = "x86_64")]
mod ia32;

use capture_common::abi::{
    EnterFixed, ExecFixed, ExitFixed, FdInfo, ForkFixed, IovInfo, MmInfo, MsgInfo, ProcExitFixed, RecordView,
    SockInfo, TaskInfo, exe_flag, kind, section_flag, tag,
};
use capture_tests::skip;
use capture_user::live::{Collector, Item, LiveError, LiveOptions, ProbeOptions};
use std::{
    ffi::CString,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::AsRawFd,
        unix::{
            fs::MetadataExt,
            net::{UnixListener, UnixStream},
        },
    },
    process::Command,
    sync::Mutex,
};

/// A record, copied out.
#[derive(Clone, Debug)]
struct Owned {
    kind: u8,
    nr: i64,
    pid: u32,
    tid: u32,
    ts_ns: u64,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct OwnedSection {
    tag: u8,
    arg: u8,
    flags: u16,
    data: Vec<u8>,
}

impl Owned {
    fn view(&self) -> RecordView<'_> {
        RecordView::parse(&self.bytes).unwrap()
    }
    fn args(&self) -> [u64; 6] {
        match self.kind {
            kind::ENTER => self.view().split::<EnterFixed>().unwrap().0.args,
            _ => self.view().split::<ExitFixed>().unwrap().0.args,
        }
    }
    fn ret(&self) -> i64 {
        self.view().split::<ExitFixed>().unwrap().0.ret
    }
    fn sections(&self) -> Vec<OwnedSection> {
        let sections = match self.kind {
            kind::ENTER => self.view().split::<EnterFixed>().unwrap().1,
            kind::EXIT => self.view().split::<ExitFixed>().unwrap().1,
            _ => self.view().split::<ExecFixed>().unwrap().1,
        };
        let own = |s: capture_common::abi::Section<'_>| OwnedSection {
            tag: s.header.tag,
            arg: s.header.arg,
            flags: s.header.flags,
            data: s.data.to_vec(),
        };
        sections.map(own).collect()
    }
    fn section(&self, tag: u8) -> Option<OwnedSection> {
        self.sections().into_iter().find(|s| s.tag == tag)
    }
    fn text(&self, tag: u8, arg: u8) -> String {
        let found = self.sections().into_iter().find(|s| s.tag == tag && s.arg == arg);
        String::from_utf8(found.unwrap_or_else(|| panic!("no section {tag} {arg} in {self:?}")).data).unwrap()
    }
}

/// One probe at a time: tests of a file run in parallel.
static ONE: Mutex<()> = Mutex::new(());

/// Runs `work` in a thread of its own under capture; its result and all records.
fn capture<T: Send + 'static>(
    name: &str,
    options: ProbeOptions,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<(T, u32, Vec<Owned>)> {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        skip(name, "needs root");
        return None;
    }
    let options = LiveOptions { probe: ProbeOptions { exclude_self: false, ..options } };
    let mut collector = match Collector::open(&options) {
        Ok(collector) => collector,
        Err(e) => panic!("{name}: {e}"),
    };
    let mut records = Vec::new();
    let mut keep = |item: Item<'_>| match item {
        Item::Record(r) => {
            let h = r.view.header;
            let bytes = [&header_bytes(&h), r.view.body()].concat();
            records.push(Owned {
                kind: h.kind,
                nr: i64::from(h.nr),
                pid: h.pid,
                tid: h.tid,
                ts_ns: r.ts_ns,
                bytes,
            });
        }
        other => panic!("lost records: {other:?}"),
    };
    let worker = std::thread::spawn(move || {
        // SAFETY: no arguments.
        let tid = unsafe { libc::gettid() } as u32;
        (work(), tid)
    });
    while !worker.is_finished() {
        let sleep = collector.drain(&mut keep).unwrap();
        std::thread::sleep(sleep);
    }
    let (out, tid) = worker.join().unwrap();
    collector.finish(&mut keep).unwrap();
    assert!(records.is_sorted_by_key(|r| r.ts_ns), "times never go back");
    Some((out, tid, records))
}

fn header_bytes(h: &capture_common::abi::RecordHeader) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(h.len.to_ne_bytes());
    out.extend([h.kind, h.flags]);
    out.extend(h.nr.to_ne_bytes());
    out.extend(h.ts_ns.to_ne_bytes());
    out.extend(h.tid.to_ne_bytes());
    out.extend(h.pid.to_ne_bytes());
    out
}

/// The enter and exit records of call `nr` by thread `tid`, in order.
fn calls(records: &[Owned], tid: u32, nr: i64) -> Vec<(Owned, Owned)> {
    let mine =
        records.iter().filter(|r| r.tid == tid && r.nr == nr && matches!(r.kind, kind::ENTER | kind::EXIT));
    let mine = mine.cloned().collect::<Vec<_>>();
    let pair = |p: &[Owned]| {
        assert_eq!((p[0].kind, p[1].kind), (kind::ENTER, kind::EXIT));
        (p[0].clone(), p[1].clone())
    };
    mine.chunks_exact(2).map(pair).collect()
}

#[test]
fn the_running_kernel_has_what_the_probe_reads() {
    match capture_user::live::features::check_structures() {
        Ok(places) => assert!(places > 100, "{places}"),
        Err(LiveError::NoBtf { .. }) => skip("the_running_kernel_has_what_the_probe_reads", "no BTF"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let missing = dir.path().join("missing");
    let (work_path, work_missing) = (path.clone(), missing.clone());
    let ran = capture("files", ProbeOptions::default(), move || {
        let mut file = std::fs::File::create(&work_path).unwrap();
        file.write_all(b"hello probe").unwrap();
        file.write_all(&[b'x'; 200]).unwrap();
        let vector =
            [std::io::IoSlice::new(b"one "), std::io::IoSlice::new(b"two "), std::io::IoSlice::new(b"three")];
        assert_eq!(file.write_vectored(&vector).unwrap(), 13);
        let meta = file.metadata().unwrap();
        let mut back = [0; 5];
        std::fs::File::open(&work_path).unwrap().read_exact(&mut back).unwrap();
        std::fs::File::open(&work_missing).unwrap_err();
        std::fs::rename(&work_path, &work_missing).unwrap();
        (file.as_raw_fd(), meta.ino(), meta.dev())
    });
    let Some(((fd, ino, dev), tid, records)) = ran else { return };
    let opens = calls(&records, tid, libc::SYS_openat);
    let (enter, exit) = &opens[0];
    assert_eq!(enter.text(tag::STR, 1), path.to_str().unwrap());
    assert_eq!(exit.text(tag::STR, 1), path.to_str().unwrap());
    assert_eq!(exit.ret(), i64::from(fd));
    let info = FdInfo::read(&exit.section(tag::FDINFO).unwrap().data).unwrap();
    assert_eq!((info.fd, info.ino, info.mode & 0o170_000), (fd, ino, 0o100_000));
    assert_eq!(
        u64::from(info.dev),
        (dev & 0xff) | (dev >> 8 & 0xfff) << 8 | (dev >> 20) << 20,
        "dev {dev:x}"
    );
    let (_, failed) = &opens[2];
    assert_eq!((failed.ret(), failed.section(tag::FDINFO).is_none()), (-2, true));
    let writes = calls(&records, tid, libc::SYS_write);
    assert_eq!(writes[0].1.text(tag::BYTES, 1), "hello probe");
    assert_eq!(writes[0].0.args()[2], 11);
    let long = writes[1].1.section(tag::BYTES).unwrap();
    assert_eq!((long.data.len(), long.flags), (80, section_flag::TRUNCATED));
    let (enter, exit) = &calls(&records, tid, libc::SYS_writev)[0];
    let total = IovInfo::read(&enter.section(tag::IOV_INFO).unwrap().data).unwrap();
    assert_eq!((total.total_len, total.count), (13, 3));
    assert_eq!(exit.text(tag::IOV, 1), "one two three");
    let reads = calls(&records, tid, libc::SYS_read);
    assert_eq!(reads[0].1.text(tag::BYTES, 1), "hello");
    let (_, exit) = &calls(&records, tid, libc::SYS_rename)[0];
    assert_eq!(
        (exit.text(tag::STR, 0), exit.text(tag::STR, 1)),
        (path.display().to_string(), missing.display().to_string())
    );
}

#[test]
fn sockets() {
    let dir = tempfile::tempdir().unwrap();
    let unix_path = dir.path().join("sock");
    let work_path = unix_path.clone();
    let ran = capture("sockets", ProbeOptions::default(), move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        client.write_all(b"ping").unwrap();
        let mut back = [0; 4];
        server.read_exact(&mut back).unwrap();
        let v6 = TcpListener::bind("[::1]:0").map(|l| {
            let port = l.local_addr().unwrap().port();
            drop(TcpStream::connect(l.local_addr().unwrap()).unwrap());
            port
        });
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = udp.local_addr().unwrap();
        udp.send_to(b"datagram", to).unwrap();
        let mut back = [0; 64];
        udp.recv_from(&mut back).unwrap();
        let unix = UnixListener::bind(&work_path).unwrap();
        let unix_client = UnixStream::connect(&work_path).unwrap();
        drop((unix.accept().unwrap(), unix_client));
        drop(UnixStream::pair().unwrap());
        (address, peer, v6.ok(), to)
    });
    let Some(((address, peer, v6, udp), tid, records)) = ran else { return };
    let sock = |r: &Owned, arg: u8| {
        let found = r.sections().into_iter().find(|s| s.tag == tag::SOCK && s.arg == arg);
        SockInfo::read(&found.unwrap_or_else(|| panic!("no SOCK {arg} in {r:?}")).data).unwrap()
    };
    let connects = calls(&records, tid, libc::SYS_connect);
    let (enter, exit) = &connects[0];
    let raw = enter.section(tag::SOCKADDR).unwrap();
    assert_eq!((raw.arg, raw.data.len(), &raw.data[4..8]), (1, 16, &[127, 0, 0, 1][..]));
    let s = sock(exit, 0);
    assert_eq!((s.family, s.sock_type, s.protocol), (2, 1, 6));
    assert_eq!((s.local_port, s.remote_port), (peer.port(), address.port()));
    assert_eq!((&s.local_addr[..4], &s.remote_addr[..4]), (&[127, 0, 0, 1][..], &[127, 0, 0, 1][..]));
    let (_, accepted) = &calls(&records, tid, libc::SYS_accept4)[0];
    let s = sock(accepted, 0xff);
    assert_eq!((i64::from(s.fd), s.local_port, s.remote_port), (accepted.ret(), address.port(), peer.port()));
    assert!(sock(accepted, 0).max_ack_backlog > 0);
    if let Some(port) = v6 {
        let s = sock(&connects[1].1, 0);
        let mut loopback = [0; 16];
        loopback[15] = 1;
        assert_eq!((s.family, s.remote_port, s.remote_addr, s.local_addr), (10, port, loopback, loopback));
    }
    let (enter, exit) = calls(&records, tid, libc::SYS_sendto).into_iter().find(|c| c.1.ret() == 8).unwrap();
    assert_eq!(sock(&enter, 0).local_port, udp.port());
    assert_eq!(enter.section(tag::SOCKADDR).unwrap().data[2..4], udp.port().to_be_bytes());
    assert_eq!(exit.text(tag::BYTES, 1), "datagram");
    let (_, exit) = calls(&records, tid, libc::SYS_recvfrom).into_iter().find(|c| c.1.ret() == 8).unwrap();
    assert_eq!(exit.section(tag::SOCKADDR).unwrap().data[2..4], udp.port().to_be_bytes());
    assert_eq!(exit.text(tag::BYTES, 1), "datagram");
    let (_, exit) = connects.last().unwrap();
    let s = sock(exit, 0);
    assert_eq!((s.family, s.peer_addr != 0, s.sk_addr != 0), (1, true, true));
    assert_eq!(exit.text(tag::UNIX_NAME, 1).trim_end_matches('\0'), unix_path.to_str().unwrap());
    let (_, pair) = &calls(&records, tid, libc::SYS_socketpair)[0];
    assert_eq!(pair.section(tag::RAW).unwrap().data.len(), 8);
    assert!(sock(pair, 3).peer_addr != 0);
}

#[test]
fn messages() {
    let ran = capture("messages", ProbeOptions::default(), || {
        let (a, b) = UnixStream::pair().unwrap();
        let mut text = *b"message with descriptor";
        let mut iov = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
        let mut control = [0u8; 64];
        // SAFETY: plain structs; every pointer outlives its call.
        unsafe {
            let mut msg: libc::msghdr = std::mem::zeroed();
            (msg.msg_iov, msg.msg_iovlen) = (&raw mut iov, 1);
            (msg.msg_control, msg.msg_controllen) =
                (control.as_mut_ptr().cast(), libc::CMSG_SPACE(4) as usize);
            let c = libc::CMSG_FIRSTHDR(&raw const msg);
            (*c).cmsg_level = libc::SOL_SOCKET;
            (*c).cmsg_type = libc::SCM_RIGHTS;
            (*c).cmsg_len = libc::CMSG_LEN(4) as usize;
            libc::CMSG_DATA(c).cast::<i32>().write_unaligned(a.as_raw_fd());
            assert_eq!(libc::sendmsg(a.as_raw_fd(), &raw const msg, 0), 23);
            (msg.msg_control, msg.msg_controllen) = (control.as_mut_ptr().cast(), 64);
            assert_eq!(libc::recvmsg(b.as_raw_fd(), &raw mut msg, 0), 23);
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            udp.connect(udp.local_addr().unwrap()).unwrap();
            let mut pieces = [[b'a'; 3], [b'b'; 3]];
            let mut iovs =
                pieces.each_mut().map(|p| libc::iovec { iov_base: p.as_mut_ptr().cast(), iov_len: 3 });
            let mut many: [libc::mmsghdr; 2] = std::mem::zeroed();
            for (m, iov) in many.iter_mut().zip(&mut iovs) {
                (m.msg_hdr.msg_iov, m.msg_hdr.msg_iovlen) = (iov, 1);
            }
            assert_eq!(libc::sendmmsg(udp.as_raw_fd(), many.as_mut_ptr(), 2, 0), 2);
        }
    });
    let Some(((), tid, records)) = ran else { return };
    let (enter, exit) = &calls(&records, tid, libc::SYS_sendmsg)[0];
    let msg = MsgInfo::read(&enter.section(tag::MSG).unwrap().data).unwrap();
    assert_eq!((msg.total_len, msg.iov_count), (23, 1));
    assert_eq!(exit.text(tag::IOV, 1), "message with descriptor");
    let (_, exit) = &calls(&records, tid, libc::SYS_recvmsg)[0];
    assert_eq!(exit.text(tag::IOV, 1), "message with descriptor");
    let control = exit.section(tag::CMSG).unwrap().data;
    assert_eq!(control[8..16], [1, 0, 0, 0, 1, 0, 0, 0], "SOL_SOCKET, SCM_RIGHTS");
    let (_, exit) = &calls(&records, tid, libc::SYS_sendmmsg)[0];
    let groups =
        exit.sections().into_iter().filter(|s| s.tag == tag::MSG).map(|s| MsgInfo::read(&s.data).unwrap());
    assert_eq!(groups.map(|m| (m.index, m.msg_len)).collect::<Vec<_>>(), [(0, 3), (1, 3)]);
    let data = exit.sections().into_iter().filter(|s| s.tag == tag::IOV).map(|s| s.data).collect::<Vec<_>>();
    assert_eq!(data, [b"aaa".to_vec(), b"bbb".to_vec()]);
}

#[test]
fn fixed_structs() {
    let ran = capture("fixed_structs", ProbeOptions::default(), || {
        std::thread::sleep(std::time::Duration::from_micros(1234));
        let mut fds = [0; 2];
        // SAFETY: valid pointers.
        unsafe {
            assert_eq!(libc::pipe(fds.as_mut_ptr()), 0);
            let mut polls = fds.map(|fd| libc::pollfd { fd, events: libc::POLLOUT, revents: 0 });
            assert_eq!(libc::poll(polls.as_mut_ptr(), 2, 0), 1);
            let time = libc::timespec { tv_sec: 0, tv_nsec: 4321 };
            libc::syscall(libc::SYS_nanosleep, &raw const time, 0);
            let at =
                libc::mmap(std::ptr::null_mut(), 4096, 3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            libc::munmap(at, 4096);
            libc::syscall(libc::SYS_openat, -100, 8, 0);
            libc::close(fds[0]);
            libc::close(fds[1]);
        }
        fds
    });
    let Some((fds, tid, records)) = ran else { return };
    let (_, exit) = &calls(&records, tid, libc::SYS_pipe2)
        .into_iter()
        .chain(calls(&records, tid, libc::SYS_pipe))
        .next()
        .unwrap();
    assert_eq!(exit.section(tag::RAW).unwrap().data, [fds[0].to_ne_bytes(), fds[1].to_ne_bytes()].concat());
    let info = FdInfo::read(&exit.section(tag::FDINFO).unwrap().data).unwrap();
    assert_eq!((info.fd, info.mode & 0o170_000), (fds[0], 0o010_000));
    let (enter, exit) = &calls(&records, tid, libc::SYS_poll)[0];
    let before = enter.section(tag::RAW).unwrap().data;
    assert_eq!((before.len(), &before[6..8]), (16, &[0, 0][..]));
    assert_eq!(exit.section(tag::RAW).unwrap().data[14..16], [libc::POLLOUT as u8, 0]);
    let (enter, _) = &calls(&records, tid, libc::SYS_nanosleep)[0];
    assert_eq!(enter.section(tag::RAW).unwrap().data[8..], 4321u64.to_ne_bytes());
    let (_, exit) = calls(&records, tid, libc::SYS_mmap).into_iter().next_back().unwrap();
    let mm = MmInfo::read(&exit.section(tag::MM).unwrap().data).unwrap();
    assert!(mm.vm_size_kb > mm.vm_rss_kb && mm.vm_rss_kb > 100, "{mm:?}");
    let (_, exit) = calls(&records, tid, libc::SYS_openat).into_iter().find(|c| c.1.ret() == -14).unwrap();
    assert_eq!(exit.section(tag::STR).unwrap().flags, section_flag::FAULT);
}

#[test]
fn processes() {
    let ran = capture("processes", ProbeOptions::default(), || {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exit 3", "second argument"])
            .env_clear()
            .env("NAME", "value")
            .spawn()
            .unwrap();
        let pid = child.id();
        assert_eq!(child.wait().unwrap().code(), Some(3));
        // On the heap: a literal's page may not be there yet, and the probe cannot wait for it.
        let [path, argv @ ..] = ["/no/such/file", "prog", "one"].map(|s| CString::new(s).unwrap());
        let pointers = [argv[0].as_ptr(), argv[1].as_ptr(), std::ptr::null()];
        // SAFETY: a path that does not exist: returns.
        unsafe { libc::execve(path.as_ptr(), pointers.as_ptr(), pointers.as_ptr()) };
        pid
    });
    let Some((pid, tid, records)) = ran else { return };
    let me = std::process::id();
    let fork = records.iter().find(|r| r.kind == kind::FORK && r.tid == tid).unwrap();
    let fixed = fork.view().split::<ForkFixed>().unwrap().0;
    assert_eq!((fixed.child_tid, fixed.child_pid), (pid, pid));
    let child = records.iter().filter(|r| r.pid == pid).collect::<Vec<_>>();
    let first = child.iter().find(|r| r.kind == kind::EXIT).unwrap();
    let task = TaskInfo::read(&first.section(tag::TASK).expect("the child's side of clone has a TASK").data)
        .unwrap();
    assert_eq!((task.tid, task.pid, task.ppid, first.ret()), (pid, pid, me, 0));
    let exec = child.iter().find(|r| r.kind == kind::EXEC).unwrap();
    assert_eq!(exec.text(tag::FILENAME, 0), "/bin/sh");
    assert_eq!(exec.view().split::<ExecFixed>().unwrap().0.old_tid, pid);
    let exit =
        child.iter().find(|r| r.kind == kind::EXIT && r.nr == libc::SYS_execve && r.ret() == 0).unwrap();
    assert_eq!(exit.text(tag::ARGS, 0), "/bin/sh\0-c\0exit 3\0second argument\0");
    assert_eq!(exit.text(tag::ENV, 0), "NAME=value\0");
    let real = std::fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(exit.text(tag::EXEPATH, 0), real.to_str().unwrap());
    assert_eq!(exit.text(tag::CWD, 0), std::env::current_dir().unwrap().to_str().unwrap());
    let task = TaskInfo::read(&exit.section(tag::TASK).unwrap().data).unwrap();
    let meta = std::fs::metadata(&real).unwrap();
    assert_eq!((task.exe_ino, task.uid, &task.comm[..3]), (meta.ino(), 0, &b"sh\0"[..]));
    assert_eq!(task.exe_ctime_ns, meta.ctime() as u64 * 1_000_000_000 + meta.ctime_nsec() as u64);
    assert_eq!(task.exe_flags & exe_flag::MEMFD, 0);
    // SAFETY: plain calls.
    unsafe {
        let mut limit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        assert_eq!(task.fdlimit, limit.rlim_cur);
        assert_eq!((task.pgid, task.sid), (libc::getpgid(0) as u32, libc::getsid(0) as u32));
    }
    assert!(task.mm.vm_size_kb > 0 && task.start_boot_ns > 0);
    let gone = child.iter().find(|r| r.kind == kind::PROC_EXIT).unwrap();
    let fixed = gone.view().split::<ProcExitFixed>().unwrap().0;
    assert_eq!((fixed.exit_code >> 8, fixed.exit_code & 0x7f, fixed.live_threads), (3, 0, 0));
    assert!(
        !child.iter().any(|r| r.kind == kind::EXIT && r.nr == libc::SYS_exit_group),
        "exit_group never returns"
    );
    let (enter, failed) = calls(&records, tid, libc::SYS_execve).into_iter().next().unwrap();
    assert_eq!((enter.text(tag::STR, 0).as_str(), failed.ret()), ("/no/such/file", -2));
    assert_eq!(failed.text(tag::ARGS, 1), "prog\0one\0");
}

#[test]
fn ids_in_a_new_pid_namespace() {
    let ran = capture("ids_in_a_new_pid_namespace", ProbeOptions::default(), || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "true"]).status().is_ok_and(|status| status.success())
    });
    let Some((unshared, _, records)) = ran else { return };
    if !unshared {
        return skip("ids_in_a_new_pid_namespace", "unshare --pid is not allowed here");
    }
    // SAFETY: plain calls.
    let (group, session) = unsafe { (libc::getpgid(0) as u32, libc::getsid(0) as u32) };
    // The first thing that the namespace's init does is to return from clone.
    let tasks = records.iter().filter(|r| r.kind == kind::EXIT).filter_map(|r| r.section(tag::TASK));
    let mut tasks = tasks.map(|section| TaskInfo::read(&section.data).unwrap());
    let init = tasks.find(|task| task.vpid == 1 && task.pgid == group).expect("the init of the namespace");
    assert_eq!((init.vtid, init.sid, init.pidns_level > 0), (1, session, true));
    // Both were made outside: the namespace has no number for them.
    assert_eq!((init.vpgid, init.vsid), (0, 0));
}
