//! Calls by which a machine is administered and programs are built: modules, quotas, keys, the
//! mount API, io_uring, bpf, seccomp, ptrace, System V semaphores, descriptors of processes.

use crate::expect::{BAD, CWD, Script, V, c, cptr, mut_ptr, ptr};
use crate::recorder::record;
use crate::values;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// Dynamic form of a number.
fn number(value: i64) -> Vec<u8> {
    [&[0][..], &value.to_le_bytes()].concat()
}

/// Dynamic form of text.
fn text(value: &str) -> Vec<u8> {
    [&[1], value.as_bytes(), &[0]].concat()
}

#[test]
fn modules_and_keys() {
    let Some((script, recording)) = record("modules_and_keys", || {
        let mut s = Script::new();
        let image = *b"no module";
        let (arguments, name) = (c("a=1"), c("nope"));
        let ret = s.call(libc::SYS_init_module, &[ptr(&image), 9, cptr(&arguments)]);
        assert!(ret < 0);
        s.enter(values![]);
        s.exit(values!["res" = ret, "img" = image.to_vec(), "length" = 9, "uargs" = "a=1"]);
        let ret = s.call(libc::SYS_finit_module, &[u64::MAX, cptr(&arguments), 2]);
        s.enter(values![]);
        s.exit(values!["res" = ret, "fd" = -1, "uargs" = "a=1", "flags" = 2]);
        let ret = s.call(libc::SYS_delete_module, &[cptr(&name), libc::O_NONBLOCK as u64]);
        s.enter(values![]);
        s.exit(values!["res" = ret, "name" = "nope", "flags" = 2]);
        const KEYCTL_SEARCH: u64 = 10;
        let (kind, description) = (c("user"), c("capture:none"));
        let args = [KEYCTL_SEARCH, -3i64 as u64, cptr(&kind), cptr(&description), 0];
        let ret = s.call(libc::SYS_keyctl, &args);
        assert!(ret < 0);
        s.enter(values![]);
        s.exit(values![
            "res" = ret,
            "operation" = 10,
            "arg2" = number(-3),
            "arg3" = text("user"),
            "arg4" = text("capture:none"),
            "arg5" = number(0)
        ]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn quotas_and_mounts() {
    let Some((script, recording)) = record("quotas_and_mounts", || {
        let mut s = Script::new();
        let (device, path, none) = (c("/dev/no-disk"), c("/quota/file"), c("none"));
        let quota = |res: i64, file: &str, enter: crate::expect::Values| {
            let mut values = values!["res" = res, "special" = "/dev/no-disk", "quotafilepath" = file];
            for name in [
                "dqb_bhardlimit",
                "dqb_bsoftlimit",
                "dqb_curspace",
                "dqb_ihardlimit",
                "dqb_isoftlimit",
                "dqb_btime",
                "dqb_itime",
                "dqi_bgrace",
                "dqi_igrace",
                "dqi_flags",
            ] {
                values.push((name, V::N(0)));
            }
            values.push(("quota_fmt_out", V::N(1)));
            values.extend(enter);
            values
        };
        // QCMD(Q_QUOTAON, USRQUOTA), QFMT_VFS_V0.
        let ret = s.call(libc::SYS_quotactl, &[0x8000_0200, cptr(&device), 2, cptr(&path)]);
        assert!(ret < 0);
        let enter = values!["cmd" = 1, "type" = 1, "id" = 0, "quota_fmt" = 4];
        s.enter(enter.clone()).exit(quota(ret, "/quota/file", enter));
        // QCMD(Q_GETQUOTA, GRPQUOTA) of group 7.
        let mut block = [7u64; 9];
        let ret = s.call(libc::SYS_quotactl, &[0x8000_0701, cptr(&device), 7, mut_ptr(&mut block)]);
        assert!(ret < 0);
        let enter = values!["cmd" = 0x20, "type" = 2, "id" = 7, "quota_fmt" = 1];
        s.enter(enter.clone()).exit(quota(ret, "<NA>", enter));
        let nowhere = c("/no/such/folder");
        let error = s.fails(
            libc::ENOENT,
            libc::SYS_mount,
            &[cptr(&device), cptr(&nowhere), cptr(&none), libc::MS_BIND, 0],
        );
        s.enter(values!["flags" = 4096]);
        s.exit(values![
            "res" = error,
            "dev" = "/dev/no-disk",
            "dir" = "/no/such/folder",
            "type" = "none",
            "flags" = 4096
        ]);
        let error = s.fails(libc::ENOENT, libc::SYS_umount2, &[cptr(&nowhere), libc::MNT_DETACH as u64]);
        s.enter(values!["flags" = 2]).exit(values!["res" = error, "name" = "/no/such/folder"]);
        // The mount API: text, bytes and nothing as values.
        let (key, value, bytes) = (c("source"), c("/dev/sdz"), [1u8, 0, 2]);
        for (cmd, at, aux, bytes, text) in [
            (1u64, cptr(&value), 0u64, vec![], "/dev/sdz"),
            (2, ptr(&bytes), 3, vec![1, 0, 2], "<NA>"),
            (0, 0, 0, vec![], "<NA>"),
        ] {
            let error = s.fails(libc::EBADF, libc::SYS_fsconfig, &[999, cmd, cptr(&key), at, aux]);
            s.enter(values![]);
            s.exit(values![
                "res" = error,
                "fd" = 999,
                "cmd" = cmd as i64,
                "key" = "source",
                "value_bytebuf" = bytes,
                "value_charbuf" = text,
                "aux" = aux as i64
            ]);
        }
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn rings_programs_and_filters() {
    let Some((script, recording)) = record("rings_programs_and_filters", || {
        let mut s = Script::new();
        let mut params = [0u32; 30];
        let fd = s.call(libc::SYS_io_uring_setup, &[4, mut_ptr(&mut params)]);
        s.enter(values![]);
        s.exit(values![
            "res" = fd,
            "entries" = 4,
            "sq_entries" = i64::from(params[0]),
            "cq_entries" = i64::from(params[1]),
            "flags" = 0,
            "sq_thread_cpu" = 0,
            "sq_thread_idle" = 0,
            "features" = i64::from(params[5] & 0x7ff)
        ]);
        let ret = s.call(libc::SYS_io_uring_enter, &[fd as u64, 0, 0, 1, 0, 0]);
        s.enter(values![]);
        s.exit(values![
            "res" = ret,
            "fd" = i64::from(fd as i32),
            "to_submit" = 0,
            "min_complete" = 0,
            "flags" = 1,
            "sig" = 0
        ]);
        let error = s.fails(libc::EBADF, libc::SYS_io_uring_register, &[999, 2, BAD, 9]);
        s.enter(values![]);
        s.exit(values!["res" = error, "fd" = 999, "opcode" = 2, "arg" = BAD as i64, "nr_args" = 9]);
        s.call(libc::SYS_close, &[fd as u64]);
        let fd = i64::from(fd as i32);
        s.enter(values!["fd" = fd]).exit(values!["res" = if fd < 0 { -9 } else { 0 }, "fd" = fd]);
        let error = s.fails(libc::EINVAL, libc::SYS_bpf, &[99, 0, 0]);
        s.enter(values!["cmd" = 99]);
        s.exit(values!["res_or_fd" = [&[1][..], &error.to_le_bytes()].concat()]);
        let error = s.fails(libc::EINVAL, libc::SYS_seccomp, &[99, 3, 0]);
        s.enter(values!["op" = 99]).exit(values!["res" = error, "op" = 99, "flags" = 3]);
        const PTRACE_CONT: u64 = 7;
        let error = s.fails(libc::ESRCH, libc::SYS_ptrace, &[PTRACE_CONT, 0x3fff_ffff, 5, 10]);
        s.enter(values!["request" = 8, "pid" = 0x3fff_ffff]);
        // Data of this request is a signal.
        let (addr, data) = (number(5), vec![1, 10]);
        s.exit(values!["res" = error, "addr" = addr, "data" = data, "request" = 8, "pid" = 0x3fff_ffff]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn names_limits_and_namespaces() {
    let Some((script, recording)) = record("names_limits_and_namespaces", || {
        let mut s = Script::new();
        const PR_SET_NAME: u64 = 15;
        const PR_GET_NAME: u64 = 16;
        const PR_GET_DUMPABLE: u64 = 3;
        let mut name = [0u8; 16];
        name[..7].copy_from_slice(b"kitchen");
        for option in [PR_SET_NAME, PR_GET_NAME] {
            s.ok(libc::SYS_prctl, &[option, mut_ptr(&mut name)]);
            s.enter(values![]);
            let option = option as i64;
            s.exit(values!["res" = 0, "option" = option, "arg2_str" = "kitchen", "arg2_int" = 0]);
        }
        let ret = s.ok(libc::SYS_prctl, &[PR_GET_DUMPABLE, 77]);
        s.enter(values![]);
        s.exit(values!["res" = ret, "option" = 3, "arg2_str" = "<NA>", "arg2_int" = 77]);
        let (mut new, mut old) = ([0u64; 2], [0u64; 2]);
        s.ok(libc::SYS_getrlimit, &[libc::RLIMIT_NOFILE as u64, mut_ptr(&mut new)]);
        let [cur, max] = new.map(|n| n as i64);
        s.enter(values!["resource" = 7]);
        s.exit(values!["res" = 0, "cur" = cur, "max" = max, "resource" = 7]);
        s.ok(libc::SYS_setrlimit, &[libc::RLIMIT_NOFILE as u64, ptr(&new)]);
        s.enter(values!["resource" = 7]);
        s.exit(values!["res" = 0, "cur" = cur, "max" = max, "resource" = 7]);
        let args = [0, libc::RLIMIT_NOFILE as u64, ptr(&new), mut_ptr(&mut old)];
        s.ok(libc::SYS_prlimit64, &args);
        s.enter(values!["pid" = 0, "resource" = 7]);
        s.exit(values![
            "res" = 0,
            "newcur" = cur,
            "newmax" = max,
            "oldcur" = cur,
            "oldmax" = max,
            "pid" = 0,
            "resource" = 7
        ]);
        // Effective, permitted, inheritable; low words, then high.
        let sets = [1u32, 3, 4, 0, 1, 0];
        let error = s.fails(libc::EFAULT, libc::SYS_capset, &[BAD, ptr(&sets)]);
        s.enter(values![]);
        s.exit(values![
            "res" = error,
            "cap_inheritable" = 4,
            "cap_permitted" = 1i64 << 32 | 3,
            "cap_effective" = 1
        ]);
        let error = s.fails(libc::EBADF, libc::SYS_setns, &[u64::MAX, libc::CLONE_NEWUTS as u64]);
        s.enter(values!["fd" = -1, "nstype" = V::Positive]);
        s.exit(values!["res" = error, "fd" = -1, "nstype" = V::Positive]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn owners_nodes_and_handles() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().canonicalize().expect("a path").join("file");
    let file = std::fs::File::create(&path).expect("a file");
    let Some((script, recording)) = record("owners_nodes_and_handles", || {
        let mut s = Script::new();
        let text = path.to_str().expect("text").to_owned();
        let (name, fd) = (c(text.clone()), i64::from(file.as_raw_fd()));
        for nr in [libc::SYS_chown, libc::SYS_lchown] {
            s.ok(nr, &[cptr(&name), 1, 2]);
            s.enter(values![]);
            s.exit(values!["res" = 0, "path" = &*text, "uid" = 1, "gid" = 2]);
        }
        s.ok(libc::SYS_fchown, &[fd as u64, 3, u64::from(u32::MAX)]);
        s.enter(values![]).exit(values!["res" = 0, "fd" = fd, "uid" = 3, "gid" = -1]);
        s.ok(libc::SYS_fchownat, &[CWD, cptr(&name), 0, 0, libc::AT_SYMLINK_NOFOLLOW as u64]);
        s.enter(values![]);
        s.exit(values![
            "res" = 0,
            "dirfd" = -100,
            "pathname" = &*text,
            "uid" = 0,
            "gid" = 0,
            // Files have no bit for AT_SYMLINK_NOFOLLOW here.
            "flags" = 0
        ]);
        let fifo = format!("{text}.fifo");
        let node = c(fifo.clone());
        s.ok(libc::SYS_mknod, &[cptr(&node), 0o010_600, 0]);
        s.enter(values![]).exit(values!["res" = 0, "path" = &*fifo, "mode" = 0o010_600, "dev" = 0]);
        let error = s.fails(libc::EEXIST, libc::SYS_mknodat, &[CWD, cptr(&node), 0o020_644, 0x103]);
        s.enter(values![]);
        s.exit(values!["res" = error, "dirfd" = -100, "path" = &*fifo, "mode" = 0o020_644, "dev" = 0x103]);
        s.ok(libc::SYS_flock, &[fd as u64, libc::LOCK_EX as u64]);
        s.enter(values!["fd" = fd, "operation" = 2]);
        s.exit(values!["res" = 0, "fd" = fd, "operation" = 2]);
        // A handle leads back to the path, where the file system has handles.
        let (mut handle, mut mount) = ([0u32; 34], 0u64);
        handle[0] = 128;
        s.call(
            libc::SYS_name_to_handle_at,
            &[CWD, cptr(&name), mut_ptr(&mut handle), mut_ptr(&mut mount), 0],
        );
        let opened = s.call(libc::SYS_open_by_handle_at, &[CWD, ptr(&handle), libc::O_RDONLY as u64]);
        let meta = std::fs::metadata(&path).expect("exists");
        s.enter(values![]);
        let (path, dev, ino) = match opened {
            0.. => (&*text, meta.dev() as i64, meta.ino() as i64),
            _ => ("<NA>", 0, 0),
        };
        s.exit(values![
            "fd" = opened,
            "mountfd" = -100,
            "flags" = 1,
            "path" = path,
            "dev" = dev,
            "ino" = ino
        ]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn descriptors_of_all_kinds() {
    let Some((script, recording)) = record("descriptors_of_all_kinds", || {
        let mut s = Script::new();
        let name = c("lab");
        let mask = 1u64 << (libc::SIGUSR1 - 1);
        let fd = s.ok(libc::SYS_memfd_create, &[cptr(&name), 1]);
        s.enter(values![]).exit(values!["fd" = fd, "name" = "lab", "flags" = 1]);
        let error = s.fails(libc::EFAULT, libc::SYS_memfd_create, &[BAD, 2]);
        s.enter(values![]).exit(values!["fd" = error, "name" = "<NA>", "flags" = 2]);
        let fd = s.ok(libc::SYS_inotify_init, &[]);
        s.enter(values!["flags" = 0]).exit(values!["res" = fd, "flags" = 0]);
        let fd = s.ok(libc::SYS_inotify_init1, &[libc::O_NONBLOCK as u64]);
        s.enter(values!["flags" = 64]).exit(values!["res" = fd, "flags" = 64]);
        let fd = s.ok(libc::SYS_timerfd_create, &[libc::CLOCK_MONOTONIC as u64, libc::O_NONBLOCK as u64]);
        s.enter(values!["clockid" = 1, "flags" = 64]);
        s.exit(values!["res" = fd, "clockid" = 1, "flags" = 64]);
        let fd = s.ok(libc::SYS_signalfd, &[u64::MAX, ptr(&mask), 8]);
        s.enter(values!["fd" = -1, "mask" = mask as i64, "flags" = 0]);
        s.exit(values!["res" = fd, "fd" = -1, "mask" = mask as i64, "flags" = 0]);
        let fd = s.call(libc::SYS_userfaultfd, &[libc::O_CLOEXEC as u64]);
        s.enter(values![]).exit(values!["res" = fd, "flags" = 4096]);
        let pid = i64::from(std::process::id());
        let fd = s.ok(libc::SYS_pidfd_open, &[pid as u64, libc::O_NONBLOCK as u64]);
        s.enter(values![]).exit(values!["fd" = fd, "pid" = pid, "flags" = 1]);
        let copy = s.ok(libc::SYS_pidfd_getfd, &[fd as u64, 0, 0]);
        s.enter(values![]).exit(values!["fd" = copy, "pid_fd" = fd, "target_fd" = 0, "flags" = 0]);
        s.ok(libc::SYS_close_range, &[1_000_000, 1_000_001, 4]);
        s.enter(values![]).exit(values!["res" = 0, "first" = 1_000_000, "last" = 1_000_001, "flags" = 4]);
        let error = s.fails(libc::EBADF, libc::SYS_splice, &[u64::MAX, 0, 998, 0, 5, 2]);
        let values = values!["fd_in" = -1, "fd_out" = 998, "size" = 5, "flags" = 2];
        s.enter(values.clone()).exit([values, values!["res" = error]].concat());
        let (from, to) = (3u64, 4u64);
        let args = [u64::MAX, ptr(&from), 998, ptr(&to), 5, 0];
        let error = s.fails(libc::EBADF, libc::SYS_copy_file_range, &args);
        let values = values!["fdin" = -1, "offin" = 3, "len" = 5];
        s.enter(values.clone());
        s.exit([values, values!["res" = error, "fdout" = 998, "offout" = 4]].concat());
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn memory_of_processes_and_semaphores() {
    let Some((script, recording)) = record("memory_of_processes_and_semaphores", || {
        let mut s = Script::new();
        let page = vec![7u8; 8192];
        let at = (ptr(&page[..]) + 4095) & !4095;
        s.ok(libc::SYS_mlock, &[at, 4096]);
        s.enter(values![]).exit(values!["res" = 0, "addr" = at as i64, "len" = 4096]);
        s.ok(libc::SYS_mlock2, &[at, 4096, 1]);
        s.enter(values![]).exit(values!["res" = 0, "addr" = at as i64, "len" = 4096, "flags" = 1]);
        s.ok(libc::SYS_munlock, &[at, 4096]);
        s.enter(values![]).exit(values!["res" = 0, "addr" = at as i64, "len" = 4096]);
        let error = s.fails(libc::EINVAL, libc::SYS_mlockall, &[0]);
        s.enter(values![]).exit(values!["res" = error, "flags" = 0]);
        s.ok(libc::SYS_munlockall, &[]);
        s.enter(values![]).exit(values!["res" = 0]);
        let pid = i64::from(std::process::id());
        let (from, mut to) = (*b"other memory", [0u8; 12]);
        let (local, remote) = ([mut_ptr(&mut to), 12], [ptr(&from), 12]);
        s.ok(libc::SYS_process_vm_readv, &[pid as u64, ptr(&local), 1, ptr(&remote), 1, 0]);
        s.enter(values![]).exit(values!["res" = 12, "pid" = pid, "data" = from.to_vec()]);
        let (local, remote) = ([ptr(&from), 12], [mut_ptr(&mut to), 12]);
        s.ok(libc::SYS_process_vm_writev, &[pid as u64, ptr(&local), 1, ptr(&remote), 1, 0]);
        s.enter(values![]).exit(values!["res" = 12, "pid" = pid, "data" = from.to_vec()]);
        let id = s.ok(libc::SYS_semget, &[0, 2, (libc::IPC_CREAT | 0o600) as u64]);
        let values = values!["key" = 0, "nsems" = 2, "semflg" = 0x2000 | 0o600];
        s.enter(values.clone()).exit([values, values!["res" = id]].concat());
        // struct sembuf: number, operation, flags.
        let operations = [[0i16, 1, 0], [1, 2, 0]];
        s.ok(libc::SYS_semop, &[id as u64, ptr(&operations), 2]);
        s.enter(values!["semid" = id]);
        s.exit(values![
            "res" = 0,
            "nsops" = 2,
            "sem_num_0" = 0,
            "sem_op_0" = 1,
            "sem_flg_0" = 0,
            "sem_num_1" = 1,
            "sem_op_1" = 2,
            "sem_flg_1" = 0,
            "semid" = id
        ]);
        s.ok(libc::SYS_semctl, &[id as u64, 1, libc::IPC_RMID as u64, 5]);
        let values = values!["semid" = id, "semnum" = 1, "cmd" = 4, "val" = 5];
        s.enter(values.clone()).exit([values, values!["res" = 0]].concat());
        s
    }) else {
        return;
    };
    script.verify(&recording);
}
