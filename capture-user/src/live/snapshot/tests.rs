//! The whole snapshot: of a made-up machine in a folder, and of the one that runs the tests.

use super::*;
use capture_common::snapshot::{FdKind, FdRecord, FdType, L4Proto};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn link(path: &Path, target: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

fn stat(tid: u32, comm: &str, flags: u32, threads: u32, start_ticks: u32) -> String {
    format!("{tid} ({comm}) S 1 40 39 34816 -1 {flags} 98 0 7 0 0 0 0 0 20 0 {threads} 0 {start_ticks} 0 0\n")
}

fn status(tid: u32, vtid: u32, vpid: u32) -> String {
    format!(
        "Name:\tx\nPPid:\t1\nUid:\t1000\t1001\t0\t0\nGid:\t100\t101\t0\t0\nNStgid:\t100\t{vpid}\n\
        NSpid:\t{tid}\t{vtid}\nNSpgid:\t40\t2\nVmSize:\t3060 kB\nVmRSS:\t1712 kB\nCapEff:\t0000000000000005\n"
    )
}

/// A machine with a container's init (100, threads 100 and 101), a kernel thread (2), a process
/// that ended while it was read (3), and a dead one (4).
fn machine(folder: &Path) -> Roots {
    let proc = folder.join("proc");
    write(&proc.join("meminfo"), "MemTotal:       1000 kB\nMemFree: 1 kB\n");
    write(&proc.join("stat"), "cpu 1 2 3\nbtime 1700000000\n");
    write(&proc.join("sys/kernel/pid_max"), "4194304\n");
    write(&proc.join("sys/kernel/hostname"), "box\n");
    write(&folder.join("sys/devices/system/cpu/online"), "0-3\n");
    write(
        &folder.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/bash\n# no\nbad\nal:x:1000:100::/home/al:/bin/sh\n",
    );
    write(&folder.join("etc/group"), "root:x:0:\nstaff:x:100:al\n");
    write(&proc.join("2/stat"), &stat(2, "kthreadd", 0x20_0000, 1, 1));
    write(&proc.join("2/status"), "PPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
    fs::create_dir_all(proc.join("3")).unwrap();
    write(&proc.join("4/stat"), "4 (dead) Z 1 4 4 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n");
    write(&proc.join("4/status"), "PPid:\t1\n");
    let main = proc.join("100");
    write(&main.join("stat"), &stat(100, "my (server)", 0, 2, 500));
    write(&main.join("status"), &status(100, 1, 1));
    write(&main.join("task/100/stat"), "never read");
    write(&main.join("task/101/stat"), &stat(101, "worker", 0, 2, 600));
    write(&main.join("task/101/status"), &status(101, 9, 1));
    fs::create_dir_all(main.join("task/102")).unwrap();
    write(&main.join("cmdline"), "/bin/server\0-p\080\0");
    write(&main.join("environ"), "A=b\0C=d");
    write(&main.join("cgroup"), "0::/docker/abc\n");
    write(&main.join("limits"), "Max open files            1024   4096  files\n");
    write(&main.join("loginuid"), "1000");
    write(&folder.join("server"), "#!");
    link(&main.join("exe"), folder.join("server").to_str().unwrap());
    link(&main.join("cwd"), "/srv");
    link(&main.join("ns/pid"), "pid:[77]");
    link(&main.join("ns/net"), "net:[88]");
    // No root link: not even root may read it everywhere.
    fd_table(folder, &main);
    Roots { proc, sys: folder.join("sys"), etc: folder.join("etc") }
}

fn fd_table(folder: &Path, main: &Path) {
    let fd = |n: u32, target: &str| link(&main.join("fd").join(n.to_string()), target);
    let data = folder.join("data");
    fs::write(&data, "x").unwrap();
    fd(0, data.to_str().unwrap());
    write(&main.join("fdinfo/0"), "pos:\t0\nflags:\t02100001\nmnt_id:\t1\n");
    fd(1, "pipe:[4711]");
    fd(2, folder.to_str().unwrap());
    fd(3, "socket:[55]");
    fd(4, "socket:[56]");
    fd(5, "socket:[57]");
    fd(6, "anon_inode:[eventpoll]");
    let header = "columns\n";
    write(
        &main.join("net/tcp"),
        &format!("{header}  0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 55 1\n"),
    );
    write(
        &main.join("net/unix"),
        &format!("{header}000000000000000a: 00000002 0 00010000 0001 01 56 /run/s\n"),
    );
}

#[test]
fn a_made_up_machine() {
    let folder = tempfile::tempdir().unwrap();
    let Taken { snapshot, start } = take_from(&machine(folder.path())).unwrap();
    let gaps = start.gaps;
    assert_eq!(snapshot.dialect, Dialect::Superset);
    let machine = &snapshot.machine;
    assert_eq!((machine.num_cpus, machine.memory_bytes, machine.max_pid), (4, 1_024_000, 4_194_304));
    assert_eq!((&machine.hostname[..], machine.boot_ts_ns), (&b"box"[..], 1_700_000_000_000_000_000));
    assert_eq!((snapshot.users.len(), snapshot.groups.len()), (2, 2));
    assert_eq!((&snapshot.users[1].name[..], &snapshot.users[1].home[..]), (&b"al"[..], &b"/home/al"[..]));
    // 3 and thread 102 were gone; socket 57 is in no table.
    assert_eq!((gaps.vanished_threads, gaps.unlisted_sockets, gaps.fd_tables), (2, 1, 0));

    let tids: Vec<i64> = snapshot.threads.iter().map(|t| t.tid).collect();
    assert_eq!(tids, [2, 100, 101]);
    assert_eq!((&snapshot.threads[0].exe[..], snapshot.threads[0].flags), (&b"kthreadd"[..], 0));
    let t = &snapshot.threads[1];
    assert_eq!(
        (&t.comm[..], &t.exe[..], &t.args[..]),
        (&b"my (server)"[..], &b"/bin/server"[..], &b"-p\x0080\0"[..])
    );
    assert_eq!((&t.env[..], &t.cwd[..], &t.root[..]), (&b"A=b\0C=d\0"[..], &b"/srv"[..], &b"/"[..]));
    assert_eq!((t.pid, t.ptid, t.sid, t.pgid, t.vpgid, t.vtid, t.vpid), (100, 1, 39, 40, 2, 1, 1));
    assert_eq!((t.uid, t.gid, t.loginuid, t.fdlimit, t.tty), (1001, 101, 1000, 1024, 34816));
    assert_eq!((t.vm_size_kb, t.vm_rss_kb, t.pfminor, t.pfmajor), (3060, 1712, 98, 7));
    assert_eq!((t.caps, t.flags), ([0, 0, 5], 0));
    assert_eq!(
        t.cgroups,
        b"cpuset=/docker/abc\0cpu=/docker/abc\0cpuacct=/docker/abc\0io=/docker/abc\0memory=/docker/abc\0"
    );
    assert!(t.exe_ino > 0 && t.exe_ino_mtime_ns > 1_600_000_000_000_000_000);
    assert_eq!(t.pidns_init_start_ns, 1_700_000_005_000_000_000);
    let worker = &snapshot.threads[2];
    assert_eq!(
        (&worker.comm[..], worker.flags, worker.pid, worker.vtid, worker.vpid),
        (&b"worker"[..], 0x2001, 100, 9, 1)
    );
    assert_eq!((&worker.exe, worker.pidns_init_start_ns), (&t.exe, t.pidns_init_start_ns));

    assert_eq!((snapshot.fds.len(), snapshot.fds[0].0), (1, 100));
    let mut table = snapshot.fds[0].1.clone();
    table.sort_by_key(|r| r.fd);
    let FdKind::File { open_flags, name, .. } = &table[0].kind else { panic!("{:?}", table[0]) };
    // O_WRONLY | O_CLOEXEC in their stored form.
    assert_eq!((*open_flags & 0xFFF, *open_flags & 0x1000, name.ends_with(b"/data")), (2, 0x1000, true));
    let other = |ty, name: &str| FdKind::Other { ty, name: name.into() };
    assert_eq!(table[1], FdRecord { fd: 1, ino: 4711, kind: other(FdType::Pipe, "pipe:[4711]") });
    assert!(matches!(&table[2].kind, FdKind::Other { ty: FdType::Directory, .. }));
    let server = FdKind::Ipv4Server { ip: [127, 0, 0, 1].into(), port: 8080, l4proto: L4Proto::Tcp };
    assert_eq!(table[3], FdRecord { fd: 3, ino: 55, kind: server });
    assert_eq!(table[4].kind, FdKind::Unix { source: 10, destination: 0, path: b"/run/s".to_vec() });
    assert_eq!(table[5].kind, other(FdType::Unsupported, "socket:[57]"));
    assert_eq!(table[6].kind, other(FdType::EventPoll, ""));
}

#[test]
fn no_proc_is_an_error() {
    let roots = Roots { proc: "/nonexistent/proc".into(), ..Roots::default() };
    let error = take_from(&roots).unwrap_err().to_string();
    assert!(error.starts_with("cannot list the processes in /nonexistent/proc: "), "{error}");
}

/// This process, its open files and sockets as the running system shows them.
#[test]
fn this_process() {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let udp = UdpSocket::bind("[::1]:0").ok();
    let folder = tempfile::tempdir().unwrap();
    let socket_path = folder.path().join("s");
    let unix = std::os::unix::net::UnixListener::bind(&socket_path).unwrap();
    let file = fs::OpenOptions::new().append(true).create(true).open(folder.path().join("f")).unwrap();

    let began = std::time::Instant::now();
    let Taken { snapshot, start } = take_from(&Roots::default()).unwrap();
    let threads = snapshot.threads.len();
    eprintln!(
        "{threads} threads, {} tables in {:?}; missing: {}",
        snapshot.fds.len(),
        began.elapsed(),
        start.gaps
    );

    let pid = i64::from(std::process::id());
    let me = snapshot.threads.iter().find(|t| t.tid == pid).unwrap();
    assert_eq!(me.exepath, std::env::current_exe().unwrap().into_os_string().into_encoded_bytes());
    assert_eq!(me.cwd, std::env::current_dir().unwrap().into_os_string().into_encoded_bytes());
    assert!(me.fdlimit > 0 && me.vm_rss_kb > 0 && !me.cgroups.is_empty());
    assert!(snapshot.threads.iter().any(|t| t.pid == pid && t.tid != pid && t.flags == 0x2001));
    assert!(snapshot.interfaces.iter().any(|i| i.name == b"lo"));
    assert!(snapshot.machine.num_cpus > 0 && snapshot.machine.memory_bytes > 0);

    let (_, table) = snapshot.fds.iter().find(|(tid, _)| *tid == pid).unwrap();
    let kind = |fd: i32| &table.iter().find(|r| r.fd == i64::from(fd)).unwrap().kind;
    let port = listener.local_addr().unwrap().port();
    let wanted = FdKind::Ipv4Server { ip: [127, 0, 0, 1].into(), port, l4proto: L4Proto::Tcp };
    assert_eq!(*kind(listener.as_raw_fd()), wanted);
    let FdKind::Ipv4 { sport, dport, l4proto: L4Proto::Tcp, .. } = *kind(client.as_raw_fd()) else {
        panic!()
    };
    assert_eq!((sport, dport), (client.local_addr().unwrap().port(), port));
    if let Some(udp) = udp {
        assert!(matches!(kind(udp.as_raw_fd()), FdKind::Ipv6Server { l4proto: L4Proto::Udp, .. }));
    }
    let FdKind::Unix { path, .. } = kind(unix.as_raw_fd()) else { panic!() };
    assert_eq!(*path, socket_path.into_os_string().into_encoded_bytes());
    let FdKind::File { open_flags, name, dev } = kind(file.as_raw_fd()) else { panic!() };
    // Write only, append, close on exec.
    assert_eq!((*open_flags & 0b1011, *open_flags & 0x1000), (0b1010, 0x1000));
    assert!(name.ends_with(b"/f") && *dev != 0);
}
