//! Which kernel structure members the probe reads. One table for both sides: the probe turns each
//! row into a `.rodata` global of that name, the loader resolves the row in the running kernel's
//! BTF and patches the global before the program is verified.
//!
//! Invariant: no offset of any kernel is written down anywhere in the project. A renamed member is
//! another alternative in its row. A row marked `optional` that no alternative matches becomes
//! [`ABSENT`]; the probe tests for that and leaves the value out.

/// Value of the global of an optional member that this kernel does not have.
pub const ABSENT: u64 = u64::MAX;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OffsetRow {
    /// Name of the global.
    pub global: &'static str,
    /// Kernel structure.
    pub structure: &'static str,
    /// Member paths, newest kernel first: names joined by dots, `[n]` for an array element.
    pub paths: &'static [&'static str],
    /// Whether the probe can do without.
    pub optional: bool,
}

/// Calls `$callback!` with all rows, as `NAME: "struct" ["path", …] need;`.
#[macro_export]
macro_rules! kernel_offsets {
    ($callback:ident) => {
        $callback! {
            T_STATUS: "task_struct" ["thread_info.status"] optional;
            T_PID: "task_struct" ["pid"] required;
            T_TGID: "task_struct" ["tgid"] required;
            T_REAL_PARENT: "task_struct" ["real_parent"] required;
            T_THREAD_PID: "task_struct" ["thread_pid"] required;
            T_MM: "task_struct" ["mm"] required;
            T_FILES: "task_struct" ["files"] required;
            T_FS: "task_struct" ["fs"] required;
            T_CRED: "task_struct" ["cred"] required;
            T_SIGNAL: "task_struct" ["signal"] required;
            T_START: "task_struct" ["start_boottime", "real_start_time"] required;
            T_MIN_FLT: "task_struct" ["min_flt"] required;
            T_MAJ_FLT: "task_struct" ["maj_flt"] required;
            T_COMM: "task_struct" ["comm"] required;
            T_LOGINUID: "task_struct" ["loginuid.val"] optional;
            T_FLAGS: "task_struct" ["flags"] required;
            T_UTIME: "task_struct" ["utime"] required;
            T_STIME: "task_struct" ["stime"] required;
            T_RAN: "task_struct" ["se.sum_exec_runtime"] required;
            T_EXIT_STATE: "task_struct" ["exit_state"] required;
            T_EXIT_CODE: "task_struct" ["exit_code"] required;
            T_CGROUPS: "task_struct" ["cgroups"] optional;
            T_CHILDREN_NEXT: "task_struct" ["children.next"] required;
            T_CHILDREN: "task_struct" ["children"] required;
            T_LEADER: "task_struct" ["group_leader"] required;
            T_THREAD_NODE: "task_struct" ["thread_node"] required;
            S_LIVE: "signal_struct" ["live.counter"] required;
            S_THREAD_HEAD: "signal_struct" ["thread_head"] required;
            S_MIN_FLT: "signal_struct" ["min_flt"] required;
            S_MAJ_FLT: "signal_struct" ["maj_flt"] required;
            S_PID_TGID: "signal_struct" ["pids[1]"] required;
            S_PID_PGID: "signal_struct" ["pids[2]"] required;
            S_PID_SID: "signal_struct" ["pids[3]"] required;
            S_TTY: "signal_struct" ["tty"] required;
            S_NOFILE: "signal_struct" ["rlim[7].rlim_cur"] required;
            S_SUBREAPER: "signal_struct" ["is_child_subreaper"] required;
            SI_CODE: "kernel_siginfo" ["si_code"] required;
            SI_PID: "kernel_siginfo" ["_sifields._kill._pid"] required;
            TTY_INDEX: "tty_struct" ["index"] required;
            TTY_DRIVER: "tty_struct" ["driver"] required;
            TTYD_MAJOR: "tty_driver" ["major"] required;
            TTYD_MINOR: "tty_driver" ["minor_start"] required;
            PID_LEVEL: "pid" ["level"] required;
            PID_NUMBERS: "pid" ["numbers"] required;
            UPID_NR: "upid" ["nr"] required;
            UPID_NS: "upid" ["ns"] required;
            NS_REAPER: "pid_namespace" ["child_reaper"] required;
            C_UID: "cred" ["uid.val"] required;
            C_GID: "cred" ["gid.val"] required;
            C_SUID: "cred" ["suid.val"] required;
            C_SGID: "cred" ["sgid.val"] required;
            C_EUID: "cred" ["euid.val"] required;
            C_EGID: "cred" ["egid.val"] required;
            C_FSUID: "cred" ["fsuid.val"] required;
            C_FSGID: "cred" ["fsgid.val"] required;
            C_CAP_INH: "cred" ["cap_inheritable"] required;
            C_CAP_PRM: "cred" ["cap_permitted"] required;
            C_CAP_EFF: "cred" ["cap_effective"] required;
            MM_EXE: "mm_struct" ["exe_file"] required;
            MM_ARG_START: "mm_struct" ["arg_start"] required;
            MM_ARG_END: "mm_struct" ["arg_end"] required;
            MM_ENV_START: "mm_struct" ["env_start"] required;
            MM_ENV_END: "mm_struct" ["env_end"] required;
            MM_TOTAL: "mm_struct" ["total_vm"] required;
            MM_FILE: "mm_struct" ["rss_stat[0].count", "rss_stat.count[0].counter"] required;
            MM_ANON: "mm_struct" ["rss_stat[1].count", "rss_stat.count[1].counter"] required;
            MM_SWAP: "mm_struct" ["rss_stat[2].count", "rss_stat.count[2].counter"] required;
            MM_SHMEM: "mm_struct" ["rss_stat[3].count", "rss_stat.count[3].counter"] required;
            F_INODE: "file" ["f_inode"] required;
            F_FLAGS: "file" ["f_flags"] required;
            F_MODE: "file" ["f_mode"] required;
            F_PRIVATE: "file" ["private_data"] required;
            F_MNT: "file" ["f_path.mnt"] required;
            F_DENTRY: "file" ["f_path.dentry"] required;
            I_INO: "inode" ["i_ino"] required;
            I_MODE: "inode" ["i_mode"] required;
            I_UID: "inode" ["i_uid.val"] required;
            I_GID: "inode" ["i_gid.val"] required;
            I_NLINK: "inode" ["i_nlink"] required;
            I_SB: "inode" ["i_sb"] required;
            I_CTIME_SEC: "inode" ["i_ctime_sec", "__i_ctime.tv_sec", "i_ctime.tv_sec"] required;
            I_CTIME_NSEC: "inode" ["i_ctime_nsec", "__i_ctime.tv_nsec", "i_ctime.tv_nsec"] required;
            I_MTIME_SEC: "inode" ["i_mtime_sec", "__i_mtime.tv_sec", "i_mtime.tv_sec"] required;
            I_MTIME_NSEC: "inode" ["i_mtime_nsec", "__i_mtime.tv_nsec", "i_mtime.tv_nsec"] required;
            SB_DEV: "super_block" ["s_dev"] required;
            SB_MAGIC: "super_block" ["s_magic"] required;
            D_NAME: "dentry" ["d_name.name"] required;
            D_NAME_LEN: "dentry" ["d_name.len"] required;
            D_PARENT: "dentry" ["d_parent"] required;
            VM_ROOT: "vfsmount" ["mnt_root"] required;
            M_MNT: "mount" ["mnt"] required;
            M_PARENT: "mount" ["mnt_parent"] required;
            M_POINT: "mount" ["mnt_mountpoint"] required;
            FS_ROOT_MNT: "fs_struct" ["root.mnt"] required;
            FS_ROOT_DENTRY: "fs_struct" ["root.dentry"] required;
            FS_PWD_MNT: "fs_struct" ["pwd.mnt"] required;
            FS_PWD_DENTRY: "fs_struct" ["pwd.dentry"] required;
            FILES_FDT: "files_struct" ["fdt"] required;
            FDT_FD: "fdtable" ["fd"] required;
            FDT_MAX: "fdtable" ["max_fds"] required;
            FDT_CLOEXEC: "fdtable" ["close_on_exec"] required;
            IM_SEQ: "bpf_iter_meta" ["seq"] optional;
            SOCKET_SK: "socket" ["sk"] required;
            SK_TYPE: "sock" ["sk_type"] required;
            SK_PROTOCOL: "sock" ["sk_protocol"] required;
            SK_BACKLOG: "sock" ["sk_ack_backlog"] required;
            SK_MAX_BACKLOG: "sock" ["sk_max_ack_backlog"] required;
            SK_FAMILY: "sock" ["__sk_common.skc_family"] required;
            SK_STATE: "sock" ["__sk_common.skc_state"] required;
            SK_NUM: "sock" ["__sk_common.skc_num"] required;
            SK_DPORT: "sock" ["__sk_common.skc_dport"] required;
            SK_DADDR: "sock" ["__sk_common.skc_daddr"] required;
            SK_RCV_SADDR: "sock" ["__sk_common.skc_rcv_saddr"] required;
            SK_V6_DADDR: "sock" ["__sk_common.skc_v6_daddr"] optional;
            SK_V6_RCV_SADDR: "sock" ["__sk_common.skc_v6_rcv_saddr"] optional;
            INET_SADDR: "inet_sock" ["inet_saddr"] required;
            U_ADDR: "unix_sock" ["addr"] optional;
            U_PEER: "unix_sock" ["peer"] optional;
            UA_LEN: "unix_address" ["len"] optional;
            UA_NAME: "unix_address" ["name"] optional;
            CS_DFL: "css_set" ["dfl_cgrp"] optional;
            CS_SUBSYS: "css_set" ["subsys"] optional;
            CSS_CGROUP: "cgroup_subsys_state" ["cgroup"] optional;
            CG_KN: "cgroup" ["kn"] optional;
            KN_ID: "kernfs_node" ["id"] optional;
            BPRM_FILENAME: "linux_binprm" ["filename"] required;
            K_CMD: "io_kiocb" ["cmd"] optional;
            K_FILE: "io_kiocb" ["file", "cmd.file"] optional;
            K_OPCODE: "io_kiocb" ["opcode"] optional;
            K_FLAGS: "io_kiocb" ["flags"] optional;
            K_USER_DATA: "io_kiocb" ["cqe.user_data"] optional;
            K_FD: "io_kiocb" ["cqe.fd"] optional;
            K_CTX: "io_kiocb" ["ctx"] optional;
            K_ASYNC: "io_kiocb" ["async_data"] optional;
            KC_FLAGS: "io_ring_ctx" ["flags"] optional;
            KC_SQ_DATA: "io_ring_ctx" ["sq_data"] optional;
            SQ_TGID: "io_sq_data" ["task_tgid"] optional;
            CQE_USER_DATA: "io_uring_cqe" ["user_data"] optional;
            CQE_RES: "io_uring_cqe" ["res"] optional;
            CQE_FLAGS: "io_uring_cqe" ["flags"] optional;
            KM_ADDR: "io_async_msghdr" ["addr"] optional;
            FN_NAME: "filename" ["name"] optional;
            FN_UPTR: "filename" ["uptr"] optional;
        }
    };
}

macro_rules! rows {
    ($($name:ident: $structure:literal [$($path:literal),+] $need:ident;)*) => {
        /// Every row.
        pub const ROWS: &[OffsetRow] = &[$(OffsetRow {
            global: stringify!($name),
            structure: $structure,
            paths: &[$($path),+],
            optional: optional(stringify!($need)),
        },)*];
    };
}

const fn optional(need: &str) -> bool {
    matches!(need.as_bytes(), b"optional")
}

kernel_offsets!(rows);
