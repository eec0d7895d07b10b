//! The fd table of one process: what each fd refers to, from its link in /proc/PID/fd.

use super::Gaps;
use super::processes::{bracketed, read_file};
use super::sockets::Pending;
use capture_common::native;
use capture_common::snapshot::{FdKind, FdRecord, FdType};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Start of the link text, type, and whether the text is kept as name (files leave it empty).
const ANONYMOUS: &[(&[u8], FdType, bool)] = &[
    (b"anon_inode:[eventpoll]", FdType::EventPoll, false),
    (b"anon_inode:[eventfd", FdType::Event, false),
    (b"anon_inode:inotify", FdType::Inotify, false),
    (b"anon_inode:[timerfd", FdType::Timer, false),
    (b"anon_inode:[signalfd", FdType::Signal, false),
    (b"anon_inode:[io_uring]", FdType::IoUring, true),
    (b"anon_inode:[userfaultfd]", FdType::Userfault, true),
    (b"anon_inode:bpf", FdType::Bpf, true),
    (b"anon_inode:[pidfd]", FdType::Pid, true),
    (b"pidfd:", FdType::Pid, true),
    (b"/memfd:", FdType::Memfd, true),
];

/// Whether a process ended meanwhile, by the error that its folder gives.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Reads the table of the process in `folder`; `None` if it cannot be listed. Sockets are noted
/// in `pending`, which fills them in when all socket tables are known; `table_index` is where the
/// table will stand in the snapshot.
pub(super) fn read(
    folder: &Path,
    table_index: usize,
    pending: &mut Pending,
    gaps: &mut Gaps,
) -> Option<Vec<FdRecord>> {
    let fd_folder = folder.join("fd");
    let entries = match std::fs::read_dir(&fd_folder) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => {
            gaps.vanished_threads += 1;
            return None;
        }
        Err(_) => {
            gaps.fd_tables += 1;
            return None;
        }
    };
    let mut table = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse::<i64>().ok()) else { continue };
        let path = fd_folder.join(&name);
        let text = match std::fs::read_link(&path) {
            Ok(text) => text.into_os_string().into_vec(),
            Err(error) => {
                gaps.unreadable_fds += 1;
                // One that was closed is gone; one that may not be looked at is there all the same.
                if error.kind() == io::ErrorKind::PermissionDenied {
                    let kind = FdKind::Other { ty: FdType::Unsupported, name: Vec::new() };
                    table.push(FdRecord { fd, ino: 0, kind });
                }
                continue;
            }
        };
        // In this program's own table: the folder that is being listed.
        if text == fd_folder.as_os_str().as_bytes() {
            continue;
        }
        if text.starts_with(b"socket:[") {
            let ino = bracketed(&text).unwrap_or(0);
            pending.push((table_index, table.len()), ino, folder, path);
            table.push(FdRecord { fd, ino, kind: FdKind::Other { ty: FdType::Unsupported, name: text } });
            continue;
        }
        if text.starts_with(b"pipe:[") {
            let ino = bracketed(&text).unwrap_or(0);
            table.push(FdRecord { fd, ino, kind: FdKind::Other { ty: FdType::Pipe, name: text } });
            continue;
        }
        let meta = std::fs::metadata(&path).ok();
        let ino = meta.as_ref().map_or(0, MetadataExt::ino);
        let kind = kind(text, meta.as_ref().map(MetadataExt::mode), || {
            (open_flags(folder, fd), meta.as_ref().map_or(0, |m| stored_dev(m.dev())))
        });
        table.push(FdRecord { fd, ino, kind });
    }
    Some(table)
}

/// What an fd is that is no socket, by the text of its link and the mode of its inode; `of_file` gives
/// native open flags and device.
pub(super) fn kind(text: Vec<u8>, mode: Option<u32>, of_file: impl FnOnce() -> (u64, u32)) -> FdKind {
    if let Some(&(_, ty, keep)) = ANONYMOUS.iter().find(|(start, ..)| text.starts_with(start)) {
        return FdKind::Other { ty, name: if keep { text } else { Vec::new() } };
    }
    if text.starts_with(b"pipe:[") {
        return FdKind::Other { ty: FdType::Pipe, name: text };
    }
    if !text.starts_with(b"/") {
        // Namespaces (`mnt:[...]`), fanotify and other anonymous inodes.
        return FdKind::Other { ty: FdType::Unsupported, name: text };
    }
    match mode.unwrap_or(0) & libc::S_IFMT {
        libc::S_IFDIR => FdKind::Other { ty: FdType::Directory, name: text },
        libc::S_IFIFO => FdKind::Other { ty: FdType::Pipe, name: text },
        _ => {
            let (flags, dev) = of_file();
            FdKind::File { open_flags: native::open_flags(flags), name: text, dev }
        }
    }
}

/// Native open flags from /proc/PID/fdinfo; 0 where they cannot be read.
fn open_flags(folder: &Path, fd: i64) -> u64 {
    let info = read_file(&folder.join("fdinfo").join(fd.to_string()), 256).unwrap_or_default();
    let text = String::from_utf8_lossy(&info);
    let octal = text.lines().find_map(|line| line.strip_prefix("flags:"));
    octal.and_then(|flags| u64::from_str_radix(flags.trim(), 8).ok()).unwrap_or(0)
}

/// A device number of stat(2) in the kernel's 32-bit form: minor in the low 8 and high 12 bits,
/// major between.
fn stored_dev(dev: u64) -> u32 {
    let major = (dev >> 8 & 0xFFF) | (dev >> 32 & 0xFFFF_F000);
    let minor = (dev & 0xFF) | (dev >> 12 & 0xFFFF_FF00);
    ((minor & 0xFF) | major << 8 | (minor & !0xFF) << 12) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers() {
        // glibc's makedev(8, 1) and makedev(253, 300).
        assert_eq!(stored_dev(0x801), 0x801);
        assert_eq!(stored_dev(0x10_0000 | 253 << 8 | 44), 0x10_0000 | 253 << 8 | 44);
    }

    #[test]
    fn kinds_by_link_text() {
        let check = |text: &[u8], ty, name: &[u8]| {
            let expected = FdKind::Other { ty, name: name.to_vec() };
            assert_eq!(kind(text.to_vec(), None, || (0, 0)), expected);
        };
        check(b"anon_inode:[eventpoll]", FdType::EventPoll, b"");
        check(b"anon_inode:[eventfd]", FdType::Event, b"");
        check(b"anon_inode:inotify", FdType::Inotify, b"");
        check(b"anon_inode:[io_uring]", FdType::IoUring, b"anon_inode:[io_uring]");
        check(b"anon_inode:bpf-map", FdType::Bpf, b"anon_inode:bpf-map");
        check(b"anon_inode:[fanotify]", FdType::Unsupported, b"anon_inode:[fanotify]");
        check(b"mnt:[4026531832]", FdType::Unsupported, b"mnt:[4026531832]");
        check(b"/memfd:x (deleted)", FdType::Memfd, b"/memfd:x (deleted)");
        let gone = kind(b"/tmp/x (deleted)".to_vec(), None, || (0, 0));
        assert_eq!(gone, FdKind::File { open_flags: 1, name: b"/tmp/x (deleted)".to_vec(), dev: 0 });
    }
}
