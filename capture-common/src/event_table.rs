//! Types of the event table, and look-ups in it.
//!
//! The rows are generated (`generated/events.rs`, `generated/flag_tables.rs`) from `data/`.
//! Every code has one row with the parameters of both published schemas: the one of sysdig
//! 0.29.3 (2022, codes 0..335) and the current one of falcosecurity/libs ("head", 0..453).
//! For a code in both, the 2022 parameters are a prefix of the head ones: same order, same sizes.

pub use crate::generated::events::{EVENTS, OWN_PARAMS, code};
pub use crate::generated::flag_tables;
pub use crate::generated::names::{ERRNO, SIGNALS};

/// Number of an event type, as stored in capture files. Even codes are enters, odd ones exits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct EventCode(pub u16);

impl EventCode {
    /// Whether this is the enter side (or the only side) of an event type.
    #[inline]
    pub const fn is_enter(self) -> bool {
        self.0 & 1 == 0
    }

    /// Whether this is the exit side of an event type.
    #[inline]
    pub const fn is_exit(self) -> bool {
        self.0 & 1 == 1
    }

    /// The row of this code; `None` for codes younger than the table.
    #[inline]
    pub fn info(self) -> Option<&'static EventInfo> {
        EVENTS.get(usize::from(self.0))
    }
}

/// One row of the event table.
#[derive(Debug)]
pub struct EventInfo {
    /// The code of the row, equal to its index.
    pub code: EventCode,
    /// Name as printed, e.g. `openat`. The 2022 name where the two schemas differ.
    pub name: &'static str,
    /// Category, for `evt.category`.
    pub category: Category,
    /// Flags of the head table, together with `DROP_SIMPLE_CONS` of the 2022 one.
    pub flags: EventFlags,
    /// Flags of the 2022 table; zero for codes that it lacks.
    pub flags_2022: EventFlags,
    /// For events with [`EventFlags::USES_FD`]: index of the parameter that holds the fd.
    pub fd_param: Option<u8>,
    /// Parameters of the 2022 schema; `None` for codes above 335.
    pub params_2022: Option<&'static [ParamInfo]>,
    /// Parameters of the current schema.
    pub params: &'static [ParamInfo],
}

impl EventInfo {
    /// How parameter `index` is called and printed: by the 2022 schema where that has it, else
    /// by the current one.
    #[inline]
    pub fn param(&self, index: usize) -> Option<&'static ParamInfo> {
        match self.params_2022 {
            Some(old) if index < old.len() => Some(&old[index]),
            _ => self.params.get(index),
        }
    }

    /// Number of parameters in the 2022 schema, 0 for codes that it lacks.
    #[inline]
    pub fn len_2022(&self) -> usize {
        self.params_2022.map_or(0, <[ParamInfo]>::len)
    }

    /// Index of the parameter called `name` in either schema (the 2022 name wins).
    pub fn param_index(&self, name: &str) -> Option<usize> {
        let old = self.params_2022.unwrap_or(&[]);
        old.iter().position(|p| p.name == name).or_else(|| self.params.iter().position(|p| p.name == name))
    }

    /// Whether both tables or the flags mark the code as not in use.
    pub fn is_unused(&self) -> bool {
        self.flags.contains(EventFlags::UNUSED)
            && (self.params_2022.is_none() || self.flags_2022.contains(EventFlags::UNUSED))
    }
}

/// One parameter of an event.
#[derive(Debug, PartialEq, Eq)]
pub struct ParamInfo {
    /// Name as printed before `=`.
    pub name: &'static str,
    /// The name and the `=`, as listings append it.
    pub label: ParamLabel,
    /// Encoding of the value.
    pub ty: ParamType,
    /// Number base of the text form.
    pub format: ParamFormat,
    /// What else is needed to print the value.
    pub extra: ParamExtra,
}

/// A short text in an array of its own, which can be appended to a buffer without a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamLabel {
    padded: [u8; ParamLabel::PADDED_LEN],
    len: u8,
}

impl ParamLabel {
    /// Bytes of the array.
    pub const PADDED_LEN: usize = 24;

    /// The label of a parameter's name.
    ///
    /// # Panics
    /// Where the name does not fit, which the table's own rows show when they are compiled.
    pub const fn of(name: &str) -> ParamLabel {
        let name = name.as_bytes();
        let mut padded = [0; Self::PADDED_LEN];
        let mut at = 0;
        while at < name.len() {
            padded[at] = name[at];
            at += 1;
        }
        padded[at] = b'=';
        ParamLabel { padded, len: at as u8 + 1 }
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.padded[..usize::from(self.len)]
    }

    /// The text with what follows it in its array, and its length.
    #[inline]
    pub fn padded(&self) -> (&[u8; Self::PADDED_LEN], usize) {
        (&self.padded, usize::from(self.len))
    }
}

/// Further knowledge about a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamExtra {
    /// Nothing.
    None,
    /// Names of the bits or values.
    Flags(&'static FlagTable),
    /// For [`ParamType::Dyn`]: the alternatives that the leading index byte chooses from.
    Dynamic(&'static [(ParamType, ParamFormat)]),
    /// For [`ParamType::FsRelPath`]: index of the parameter with the directory fd.
    DirFd(u8),
}

/// Names of flags or of enumeration values, in the order in which they are tried when printing.
#[derive(Debug, PartialEq, Eq)]
pub struct FlagTable {
    /// Name of the table, e.g. `file_flags`.
    pub name: &'static str,
    /// Entries of the current schema.
    pub head: &'static [(&'static str, u32)],
    /// Entries of the 2022 schema; empty where that has no such table.
    pub v2022: &'static [(&'static str, u32)],
}

impl FlagTable {
    /// The entries to print with: those of 2022 where they exist, else the current ones.
    #[inline]
    pub fn entries(&self) -> &'static [(&'static str, u32)] {
        if self.v2022.is_empty() { self.head } else { self.v2022 }
    }

    /// The value of a name in either schema.
    pub fn value_of(&self, name: &str) -> Option<u32> {
        self.v2022.iter().chain(self.head).find(|(n, _)| *n == name).map(|&(_, v)| v)
    }
}

macro_rules! event_flags {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        impl EventFlags {
            $($(#[$doc])* pub const $name: EventFlags = EventFlags($value);)*
        }
    };
}

/// Flags of an event type (bits as in falcosecurity/libs, `enum ppm_event_flags`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct EventFlags(pub u32);

event_flags! {
    /// Creates an fd.
    CREATES_FD = 1;
    /// Closes an fd.
    DESTROYS_FD = 2;
    /// Works on an fd.
    USES_FD = 4;
    /// Reads data from an fd.
    READS_FROM_FD = 8;
    /// Writes data to an fd.
    WRITES_TO_FD = 16;
    /// Changes the state of the machine.
    MODIFIES_STATE = 32;
    /// The code is not in use.
    UNUSED = 64;
    /// The call waits.
    WAITS = 128;
    /// Leaves the thread's last-event data alone.
    SKIPPARSERESET = 256;
    /// A code of earlier versions.
    OLD_VERSION = 512;
    /// 2022: left out by simple consumers.
    DROP_SIMPLE_CONS = 1024;
    /// Parameter lengths are stored in 32 bits.
    LARGE_PAYLOAD = 2048;
    /// Head: readers of old files convert it.
    CONVERTER_MANAGED = 4096;
}

impl EventFlags {
    /// Whether any bit of `other` is set.
    #[inline]
    pub const fn contains(self, other: EventFlags) -> bool {
        self.0 & other.0 != 0
    }
}

/// Category of an event type, printed by `evt.category`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Category {
    Unknown,
    Other,
    File,
    Net,
    Ipc,
    Memory,
    Process,
    Sleep,
    System,
    Signal,
    User,
    Time,
    IoRead,
    IoWrite,
    IoOther,
    Wait,
    Scheduler,
    /// Events of the capture itself (drops, process info, containers).
    Internal,
}

/// Number base of a numeric parameter's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum ParamFormat {
    Na,
    Dec,
    Hex,
    Oct,
}

macro_rules! param_types {
    ($($name:ident = $code:expr, $size:expr;)*) => {
        /// Encoding of a parameter. Numbers are those of falcosecurity/libs, `enum ppm_param_type`.
        /// All integers are little endian.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(missing_docs, reason = "data/types.json documents each encoding")]
        #[repr(u8)]
        pub enum ParamType { $($name = $code,)* }

        impl ParamType {
            /// All types in order of their codes.
            pub const ALL: &'static [ParamType] = &[$(ParamType::$name,)*];

            /// Size in bytes of the stored value; `None` where it varies.
            #[inline]
            pub const fn fixed_size(self) -> Option<usize> {
                let size: usize = match self { $(ParamType::$name => $size,)* };
                if size == 0 { None } else { Some(size) }
            }
        }
    };
}

param_types! {
    None = 0, 0;
    Int8 = 1, 1;
    Int16 = 2, 2;
    Int32 = 3, 4;
    Int64 = 4, 8;
    Uint8 = 5, 1;
    Uint16 = 6, 2;
    Uint32 = 7, 4;
    Uint64 = 8, 8;
    CharBuf = 9, 0;
    ByteBuf = 10, 0;
    Errno = 11, 8;
    SockAddr = 12, 0;
    SockTuple = 13, 0;
    Fd = 14, 8;
    Pid = 15, 8;
    FdList = 16, 0;
    FsPath = 17, 0;
    SyscallId = 18, 2;
    SigType = 19, 1;
    RelTime = 20, 8;
    AbsTime = 21, 8;
    Port = 22, 2;
    L4Proto = 23, 1;
    SockFamily = 24, 1;
    Bool = 25, 4;
    Ipv4Addr = 26, 4;
    Dyn = 27, 0;
    Flags8 = 28, 1;
    Flags16 = 29, 2;
    Flags32 = 30, 4;
    Uid = 31, 4;
    Gid = 32, 4;
    Double = 33, 8;
    SigSet = 34, 4;
    CharBufArray = 35, 0;
    CharBufPairArray = 36, 0;
    Ipv4Net = 37, 0;
    Ipv6Addr = 38, 16;
    Ipv6Net = 39, 0;
    IpAddr = 40, 0;
    IpNet = 41, 0;
    Mode = 42, 4;
    FsRelPath = 43, 0;
    EnumFlags8 = 44, 1;
    EnumFlags16 = 45, 2;
    EnumFlags32 = 46, 4;
    Fd32 = 47, 4;
    Pid32 = 48, 4;
}

/// Name of an errno value (positive), e.g. `ENOENT` for 2.
#[inline]
pub fn errno_name(errno: u32) -> Option<&'static str> {
    ERRNO_BY_NUMBER.get(errno as usize).copied().filter(|name| !name.is_empty())
}

/// Names of the errno values by number; empty where there is none.
static ERRNO_BY_NUMBER: [&str; ERRNO_MAX + 1] = {
    let mut names = [""; ERRNO_MAX + 1];
    let mut at = 0;
    while at < ERRNO.len() {
        let (name, number) = ERRNO[at];
        // Two names of one number: the first in the list counts.
        if names[number as usize].is_empty() {
            names[number as usize] = name;
        }
        at += 1;
    }
    names
};

const ERRNO_MAX: usize = {
    let (mut max, mut at) = (0, 0);
    while at < ERRNO.len() {
        if ERRNO[at].1 > max {
            max = ERRNO[at].1;
        }
        at += 1;
    }
    max as usize
};

/// Name of a signal, e.g. `SIGKILL` for 9.
pub fn signal_name(signal: u32) -> Option<&'static str> {
    SIGNALS.iter().find(|&&(_, n)| n == signal).map(|&(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_at_their_code_and_old_parameters_are_a_prefix() {
        assert_eq!(EVENTS.len(), 454);
        for (i, row) in EVENTS.iter().enumerate() {
            assert_eq!(usize::from(row.code.0), i);
            assert_eq!(row.params_2022.is_some(), i <= 335, "{}", row.name);
            let Some(old) = row.params_2022 else { continue };
            assert!(old.len() <= row.params.len(), "{} ({i})", row.name);
            for (a, b) in old.iter().zip(row.params) {
                assert_eq!(a.ty.fixed_size(), b.ty.fixed_size(), "{} ({i}) {}", row.name, a.name);
            }
            for p in old.iter().chain(row.params) {
                if let ParamExtra::DirFd(n) = p.extra {
                    assert!(usize::from(n) < row.params.len());
                }
                assert_eq!(
                    p.ty == ParamType::Dyn,
                    matches!(p.extra, ParamExtra::Dynamic(_)),
                    "{} {}",
                    row.name,
                    p.name
                );
            }
        }
    }

    #[test]
    fn parameter_counts_are_the_published_ones() {
        let count = |c: EventCode| (c.info().unwrap().len_2022(), c.info().unwrap().params.len());
        assert_eq!(count(code::GENERIC_X), (1, 3));
        assert_eq!(count(code::SYSCALL_OPEN_X), (5, 6));
        assert_eq!(count(code::SYSCALL_MMAP_X), (4, 10));
        assert_eq!(count(code::SYSCALL_CLONE_20_X), (20, 21));
        assert_eq!(count(code::SYSCALL_EXECVE_19_X), (20, 31));
    }

    #[test]
    fn own_parameters_stand_behind_the_others() {
        for &(code, others) in OWN_PARAMS {
            let info = code.info().unwrap();
            assert!(others >= info.len_2022() && others < info.params.len(), "{}", info.name);
        }
    }

    #[test]
    fn names_of_errors_and_signals() {
        assert_eq!(errno_name(2), Some("ENOENT"));
        assert_eq!(errno_name(115), Some("EINPROGRESS"));
        for number in 0..70_000 {
            let first = ERRNO.iter().find(|&&(_, n)| n == number).map(|&(name, _)| name);
            assert_eq!(errno_name(number), first, "{number}");
        }
        assert_eq!(signal_name(9), Some("SIGKILL"));
        assert_eq!(signal_name(6), Some("SIGABRT"));
    }
}
