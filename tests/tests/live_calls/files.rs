//! Calls on files by path.

use crate::expect::{BAD, CWD, Script, V, c, cptr, mut_ptr, ptr};
use crate::recorder::record;
use crate::values;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Device as the kernel encodes it for user space (`new_encode_dev`).
fn kernel_dev(dev: u64) -> i64 {
    let (major, minor) = (u64::from(libc::major(dev)), u64::from(libc::minor(dev)));
    ((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)) as i64
}

/// Device and inode of a file.
fn dev_ino(path: impl AsRef<Path>) -> (i64, i64) {
    let meta = std::fs::metadata(path).expect("the file is there");
    (kernel_dev(meta.dev()), meta.ino() as i64)
}

#[test]
fn opening() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().to_str().expect("plain text").to_owned();
    let Some((script, recording)) = record("opening", || {
        let mut s = Script::new();
        let file = format!("{root}/made");
        let path = c(file.as_str());
        let missing = format!("{root}/no/such");
        let nope = c(missing.as_str());

        // Made by this open: O_RDWR|O_CREAT|O_CLOEXEC with a mode.
        let flags = (libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC) as u64;
        let fd = s.ok(libc::SYS_openat, &[CWD, cptr(&path), flags, 0o640]);
        let (dev, ino) = dev_ino(&file);
        let stored = 3 | 4 | 0x1000;
        s.enter(values!["dirfd" = -100, "name" = file.as_str(), "flags" = stored, "mode" = 0o640]);
        s.exit(values![
            "fd" = fd,
            "dirfd" = -100,
            "name" = file.as_str(),
            "flags" = stored | 0x4000,
            "mode" = 0o640,
            "dev" = dev,
            "ino" = ino
        ]);
        // Made before; the mode register is noise without O_CREAT.
        let fd = s.ok(libc::SYS_open, &[cptr(&path), libc::O_WRONLY as u64 | libc::O_APPEND as u64, 0o777]);
        s.enter(values!["name" = file.as_str(), "flags" = 2 | 8, "mode" = 0]);
        s.exit(values![
            "fd" = fd,
            "name" = file.as_str(),
            "flags" = 2 | 8,
            "mode" = 0,
            "dev" = dev,
            "ino" = ino
        ]);
        let error = s.fails(libc::ENOENT, libc::SYS_open, &[cptr(&nope), 0, 0]);
        s.enter(values!["name" = missing.as_str(), "flags" = 1, "mode" = 0]);
        s.exit(values![
            "fd" = error,
            "name" = missing.as_str(),
            "flags" = 1,
            "mode" = 0,
            "dev" = 0,
            "ino" = 0
        ]);
        // Relative to a directory.
        let at = std::fs::File::open(&root).expect("opens");
        let dirfd = i64::from(at.as_raw_fd());
        let name = c("made");
        let fd = s.ok(libc::SYS_openat, &[dirfd as u64, cptr(&name), 0, 0]);
        s.enter(values!["dirfd" = dirfd, "name" = "made", "flags" = 1, "mode" = 0]);
        s.exit(values![
            "fd" = fd,
            "dirfd" = dirfd,
            "name" = "made",
            "flags" = 1,
            "mode" = 0,
            "dev" = dev,
            "ino" = ino
        ]);
        let error = s.fails(libc::EFAULT, libc::SYS_openat, &[CWD, BAD, 0, 0]);
        // Absent, not marked: readers then take the name of the exit, which is.
        s.enter(values!["dirfd" = -100, "name" = Vec::<u8>::new(), "flags" = 1, "mode" = 0]);
        s.exit(values![
            "fd" = error,
            "dirfd" = -100,
            "name" = "<NA>",
            "flags" = 1,
            "mode" = 0,
            "dev" = 0,
            "ino" = 0
        ]);
        // openat2: RESOLVE_BENEATH.
        let how: [u64; 3] = [libc::O_RDONLY as u64, 0, 0x08];
        let fd = s.ok(libc::SYS_openat2, &[dirfd as u64, cptr(&name), ptr(&how), 24]);
        s.enter(values!["dirfd" = dirfd, "name" = "made", "flags" = 1, "mode" = 0, "resolve" = 1]);
        s.exit(values![
            "fd" = fd,
            "dirfd" = dirfd,
            "name" = "made",
            "flags" = 1,
            "mode" = 0,
            "resolve" = 1,
            "dev" = dev,
            "ino" = ino
        ]);
        let error = s.fails(libc::EXDEV, libc::SYS_openat2, &[dirfd as u64, cptr(&path), ptr(&how), 24]);
        s.enter(values!["dirfd" = dirfd, "name" = file.as_str(), "flags" = 1, "mode" = 0, "resolve" = 1]);
        s.exit(values![
            "fd" = error,
            "dirfd" = dirfd,
            "name" = file.as_str(),
            "flags" = 1,
            "mode" = 0,
            "resolve" = 1,
            "dev" = 0,
            "ino" = 0
        ]);
        let second = format!("{root}/second");
        let path2 = c(second.as_str());
        let fd = s.ok(libc::SYS_creat, &[cptr(&path2), 0o600]);
        let (dev, ino) = dev_ino(&second);
        s.enter(values!["name" = second.as_str(), "mode" = 0o600]);
        s.exit(values![
            "fd" = fd,
            "name" = second.as_str(),
            "mode" = 0o600,
            "dev" = dev,
            "ino" = ino,
            "creat_flags" = V::Unknown
        ]);
        s.ok(libc::SYS_close, &[fd as u64]);
        s.enter(values!["fd" = fd]).exit(values!["res" = 0, "fd" = fd]);
        let error = s.fails(libc::EBADF, libc::SYS_close, &[fd as u64]);
        s.enter(values!["fd" = fd]).exit(values!["res" = error, "fd" = fd]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn attributes() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().to_str().expect("plain text").to_owned();
    let Some((script, recording)) = record("attributes", || {
        let mut s = Script::new();
        let file = format!("{root}/f");
        let handle = std::fs::File::create(&file).expect("creates");
        let fd = i64::from(handle.as_raw_fd());
        let (path, nope) = (c(file.as_str()), c("/no/such"));
        let mut stat = [0u8; 256];
        let buf = mut_ptr(&mut stat);
        for nr in [libc::SYS_stat, libc::SYS_lstat] {
            s.ok(nr, &[cptr(&path), buf]);
            s.exit(values!["res" = 0, "path" = file.as_str()]);
            let error = s.fails(libc::ENOENT, nr, &[cptr(&nope), buf]);
            s.exit(values!["res" = error, "path" = "/no/such"]);
        }
        s.ok(libc::SYS_fstat, &[fd as u64, buf]);
        s.enter(values!["fd" = fd]).exit(values!["res" = 0, "fd" = fd]);
        let error = s.fails(libc::EBADF, libc::SYS_fstat, &[999, buf]);
        s.enter(values!["fd" = 999]).exit(values!["res" = error, "fd" = 999]);
        let nofollow = libc::AT_SYMLINK_NOFOLLOW as u64;
        s.ok(libc::SYS_newfstatat, &[CWD, cptr(&path), buf, nofollow]);
        s.exit(values!["res" = 0, "dirfd" = -100, "path" = file.as_str(), "flags" = 0x100]);
        let error = s.fails(libc::ENOENT, libc::SYS_newfstatat, &[CWD, cptr(&nope), buf, 0]);
        s.exit(values!["res" = error, "dirfd" = -100, "path" = "/no/such", "flags" = 0]);

        s.ok(libc::SYS_access, &[cptr(&path), (libc::R_OK | libc::W_OK) as u64]);
        s.enter(values!["mode" = 6]).exit(values!["res" = 0, "name" = file.as_str(), "mode" = 6]);
        let error = s.fails(libc::ENOENT, libc::SYS_access, &[cptr(&nope), 0]);
        s.enter(values!["mode" = 0]).exit(values!["res" = error, "name" = "/no/such", "mode" = 0]);
        s.ok(libc::SYS_faccessat, &[CWD, cptr(&path), 0]);

        s.ok(libc::SYS_chmod, &[cptr(&path), 0o4751]);
        s.exit(values!["res" = 0, "filename" = file.as_str(), "mode" = 0o4751]);
        let error = s.fails(libc::ENOENT, libc::SYS_chmod, &[cptr(&nope), 0o600]);
        s.exit(values!["res" = error, "filename" = "/no/such", "mode" = 0o600]);
        s.ok(libc::SYS_fchmod, &[fd as u64, 0o600]);
        s.exit(values!["res" = 0, "fd" = fd, "mode" = 0o600]);
        let error = s.fails(libc::EBADF, libc::SYS_fchmod, &[u64::from(u32::MAX), 0o600]);
        s.exit(values!["res" = error, "fd" = -1, "mode" = 0o600]);
        s.ok(libc::SYS_fchmodat, &[CWD, cptr(&path), 0o640]);
        s.exit(values!["res" = 0, "dirfd" = -100, "filename" = file.as_str(), "mode" = 0o640]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn names() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().to_str().expect("plain text").to_owned();
    let Some((script, recording)) = record("names", || {
        let mut s = Script::new();
        let at = std::fs::File::open(&root).expect("opens");
        let dirfd = i64::from(at.as_raw_fd());
        let d = dirfd as u64;
        let full = |name: &str| format!("{root}/{name}");
        std::fs::write(full("a"), "x").expect("writes");
        let [a, b, e] = ["a", "b", "e"].map(|n| c(full(n)));
        let [rel_b, rel_c, rel_d, rel_l] = ["b", "c", "d", "l"].map(c);

        s.ok(libc::SYS_rename, &[cptr(&a), cptr(&b)]);
        s.exit(values!["res" = 0, "oldpath" = full("a").as_str(), "newpath" = full("b").as_str()]);
        let error = s.fails(libc::ENOENT, libc::SYS_rename, &[cptr(&a), cptr(&b)]);
        s.exit(values!["res" = error, "oldpath" = full("a").as_str(), "newpath" = full("b").as_str()]);
        s.ok(libc::SYS_renameat, &[d, cptr(&rel_b), d, cptr(&rel_c)]);
        s.exit(values!["res" = 0, "olddirfd" = dirfd, "oldpath" = "b", "newdirfd" = dirfd, "newpath" = "c"]);
        s.ok(libc::SYS_renameat2, &[d, cptr(&rel_c), d, cptr(&rel_d), libc::RENAME_NOREPLACE as u64]);
        s.exit(values![
            "res" = 0,
            "olddirfd" = dirfd,
            "oldpath" = "c",
            "newdirfd" = dirfd,
            "newpath" = "d",
            "flags" = 1
        ]);
        let dd = c(full("d"));
        s.ok(libc::SYS_link, &[cptr(&dd), cptr(&e)]);
        s.exit(values!["res" = 0, "oldpath" = full("d").as_str(), "newpath" = full("e").as_str()]);
        let error = s.fails(libc::EEXIST, libc::SYS_link, &[cptr(&dd), cptr(&e)]);
        s.exit(values!["res" = error, "oldpath" = full("d").as_str(), "newpath" = full("e").as_str()]);
        s.ok(libc::SYS_linkat, &[d, cptr(&rel_d), d, cptr(&rel_l), libc::AT_SYMLINK_FOLLOW as u64]);
        s.exit(values![
            "res" = 0,
            "olddir" = dirfd,
            "oldpath" = "d",
            "newdir" = dirfd,
            "newpath" = "l",
            "flags" = 0x400
        ]);
        let (target, link) = (c("target text"), c(full("s")));
        s.ok(libc::SYS_symlink, &[cptr(&target), cptr(&link)]);
        s.exit(values!["res" = 0, "target" = "target text", "linkpath" = full("s").as_str()]);
        let rel_s = c("s2");
        s.ok(libc::SYS_symlinkat, &[cptr(&target), d, cptr(&rel_s)]);
        s.exit(values!["res" = 0, "target" = "target text", "linkdirfd" = dirfd, "linkpath" = "s2"]);
        s.ok(libc::SYS_unlink, &[cptr(&e)]);
        s.exit(values!["res" = 0, "path" = full("e").as_str()]);
        let error = s.fails(libc::ENOENT, libc::SYS_unlink, &[cptr(&e)]);
        s.exit(values!["res" = error, "path" = full("e").as_str()]);
        s.ok(libc::SYS_unlinkat, &[d, cptr(&rel_l), 0]);
        s.exit(values!["res" = 0, "dirfd" = dirfd, "name" = "l", "flags" = 0]);

        let (made, rel_made) = (c(full("made")), c("made2"));
        s.ok(libc::SYS_mkdir, &[cptr(&made), 0o750]);
        s.enter(values!["mode" = 0o750]);
        s.exit(values!["res" = 0, "path" = full("made").as_str(), "mode" = 0o750]);
        s.ok(libc::SYS_mkdirat, &[d, cptr(&rel_made), 0o700]);
        s.exit(values!["res" = 0, "dirfd" = dirfd, "path" = "made2", "mode" = 0o700]);
        let error = s.fails(libc::EEXIST, libc::SYS_mkdirat, &[d, cptr(&rel_made), 0o700]);
        s.exit(values!["res" = error, "dirfd" = dirfd, "path" = "made2", "mode" = 0o700]);
        s.ok(libc::SYS_rmdir, &[cptr(&made)]);
        s.exit(values!["res" = 0, "path" = full("made").as_str()]);
        let error = s.fails(libc::ENOENT, libc::SYS_rmdir, &[cptr(&made)]);
        s.exit(values!["res" = error, "path" = full("made").as_str()]);
        s.ok(libc::SYS_unlinkat, &[d, cptr(&rel_made), libc::AT_REMOVEDIR as u64]);
        s.exit(values!["res" = 0, "dirfd" = dirfd, "name" = "made2", "flags" = 0x200]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}

#[test]
fn directories() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().canonicalize().expect("exists").to_str().expect("plain text").to_owned();
    let Some((script, recording)) = record("directories", || {
        let mut s = Script::new();
        // A working directory of this thread's own.
        s.ok(libc::SYS_unshare, &[libc::CLONE_FS as u64]);
        s.enter(values!["flags" = 2]).exit(values!["res" = 0, "flags" = 2]);
        let at = std::fs::File::open(&root).expect("opens");
        let dirfd = i64::from(at.as_raw_fd());
        let (path, nope) = (c(root.as_str()), c("/no/such"));
        s.ok(libc::SYS_chdir, &[cptr(&path)]);
        s.exit(values!["res" = 0, "path" = root.as_str()]);
        let error = s.fails(libc::ENOENT, libc::SYS_chdir, &[cptr(&nope)]);
        s.exit(values!["res" = error, "path" = "/no/such"]);
        let mut buf = [0u8; 4096];
        let len = s.ok(libc::SYS_getcwd, &[mut_ptr(&mut buf), 4096]);
        assert_eq!(len as usize, root.len() + 1);
        s.exit(values!["res" = len, "path" = root.as_str()]);
        s.ok(libc::SYS_fchdir, &[dirfd as u64]);
        s.enter(values!["fd" = dirfd]).exit(values!["res" = 0, "fd" = dirfd]);
        let error = s.fails(libc::EBADF, libc::SYS_fchdir, &[999]);
        s.enter(values!["fd" = 999]).exit(values!["res" = error, "fd" = 999]);
        for nr in [libc::SYS_getdents64, libc::SYS_getdents] {
            let got = s.call(nr, &[dirfd as u64, mut_ptr(&mut buf), 4096]);
            s.enter(values!["fd" = dirfd]).exit(values!["res" = got, "fd" = dirfd]);
        }
        let error = s.fails(libc::ENOENT, libc::SYS_chroot, &[cptr(&nope)]);
        s.exit(values!["res" = error, "path" = "/no/such"]);
        s.ok(libc::SYS_chroot, &[cptr(&path)]);
        s.exit(values!["res" = 0, "path" = root.as_str()]);
        s
    }) else {
        return;
    };
    script.verify(&recording);
}
