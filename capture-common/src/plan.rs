//! The copy plan: which user memory and which kernel objects the probe copies into the records of
//! each system call. One row per call, by name; the loader turns names into numbers (native and
//! ia32) and writes the rows into the probe's table map. Calls without a row give a plain enter
//! and exit record with arguments and result.
//!
//! Invariant: a new call is a new row here and nothing else, unless it needs a special collector.

mod rows;

pub use rows::{COMPAT_CAPS, ROWS, compat_row, row};

/// What a [`CopyAction`] does: the tag of the section that it makes.
pub mod op {
    use crate::abi::tag;

    /// Nothing; ends the list.
    pub const NONE: u8 = 0;
    /// STR section: user string at `arg`, at most `cap` bytes.
    pub const STR: u8 = tag::STR;
    /// BYTES section: user buffer at `arg`, limited by the snaplen.
    pub const BYTES: u8 = tag::BYTES;
    /// RAW section: user memory at `arg`, limited by `cap`.
    pub const RAW: u8 = tag::RAW;
    /// SOCKADDR section: as RAW.
    pub const SOCKADDR: u8 = tag::SOCKADDR;
    /// SOCK section (and UNIX_NAMEs) of the fd in `arg`.
    pub const SOCK: u8 = tag::SOCK;
    /// FDINFO section of the fd in `arg`.
    pub const FDINFO: u8 = tag::FDINFO;
    /// MM section of the caller.
    pub const MM: u8 = tag::MM;
}

/// Where the length of a copy comes from; it is then multiplied by `scale` and limited.
pub mod len_from {
    /// `cap` itself.
    pub const FIXED: u8 = 0;
    /// The call's result; nothing when negative.
    pub const RET: u8 = 1;
    /// Argument `len_arg`.
    pub const ARG: u8 = 2;
    /// The 32-bit number at the user pointer in argument `len_arg`.
    pub const PTR: u8 = 3;
    /// The result, or argument `len_arg` when the call failed (what it wanted to write).
    pub const RET_OR_ARG: u8 = 4;
}

/// When an exit action runs.
pub mod when {
    /// Always.
    pub const ALWAYS: u8 = 0;
    /// The call succeeded (result >= 0).
    pub const OK: u8 = 1;
}

/// Collectors that the action list cannot say; each is a program of its own, reached by tail call.
pub mod special {
    /// None.
    pub const NONE: u8 = 0;
    /// iovec at argument 1 with argument 2 entries: IOV_INFO, and at exit IOV data.
    pub const IOV: u8 = 1;
    /// msghdr at argument 1: MSG, SOCKADDR (its name); at exit also IOV data, and CMSG for a
    /// received one.
    pub const MSG: u8 = 2;
    /// mmsghdr array at argument 1: one group as MSG for each message of the result.
    pub const MMSG: u8 = 3;
    /// clone family: TASK, ARGS.
    pub const TASK: u8 = 4;
    /// exec family: on success TASK, ARGS, ENV, EXEPATH, CWD; on failure TASK and the strings of the
    /// argv and envp arrays, EXEPATH, CWD.
    pub const EXEC: u8 = 5;
    /// execveat: as EXEC, arrays at arguments 2 and 3.
    pub const EXECAT: u8 = 6;
    /// pipe: RAW with both fds, FDINFO of the first.
    pub const PIPE: u8 = 7;
    /// socketpair: RAW (argument 3) with both fds, SOCK of the first.
    pub const SOCKPAIR: u8 = 8;
    /// FDPATH of the returned fd.
    pub const FDPATH: u8 = 9;
    /// socketcall(2) of an ia32 caller: the record becomes that of the call behind it
    /// ([`SOCKETCALL_ROWS`](super::SOCKETCALL_ROWS)), arguments too, and is filled by that one's row.
    pub const SOCKETCALL: u8 = 10;
    /// The old mmap of ia32: the arguments become those in the struct that the first one points to.
    pub const OLD_MMAP: u8 = 11;
    /// Number of values.
    pub const COUNT: u8 = 12;
}

/// Number, in ia32 records, of the first call behind socketcall(2): 480 plus what its first argument
/// says. The ia32 table has no such numbers yet, and ends before they could meet those of these rows.
pub const SOCKETCALL_ROWS: u16 = 480;

/// Slot of the path collector in the probe's tail-call table, behind those of [`special`].
pub const TAIL_PATHS: u8 = 12;

/// Bits of [`PlanRow::flags`].
pub mod row_flag {
    /// Later events are understood wrongly without the exit of a call that succeeded, which is
    /// dropped last when a ring fills. What its enter says, the exit says again, except as
    /// STATEFUL_ENTER has it. Calls that never exit end with the thread, which has its own record.
    pub const STATEFUL: u8 = 1;
    /// `special::IOV`, MSG and MMSG: the call takes data in, so a failed one has none, and
    /// control data is read at exit.
    pub const RECEIVES: u8 = 2;
    /// Set by the loader in the rows of the ia32 table.
    pub const COMPAT32: u8 = 4;
    /// The call's success (result 0) can change what filters know of its thread: exec, the child's
    /// side of clone, set*id.
    pub const CHANGES_THREAD: u8 = 8;
    /// As STATEFUL for the exit of a call that failed.
    pub const STATEFUL_FAILED: u8 = 16;
    /// As STATEFUL for the enter, of which the exit does not say all again.
    pub const STATEFUL_ENTER: u8 = 32;
}

/// One copy.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyAction {
    /// One of [`op`].
    pub op: u8,
    /// Argument with the pointer or fd; [`crate::abi::ARG_RET`]: the result.
    pub arg: u8,
    /// One of [`len_from`].
    pub len_from: u8,
    /// Argument the length comes from.
    pub len_arg: u8,
    /// Upper limit (FIXED: the length), bytes.
    pub cap: u16,
    /// Bytes per unit of the length source.
    pub scale: u8,
    /// One of [`when`].
    pub when: u8,
}

/// Actions at enter.
pub const ENTER_ACTIONS: usize = 3;
/// Actions at exit.
pub const EXIT_ACTIONS: usize = 4;

/// What to do for one call number; 64 bytes, the value type of the probe's table map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanRow {
    /// Bits of [`row_flag`].
    pub flags: u8,
    /// One of [`special`], after the enter actions.
    pub enter_special: u8,
    /// One of [`special`], after the exit actions.
    pub exit_special: u8,
    /// Number of actions in `enter`; written by `PlanRow::counted`.
    pub enter_count: u8,
    /// Number of actions in `exit`.
    pub exit_count: u8,
    /// Classes of threads (bit n: class n) of which enter records are made; see `abi::ThreadSlot`.
    pub pass_enter: u8,
    /// The same for exit records, where the call did not return a negative number.
    pub pass_ok: u8,
    /// The same, where it did.
    pub pass_failed: u8,
    /// Copies at enter, in order.
    pub enter: [CopyAction; ENTER_ACTIONS],
    /// Copies at exit, in order.
    pub exit: [CopyAction; EXIT_ACTIONS],
}

const _: () = assert!(core::mem::size_of::<CopyAction>() == 8);
const _: () = assert!(core::mem::size_of::<PlanRow>() == 64);

impl CopyAction {
    const fn new(op: u8, arg: u8, cap: u16) -> Self {
        Self { op, arg, len_from: len_from::FIXED, len_arg: 0, cap, scale: 1, when: when::ALWAYS }
    }
    const fn len(mut self, len_from: u8, len_arg: u8) -> Self {
        self.len_from = len_from;
        self.len_arg = len_arg;
        self
    }
    const fn times(mut self, scale: u8) -> Self {
        self.scale = scale;
        self
    }
    const fn ok(mut self) -> Self {
        self.when = when::OK;
        self
    }
}

impl PlanRow {
    /// The row of a call for which nothing is copied.
    pub const PLAIN: PlanRow = PlanRow {
        flags: 0,
        enter_special: 0,
        exit_special: 0,
        enter_count: 0,
        exit_count: 0,
        pass_enter: u8::MAX,
        pass_ok: u8::MAX,
        pass_failed: u8::MAX,
        enter: [CopyAction::new(op::NONE, 0, 0); ENTER_ACTIONS],
        exit: [CopyAction::new(op::NONE, 0, 0); EXIT_ACTIONS],
    };

    /// Whether losing the exit of this call, where it succeeded, harms the state that is kept from
    /// events.
    pub const fn stateful(&self) -> bool {
        self.flags & row_flag::STATEFUL != 0
    }

    /// The row as the 64 bytes the probe's map takes.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut out = [0; 64];
        out[..8].copy_from_slice(&[
            self.flags,
            self.enter_special,
            self.exit_special,
            self.enter_count,
            self.exit_count,
            self.pass_enter,
            self.pass_ok,
            self.pass_failed,
        ]);
        for (slot, a) in out[8..].chunks_exact_mut(8).zip(self.enter.iter().chain(&self.exit)) {
            let cap = a.cap.to_ne_bytes();
            slot.copy_from_slice(&[a.op, a.arg, a.len_from, a.len_arg, cap[0], cap[1], a.scale, a.when]);
        }
        out
    }

    const fn on_enter(mut self, a: CopyAction) -> Self {
        self.enter[self.enter_count as usize] = a;
        self.enter_count += 1;
        self
    }
    const fn on_exit(mut self, a: CopyAction) -> Self {
        self.exit[self.exit_count as usize] = a;
        self.exit_count += 1;
        self
    }
    const fn both(self, a: CopyAction) -> Self {
        self.on_enter(a).on_exit(a)
    }
    const fn special(mut self, enter: u8, exit: u8) -> Self {
        self.enter_special = enter;
        self.exit_special = exit;
        self
    }
    const fn flag(mut self, bit: u8) -> Self {
        self.flags |= bit;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_actions_sane() {
        for (i, (name, row)) in ROWS.iter().enumerate() {
            assert!(ROWS[..i].iter().all(|(n, _)| n != name), "{name} twice");
            for a in row.enter.iter().chain(&row.exit) {
                assert!(a.op <= op::MM && (a.arg < 6 || a.arg == crate::abi::ARG_RET), "{name}");
                assert!(a.len_arg < 6 && a.scale > 0, "{name}");
            }
            for a in &row.enter {
                assert!(
                    a.when == when::ALWAYS && a.len_from != len_from::RET && a.arg != crate::abi::ARG_RET,
                    "{name}: needs a result at enter"
                );
            }
            assert!(row.enter_special < special::COUNT && row.exit_special < special::COUNT);
        }
    }

    #[test]
    fn an_ia32_row_has_the_small_struct() {
        assert_eq!(compat_row("nanosleep").enter[0].cap, 8);
        assert_eq!(row("nanosleep").enter[0].cap, 16);
    }

    #[test]
    fn bytes_follow_the_declared_layout() {
        let b = row("openat2").to_bytes();
        assert_eq!((b[0], b[3], b[4]), (row_flag::STATEFUL, 2, 3));
        assert_eq!(b[5..8], [0xff; 3]);
        assert_eq!(&b[8..16], &[op::STR, 1, 0, 0, 0, 0x10, 1, 0]);
        assert_eq!(b[8 + 3 * 8 + 2 * 8], op::FDINFO);
    }
}
