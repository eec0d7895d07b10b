//! Rows that the tables alone say: numbers, flags, text, payload, descriptors, memory.

use super::*;
use capture_common::abi::ARG_RET;

fn file_info(ino: u64, dev: u32, f_mode: u32, overlay: u32) -> Vec<u8> {
    let mut out = ino.to_ne_bytes().to_vec();
    for word in [dev, 0o100644, 0, f_mode, 3, overlay] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(words(&[0xef53, 1], 2));
    out
}

#[test]
fn open_forms() {
    // O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC.
    let flags = 0o2000302;
    check(
        Rec::enter(257, &[AT_FDCWD, 0x1000, flags, 0o640]).section(tag::STR, 1, b"a/b"),
        r#"openat(306) dirfd=-100 name="a/b" flags=4135 mode=416"#,
    );
    check(
        Rec::exit(257, 3, &[AT_FDCWD, 0x1000, flags, 0o640]).section(tag::STR, 1, b"a/b").section(
            tag::FDINFO,
            ARG_RET,
            &file_info(77, 0xfe01, 0x10_0000, 0),
        ),
        r#"openat(307) fd=3 dirfd=-100 name="a/b" flags=20519 mode=416 dev=65025 ino=77"#,
    );
    // Without O_CREAT the mode register means nothing; a failed open has no file.
    check(
        Rec::exit(2, -2, &[0x1000, 0, 0o777]).section(tag::STR, 0, b"/nope"),
        r#"open(3) fd=-2 name="/nope" flags=1 mode=0 dev=0 ino=0"#,
    );
    check(
        Rec::exit(85, 4, &[0x1000, 0o622]).section(tag::STR, 0, b"c").section(
            tag::FDINFO,
            ARG_RET,
            &file_info(9, 5, 0, 1),
        ),
        r#"creat(59) fd=4 name="c" mode=402 dev=5 ino=9 creat_flags=1"#,
    );
    // RESOLVE_IN_ROOT (0x10), flags O_WRONLY|O_TMPFILE.
    let how = words(&[0o20200001, 0o600, 0x10], 3);
    check(
        Rec::exit(437, -22, &[7, 0x1000, 0x2000, 24]).section(tag::STR, 1, b"x").section(tag::RAW, 2, &how),
        r#"openat2(327) fd=-22 dirfd=7 name="x" flags=9218 mode=384 resolve=2 dev=0 ino=0"#,
    );
}

#[test]
fn text_that_is_not_there_is_marked() {
    check(
        Rec::exit(80, -14, &[1]).flagged(tag::STR, 0, section_flag::FAULT, b""),
        r#"chdir(95) res=-14 path="<NA>""#,
    );
    // The exit has what an open's enter could not read yet; a mark here would hide it.
    check(
        Rec::enter(257, &[AT_FDCWD, 1]).flagged(tag::STR, 1, section_flag::FAULT, b""),
        "openat(306) dirfd=-100 name= flags=1 mode=0",
    );
    check(
        Rec::exit(80, -14, &[0]).flagged(tag::STR, 0, section_flag::NULL, b""),
        r#"chdir(95) res=-14 path="(NULL)""#,
    );
    // The record ran out of room: no section.
    check(Rec::exit(84, -2, &[1]), r#"rmdir(279) res=-2 path="<NA>""#);
}

#[test]
fn descriptors_are_sign_extended_ints() {
    // The upper half of the register is noise.
    check(Rec::enter(3, &[0xdead_beef_ffff_ffff]), "close(4) fd=-1");
    check(Rec::exit(3, -9, &[0x1_0000_0063]), "close(5) res=-9 fd=99");
    check(Rec::exit(33, 50, &[4, 50]), "dup(125) res=50");
    check(Rec::enter(33, &[4, 50]), "dup(124) fd=4");
    check(Rec::exit(72, 60, &[4, 1030, 60]), "fcntl(151) res=60 fd=4 cmd=26 arg=60");
    check(
        Rec::exit(16, -25, &[4, 0xffff_ffff_8004_5430, 7]),
        "ioctl(171) res=-25 fd=4 request=2147767344 argument=7",
    );
}

#[test]
fn payload_obeys_the_snaplen() {
    let long = vec![b'x'; 200];
    let batch = decode(&[Rec::exit(0, 200, &[3, 0x1000, 4096]).section(tag::BYTES, 1, &long)]);
    let event = batch.get(0).unwrap();
    assert_eq!(event.param(1).unwrap().len(), 80);
    assert_eq!((event.int(0), event.int(2), event.uint(3)), (Some(200), Some(3), Some(4096)));
    check(
        Rec::exit(1, -32, &[1, 0x1000, 3]).section(tag::BYTES, 1, b"abc"),
        r#"write(9) res=-32 data="abc" fd=1 size=3"#,
    );
    check(
        Rec::exit(18, 2, &[1, 0, 2, 1 << 40]),
        r#"pwrite(115) res=2 data="" fd=1 size=2 pos=1099511627776"#,
    );
}

#[test]
fn vectors() {
    let mut info = 25u64.to_ne_bytes().to_vec();
    info.extend([2u32, 2].iter().flat_map(|n| n.to_ne_bytes()));
    check(Rec::enter(20, &[5, 0x1000, 2]).section(tag::IOV_INFO, 1, &info), "writev(118) fd=5 size=25");
    check(
        Rec::exit(20, 25, &[5, 0x1000, 2]).section(tag::IOV_INFO, 1, &info).section(tag::IOV, 1, b"hello"),
        r#"writev(119) res=25 data="hello" fd=5 size=25"#,
    );
    check(
        Rec::exit(19, 5, &[5, 0x1000, 2]).section(tag::IOV_INFO, 1, &info).section(tag::IOV, 1, b"hello"),
        r#"readv(117) res=5 size=5 data="hello" fd=5"#,
    );
    check(Rec::exit(295, -11, &[5, 0x1000, 2, 77]), r#"preadv(121) res=-11 size=0 data="" fd=5 pos=77"#);
}

#[test]
fn pipes_and_other_descriptors() {
    let fds: Vec<u8> = [6u32, 7].iter().flat_map(|n| n.to_ne_bytes()).collect();
    check(
        Rec::exit(293, 0, &[0x1000, 0o2000000]).section(tag::RAW, 0, &fds).section(
            tag::FDINFO,
            0,
            &file_info(555, 13, 0, 0),
        ),
        "pipe(61) res=0 fd1=6 fd2=7 ino=555",
    );
    check(Rec::exit(293, -24, &[0x1000]), "pipe(61) res=-24 fd1=-1 fd2=-1 ino=0");
    check(Rec::exit(290, 5, &[7, 0o2004000]), "eventfd(63) res=5 initval=7 flags=4160");
    // eventfd(2) has one argument: the second register is noise.
    check(Rec::exit(284, 5, &[7, 0o2004000]), "eventfd(63) res=5 initval=7 flags=0");
    check(
        Rec::exit(319, 3, &[1, 3]).section(tag::STR, 0, b"m"),
        r#"memfd_create(405) fd=3 name="m" flags=3"#,
    );
}

#[test]
fn polls() {
    let mut fds = Vec::new();
    for (fd, events, revents) in [(4i32, 0x1u16, 0x10u16), (-1, 0x5, 0)] {
        fds.extend(fd.to_ne_bytes());
        fds.extend(events.to_ne_bytes());
        fds.extend(revents.to_ne_bytes());
    }
    check(
        Rec::enter(7, &[0x1000, 2, 0xffff_ffff]).section(tag::RAW, 0, &fds),
        "poll(80) fds=020004000000000000000100ffffffffffffffff0500 timeout=-1",
    );
    let time = words(&[1, 500], 2);
    check(
        Rec::exit(271, 1, &[0x1000, 2, 1, 1, 8])
            .section(tag::RAW, 0, &fds)
            .section(tag::RAW, 2, &time)
            .section(tag::RAW, 3, &words(&[0x1_0000_0400], 1)),
        "ppoll(255) res=1 fds=020004000000000000002000ffffffffffffffff0000 timeout=1000000500 sigmask=1024",
    );
    // No time limit is "none", not zero.
    check(
        Rec::enter(271, &[0, 0, 0, 0]).flagged(tag::RAW, 2, section_flag::NULL, b""),
        "ppoll(254) fds=0000 timeout=18446744073709551615 sigmask=0",
    );
}

#[test]
fn memory_calls() {
    let mm: Vec<u8> = [2364u32, 976, 4, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
    check(
        Rec::exit(9, 0x7f00_0000_0000, &[0, 8192, 3, 0x22, 0xffff_ffff, 0]).section(tag::MM, 0, &mm),
        "mmap(161) res=139637976727552 vm_size=2364 vm_rss=976 vm_swap=4 addr=0 length=8192 prot=3 \
         flags=10 fd=-1 offset=0",
    );
    check(
        Rec::exit(12, 0x5555_0000, &[0x5555_0000]).section(tag::MM, 0, &mm),
        "brk(159) res=1431633920 vm_size=2364 vm_rss=976 vm_swap=4 addr=1431633920",
    );
    check(Rec::enter(10, &[4096, 4096, 5]), "mprotect(328) addr=4096 length=4096 prot=5");
}

#[test]
fn waiting_signals_and_ids() {
    check(
        Rec::enter(35, &[1]).section(tag::RAW, 0, &words(&[2, 7], 2)),
        "nanosleep(134) interval=2000000007",
    );
    // FUTEX_WAIT_BITSET | PRIVATE | CLOCK_REALTIME.
    check(Rec::exit(202, -110, &[0x1000, 393, 5]), "futex(65) res=-110 addr=4096 op=393 val=5");
    check(Rec::exit(62, -3, &[0xffff_fff6, 15]), "kill(129) res=-3 pid=-10 sig=15");
    check(Rec::exit(102, 1000, &[]), "getuid(203) uid=1000");
    check(
        Rec::exit(117, 0, &[u64::MAX, 1000, 1000]),
        "setresuid(193) res=0 ruid=4294967295 euid=1000 suid=1000",
    );
    check(
        Rec::exit(302, 0, &[0, 7]).section(tag::RAW, 3, &words(&[1024, u64::MAX], 2)),
        "prlimit(145) res=0 newcur=0 newmax=0 oldcur=1024 oldmax=-1 pid=0 resource=7",
    );
    check(
        Rec::exit(133, 0, &[0, 0o600]).section(tag::STR, 0, b"n"),
        r#"mknod(415) res=0 path="n" mode=33152 dev=0"#,
    );
}

#[test]
fn restarts_keep_their_result() {
    check(Rec::exit(35, -516, &[0]), "nanosleep(135) res=-516 interval=18446744073709551615");
}

#[test]
fn calls_without_an_event_of_their_own() {
    check(Rec::enter(13, &[]), "syscall(0) ID=107 nativeID=13");
    check(Rec::exit(39, 1234, &[]), "syscall(1) ID=16 nativeID=39 res=1234");
    // rseq is unknown to readers of 2022; 900 is unknown to all.
    check(Rec::exit(334, 0, &[]), "syscall(1) ID=0 nativeID=334 res=0");
    check(Rec::exit(900, -38, &[]), "syscall(1) ID=0 nativeID=900 res=-38");
}

#[test]
fn thirty_two_bit_callers() {
    check(
        Rec::exit(5, -2, &[0x1000, 0o100, 0o644]).compat().section(tag::STR, 0, b"f"),
        r#"open(3) fd=-2 name="f" flags=5 mode=420 dev=0 ino=0"#,
    );
    check(
        Rec::exit(180, 1, &[3, 0x1000, 1, 5, 1]).compat().section(tag::BYTES, 1, b"z"),
        r#"pread(113) res=1 data="z" fd=3 size=1 pos=4294967301"#,
    );
    let time: Vec<u8> = [1u32, 2].iter().flat_map(|n| n.to_ne_bytes()).collect();
    check(Rec::enter(162, &[1]).compat().section(tag::RAW, 0, &time), "nanosleep(134) interval=1000000002");
    // socketcall(SYS_SHUTDOWN = 13, {5, 1}), as the probe hands it over.
    check(Rec::exit(480 + 13, 0, &[5, 1]).compat(), "shutdown(37) res=0 fd=5 how=1");
    // The old mmap, with the arguments of its struct.
    check(
        Rec::enter(90, &[0, 4096, 3, 0x22, 0xffff_ffff, 0]).compat(),
        "mmap(160) addr=0 length=4096 prot=3 flags=10 fd=-1 offset=0",
    );
    check(Rec::exit(7, 9, &[]).compat(), "syscall(1) ID=293 nativeID=65535 res=9"); // waitpid
    check(Rec::exit(20, 9, &[]).compat(), "syscall(1) ID=16 nativeID=39 res=9"); // getpid
}
