//! [`Call`]: one ENTER or EXIT record as the parameter rows see it.
//!
//! Owns the look-up of sections and the readings of user structs in them. Invariant: a section
//! that is absent, short or marked as unreadable yields `None` or an empty slice, never a panic
//! and never bytes of something else.

use capture_common::abi::{
    FdInfo, IovInfo, MmInfo, MsgInfo, RecordHeader, Section, Sections, SockInfo, TaskInfo, flag,
    section_flag, tag,
};

/// What goes where text could not be read.
const UNREADABLE: &[u8] = b"<NA>";
/// What goes where the caller gave no text.
const NULL_TEXT: &[u8] = b"(NULL)";

/// One side of a system call.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// Header of the record.
    pub(super) header: RecordHeader,
    /// Argument registers.
    pub(super) args: [u64; 6],
    /// Result; 0 at enter.
    pub(super) ret: i64,
    /// What the probe copied.
    pub(super) sections: Sections<'a>,
    /// Most payload bytes to store.
    pub(super) snaplen: usize,
    /// Control groups of the thread in stored form, for clone and exec.
    pub(super) cgroups: &'a [u8],
    /// Path given to the exec that ends with this exit; empty when unknown.
    pub(super) exec_filename: &'a [u8],
    /// Flags of the clone3 that this is the exit of, as they stood at its enter.
    pub(super) clone3_flags: Option<u64>,
}

impl<'a> Call<'a> {
    /// Argument `n`, the whole register.
    #[inline]
    pub(super) fn arg(&self, n: u8) -> u64 {
        self.args.get(usize::from(n)).copied().unwrap_or(0)
    }

    /// Argument `n` as the C `int` that the kernel takes it for (fds, pids), sign-extended.
    #[inline]
    pub(super) fn int(&self, n: u8) -> i64 {
        i64::from(self.arg(n) as i32)
    }

    /// Whether the caller has 32-bit structs.
    #[inline]
    pub(super) fn is_compat(&self) -> bool {
        self.header.flags & flag::COMPAT32 != 0
    }

    /// Whether the call succeeded.
    #[inline]
    pub(super) fn is_ok(&self) -> bool {
        self.ret >= 0
    }

    /// A 64-bit argument that a 32-bit caller passes as two registers, low half first.
    pub(super) fn wide(&self, native: u8, compat_low: u8) -> u64 {
        if self.is_compat() {
            self.arg(compat_low) & 0xffff_ffff | self.arg(compat_low + 1) << 32
        } else {
            self.arg(native)
        }
    }

    fn readable(section: Section<'a>) -> Option<&'a [u8]> {
        let lost = section.header.flags & (section_flag::FAULT | section_flag::NULL) != 0;
        (!lost || !section.data.is_empty()).then_some(section.data)
    }

    /// Data of the section with this tag and argument, where it was readable.
    pub(super) fn data(&self, tag: u8, arg: u8) -> Option<&'a [u8]> {
        Self::readable(self.sections.find(tag, arg)?)
    }

    /// Data of the first section with this tag, where it was readable.
    pub(super) fn data_of(&self, tag: u8) -> Option<&'a [u8]> {
        Self::readable(self.sections.find_tag(tag)?)
    }

    /// Text at argument `arg`; a marked value where there is none.
    pub(super) fn text(&self, arg: u8) -> &'a [u8] {
        text_of(self.sections.find(tag::STR, arg))
    }

    /// Path at argument `arg` of an open's enter, where it could be read. One on a page that the
    /// caller has not touched yet could not.
    pub(super) fn opened_path(&self, arg: u8) -> Option<&'a [u8]> {
        Some(self.text(arg)).filter(|path| *path != UNREADABLE)
    }

    /// Text of the first section with this tag; a marked value where there is none.
    pub(super) fn text_tagged(&self, tag: u8) -> &'a [u8] {
        text_of(self.sections.find_tag(tag))
    }

    /// The path from the root that the probe found; `None` where there is none, or a part of it is missing.
    pub(super) fn whole_path(&self, tag: u8) -> Option<&'a [u8]> {
        let section = self.sections.find_tag(tag)?;
        let is_whole = section.header.flags & (section_flag::FAULT | section_flag::TRUNCATED) == 0;
        Some(section.data).filter(|path| is_whole && path.first() == Some(&b'/'))
    }

    /// Payload at argument `arg`, at most the snaplen.
    pub(super) fn payload(&self, arg: u8) -> &'a [u8] {
        self.capped(self.data(tag::BYTES, arg))
    }

    /// Payload gathered from an iovec, at most the snaplen.
    pub(super) fn gathered(&self) -> &'a [u8] {
        self.capped(self.data_of(tag::IOV))
    }

    fn capped(&self, data: Option<&'a [u8]>) -> &'a [u8] {
        let data = data.unwrap_or(&[]);
        &data[..data.len().min(self.snaplen)]
    }

    /// User struct at argument `arg`.
    pub(super) fn raw(&self, arg: u8) -> Option<&'a [u8]> {
        self.data(tag::RAW, arg)
    }

    /// Word `index` (32 bits) of the user struct at argument `arg`.
    pub(super) fn raw_u32(&self, arg: u8, index: usize) -> Option<u32> {
        word32(self.raw(arg)?, index)
    }

    /// Word `index` (64 bits) of the user struct at argument `arg`.
    pub(super) fn raw_u64(&self, arg: u8, index: usize) -> Option<u64> {
        word64(self.raw(arg)?, index)
    }

    /// The timespec at argument `arg`, in ns; `u64::MAX` ("none") where there is none.
    pub(super) fn timespec_ns(&self, arg: u8) -> u64 {
        // ia32 calls named *_time64 hand over the 64-bit form; its section is 16 bytes long.
        let is_small = self.raw(arg).is_some_and(|raw| raw.len() < 16);
        let (s, ns) = if is_small {
            (self.raw_u32(arg, 0).map(u64::from), self.raw_u32(arg, 1).map(u64::from))
        } else {
            (self.raw_u64(arg, 0), self.raw_u64(arg, 1))
        };
        match (s, ns) {
            (Some(s), Some(ns)) => s.wrapping_mul(1_000_000_000).wrapping_add(ns),
            _ => u64::MAX,
        }
    }

    /// File of the fd in argument `arg` (or the returned one).
    pub(super) fn file(&self, arg: u8) -> Option<FdInfo> {
        FdInfo::read(self.data(tag::FDINFO, arg)?)
    }

    /// Socket of the fd in argument `arg` (or the returned one).
    pub(super) fn sock(&self, arg: u8) -> Option<SockInfo> {
        SockInfo::read(self.data(tag::SOCK, arg)?)
    }

    /// Memory use of the process.
    pub(super) fn mm(&self) -> Option<MmInfo> {
        MmInfo::read(self.data_of(tag::MM)?)
    }

    /// The calling thread.
    pub(super) fn task(&self) -> Option<TaskInfo> {
        TaskInfo::read(self.data_of(tag::TASK)?)
    }

    /// Totals of the iovec.
    pub(super) fn iov(&self) -> Option<IovInfo> {
        IovInfo::read(self.data_of(tag::IOV_INFO)?)
    }

    /// The first message.
    pub(super) fn msg(&self) -> Option<MsgInfo> {
        MsgInfo::read(self.data_of(tag::MSG)?)
    }
}

/// Word `index` (32 bits) of `bytes`, native-endian.
pub(super) fn word32(bytes: &[u8], index: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(index * 4..)?.first_chunk()?))
}

/// Word `index` (64 bits) of `bytes`, native-endian.
pub(super) fn word64(bytes: &[u8], index: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(index * 8..)?.first_chunk()?))
}

fn text_of(section: Option<Section<'_>>) -> &[u8] {
    let Some(section) = section else { return UNREADABLE };
    if section.header.flags & section_flag::NULL != 0 {
        return NULL_TEXT;
    }
    if section.data.is_empty() && section.header.flags & section_flag::FAULT != 0 {
        return UNREADABLE;
    }
    section.data.split(|&b| b == 0).next().unwrap_or(&[])
}
