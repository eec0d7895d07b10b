//! `evt.category`: what area an event belongs to.

use crate::render::is_generic;
use crate::view::EventView;
use capture_common::Category;
use capture_common::snapshot::FdType;
use capture_common::syscall_table::PPM_SC_NAMES;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Categories of the calls without a type of their own, as sysdig 0.29.3 answers for them;
/// younger calls are sorted in beside their relatives.
#[rustfmt::skip]
const GENERIC: &[(Category, &str)] = &[
    (Category::File, "access chdir chmod chown close copy_file_range creat faccessat faccessat2 fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl64 fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 ftruncate futimesat getcwd getdents getxattr lchown lgetxattr link linkat listxattr llistxattr _llseek llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat mmap mmap2 mount mremap munmap name_to_handle_at open openat openat2 pread64 preadv2 pwrite64 pwritev2 readahead readlink readlinkat remap_file_pages removexattr rename renameat renameat2 rmdir sendfile sendfile64 setxattr stat stat64 statfs statfs64 statx symlink symlinkat sync_file_range syncfs truncate umount umount2 unlink unlinkat userfaultfd ustat utimensat utimes"),
    (Category::Sleep, "clock_nanosleep nanosleep sched_yield"),
    (Category::Signal, "pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait sgetmask signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend ssetmask tgkill tkill"),
    (Category::Ipc, "chroot eventfd eventfd2 fanotify_init fanotify_mark futex futex_waitv getdents64 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ipc kill mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 semctl semget semop semtimedop shmat shmctl shmdt shmget splice tee vmsplice"),
    (Category::Net, "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown socket socketcall socketpair"),
    (Category::System, "add_key adjtimex delete_module execve execveat finit_module init_module kexec_load keyctl olduname quotactl reboot request_key restart_syscall setdomainname sethostname swapoff sysfs sysinfo syslog uname"),
    (Category::Wait, "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait fcntl _newselect newselect pause poll ppoll pselect6 select wait4 waitid waitpid"),
    (Category::Time, "alarm clock_getres clock_gettime clock_settime getitimer gettimeofday setitimer settimeofday stime time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times utime"),
    (Category::Memory, "brk get_mempolicy madvise mbind mincore mlock mlockall mprotect munlock munlockall pkey_alloc pkey_free pkey_mprotect process_madvise set_mempolicy"),
    (Category::User, "getegid geteuid geteuid32 getgid getgid32 getgroups getresgid getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsuid setgid setgid32 setgroups setregid setresgid setresgid32 setresuid setresuid32 setreuid setuid setuid32"),
    (Category::Other, "bdflush bpf clock_adjtime perf_event_open ptrace rt_tgsigqueueinfo seccomp vhangup"),
    (Category::Process, "acct arch_prctl capget capset clone clone3 exit get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid gettid ioprio_get ioprio_set membarrier nice personality pidfd_getfd pidfd_open pivot_root prctl prlimit64 rseq sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler set_robust_list set_thread_area set_tid_address setns setpgid setpriority setrlimit setsid swapon ugetrlimit umask unshare uselib"),
];

static GENERIC_BY_NAME: LazyLock<HashMap<&'static str, Category>> = LazyLock::new(|| {
    GENERIC.iter().flat_map(|&(category, names)| names.split(' ').map(move |name| (name, category))).collect()
});

/// Categories of generic calls by portable id, so that no name is hashed per event.
static GENERIC_BY_ID: LazyLock<Vec<Category>> = LazyLock::new(|| {
    PPM_SC_NAMES.iter().map(|name| GENERIC_BY_NAME.get(name).copied().unwrap_or(Category::Unknown)).collect()
});

/// Category of an event; for reads, writes and other work on fds that of the fd.
pub(crate) fn of(view: &EventView<'_>) -> Option<Category> {
    let info = view.info?;
    if is_generic(view) {
        return Some(match view.raw.uint(0) {
            Some(id) if id != 0 => GENERIC_BY_ID.get(usize::try_from(id).ok()?).copied()?,
            _ => GENERIC_BY_NAME.get(crate::render::event_name(view)).copied().unwrap_or(Category::Unknown),
        });
    }
    Some(match info.category {
        Category::IoRead | Category::IoWrite | Category::IoOther => of_fd(view),
        other => other,
    })
}

fn of_fd(view: &EventView<'_>) -> Category {
    let Some(fd) = view.fd() else { return Category::Unknown };
    match fd.ty {
        FdType::File | FdType::FileOld | FdType::Directory => Category::File,
        FdType::Ipv4 | FdType::Ipv6 | FdType::Ipv4Server | FdType::Ipv6Server => Category::Net,
        // Not `Ipc`: that one prints in capitals, and these do not.
        FdType::Pipe | FdType::Unix | FdType::Event | FdType::Signal | FdType::Inotify => Category::IoOther,
        _ => Category::Unknown,
    }
}

/// The text of a category. `Ipc` of the event table prints as `IPC`, that of an fd as `ipc`: so
/// does stock sysdig, and filters are written with both.
pub const fn category_name(category: Category) -> &'static str {
    match category {
        Category::Unknown | Category::IoRead | Category::IoWrite | Category::Internal => "unknown",
        Category::Other => "other",
        Category::File => "file",
        Category::Net => "net",
        Category::Ipc => "IPC",
        Category::IoOther => "ipc",
        Category::Memory => "memory",
        Category::Process => "process",
        Category::Sleep => "sleep",
        Category::System => "system",
        Category::Signal => "signal",
        Category::User => "user",
        Category::Time => "time",
        Category::Wait => "wait",
        Category::Scheduler => "scheduler",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_common::syscall_table::X86_64;

    #[test]
    fn nearly_every_generic_call_has_a_category() {
        let without: Vec<_> = X86_64
            .iter()
            .filter(|s| s.is_generic() && !GENERIC_BY_NAME.contains_key(s.name))
            .map(|s| s.name)
            .collect();
        // Those that stock calls unknown, and administrative ones of recent kernels.
        assert!(without.len() < 70, "{without:?}");
    }
}
