//! [`World`]: an engine that is fed single hand-made events.

use capture_common::encode::EventEncoder;
use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::snapshot::{FdKind, FdRecord, ThreadRecord};
use capture_common::{Batch, EventCode, Snapshot};
use capture_engine::{Applied, Engine, FdInfo, Options, Thread};

/// Stored flag bits of clone that tests use.
pub(crate) const CLONE_THREAD: u32 = 1 << 13;
pub(crate) const CLONE_VFORK: u32 = 1 << 27;
pub(crate) const CHILD_IN_PIDNS: u32 = 1 << 29;
/// Stored flags of open that tests use.
pub(crate) const O_RDONLY: u32 = 1;
pub(crate) const O_DIRECTORY: u32 = 1 << 10;
pub(crate) const O_CLOEXEC: u32 = 1 << 12;

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) ts_ns: u64,
}

/// What a clone's exit says.
pub(crate) struct Clone {
    pub(crate) comm: &'static str,
    pub(crate) pid: i64,
    pub(crate) ptid: i64,
    pub(crate) flags: u32,
    pub(crate) vtid: i64,
    pub(crate) vpid: i64,
    pub(crate) cgroups: &'static [u8],
}

impl Default for Clone {
    fn default() -> Self {
        Clone { comm: "bash", pid: 100, ptid: 1, flags: 0, vtid: 100, vpid: 100, cgroups: b"" }
    }
}

impl World {
    /// init (1), bash (100, child of 1, in /home/alice/) with fds 0 and 1, and a thread 105 of it.
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let thread = |tid, pid, ptid, comm: &str| ThreadRecord {
            tid,
            pid,
            ptid,
            vtid: tid,
            vpid: pid,
            comm: comm.into(),
            exe: format!("/bin/{comm}").into(),
            cwd: b"/home/alice".to_vec(),
            env: b"HOME=/home/alice\0".to_vec(),
            ..Default::default()
        };
        let file = |fd, name: &str| FdRecord {
            fd,
            ino: 0,
            kind: FdKind::File { open_flags: 3, name: name.into(), dev: 0 },
        };
        let snapshot = Snapshot {
            threads: vec![thread(1, 1, 0, "init"), thread(100, 100, 1, "bash"), thread(105, 100, 1, "bash")],
            fds: vec![(100, vec![file(0, "/dev/pts/0"), file(1, "/dev/pts/0")])],
            ..Default::default()
        };
        let mut engine = Engine::new(options);
        engine.begin_section(&snapshot);
        World { engine, ts_ns: 1_700_000_000_000_000_000 }
    }

    /// Applies one event of `nparams` parameters.
    pub(crate) fn event(
        &mut self,
        tid: i64,
        code: EventCode,
        nparams: usize,
        fill: impl FnOnce(&mut EventEncoder<'_>),
    ) -> Applied {
        self.ts_ns += 1_000;
        let mut batch = Batch::new();
        let mut event = batch.encode(EventHead { ts_ns: self.ts_ns, tid, cpu: 0, code, flags: 0 }, nparams);
        fill(&mut event);
        event.finish();
        self.engine.apply(&batch.get(0).expect("a whole event"))
    }

    /// An event of no thread that changes nothing: lets deferred work be done.
    pub(crate) fn settle(&mut self) {
        self.event(-1, code::DROP_E, 1, |e| {
            e.u32(1);
        });
    }

    pub(crate) fn thread(&self, tid: i64) -> &Thread {
        self.find(tid).unwrap_or_else(|| panic!("thread {tid} is not in the table"))
    }

    pub(crate) fn find(&self, tid: i64) -> Option<&Thread> {
        self.engine.machine().thread(tid)
    }

    pub(crate) fn fd(&self, tid: i64, fd: i64) -> Option<&FdInfo> {
        self.engine.machine().fd(self.thread(tid), fd)
    }

    /// Name of an fd, `-` where it is not in the table.
    pub(crate) fn fd_name(&self, tid: i64, fd: i64) -> String {
        self.fd(tid, fd).map_or("-".into(), |f| String::from_utf8_lossy(&f.name).into_owned())
    }

    /// The enter and exit of a successful or failed call.
    pub(crate) fn open(&mut self, tid: i64, result: i64, name: &str, flags: u32) -> Applied {
        self.event(tid, code::SYSCALL_OPEN_E, 3, |e| {
            e.text(name.as_bytes()).u32(flags).u32(0);
        });
        self.event(tid, code::SYSCALL_OPEN_X, 6, |e| {
            e.i64(result).text(name.as_bytes()).u32(flags).u32(0).u32(0x801).u64(77);
        })
    }

    pub(crate) fn close_enter(&mut self, tid: i64, fd: i64) -> Applied {
        self.event(tid, code::SYSCALL_CLOSE_E, 1, |e| {
            e.i64(fd);
        })
    }

    pub(crate) fn close_exit(&mut self, tid: i64, result: i64, fd: i64) -> Applied {
        self.event(tid, code::SYSCALL_CLOSE_X, 2, |e| {
            e.i64(result).i64(fd);
        })
    }

    /// One exit of a clone, in the 2022 form.
    pub(crate) fn clone_exit(&mut self, tid: i64, result: i64, c: &Clone) -> Applied {
        self.event(tid, code::SYSCALL_CLONE_20_X, 20, |e| {
            e.i64(result).text(c.comm.as_bytes()).bytes(b"-l\0").i64(tid).i64(c.pid).i64(c.ptid);
            e.text(b"").i64(1024).u64(0).u64(1).u32(100).u32(50).u32(0).text(c.comm.as_bytes());
            e.bytes(c.cgroups).u32(c.flags).u32(1000).u32(1000).i64(c.vtid).i64(c.vpid);
        })
    }

    /// The exit of an exec, in the 2022 form.
    pub(crate) fn exec_exit(&mut self, tid: i64, result: i64, pid: i64, ptid: i64, comm: &str) -> Applied {
        self.event(tid, code::SYSCALL_EXECVE_19_X, 20, |e| {
            e.i64(result).text(comm.as_bytes()).bytes(b"-n\0").i64(tid).i64(pid).i64(ptid);
            e.text(b"").u64(512).u64(0).u64(3).u32(200).u32(80).u32(0).text(comm.as_bytes());
            e.bytes(b"cpuset=/\0").bytes(b"A=b\0").u32(34816).i64(pid).u32(1000).u32(1);
        })
    }

    pub(crate) fn process_exit(&mut self, tid: i64, reaper: i64) -> Applied {
        self.event(tid, code::PROCEXIT_1_E, 5, |e| {
            e.i64(0).i64(0).u8(0).u8(0).i64(reaper);
        })
    }
}
