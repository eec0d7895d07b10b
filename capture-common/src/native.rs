//! Native Linux constants to the values that capture files store.
//!
//! Files keep flags and enumerations in a portable form of their own (`O_CLOEXEC` is 0x1000
//! there, 0x80000 in the kernel's x86_64 ABI). The maps are generated from
//! `data/native-to-ppm.json`; [`open_flags`] and the few other functions here hold what a map
//! cannot say.

pub use crate::generated::native_maps as maps;

/// How one kind of native constant is stored.
#[derive(Debug)]
pub enum NativeMap {
    /// Each native bit adds the stored bits of its row.
    Bits {
        /// Always set in the result.
        value_for_0: u64,
        /// (native bit, stored bits)
        map: &'static [(u64, u64)],
    },
    /// Whole values; one that is not listed is stored as `others`.
    Enum {
        /// Stored value of everything else.
        others: u64,
        /// (native value, stored value)
        map: &'static [(u64, u64)],
    },
}

impl NativeMap {
    /// The stored form of a native value; every map but that of capabilities fits 32 bits.
    #[inline]
    pub fn stored(&self, native: u64) -> u32 {
        self.stored64(native) as u32
    }

    /// The stored form of a native value with all its bits.
    #[inline]
    pub fn stored64(&self, native: u64) -> u64 {
        match self {
            NativeMap::Bits { value_for_0, map } => {
                map.iter().filter(|(bit, _)| native & bit != 0).fold(*value_for_0, |acc, (_, out)| acc | out)
            }
            NativeMap::Enum { others, map } => {
                map.iter().find(|(n, _)| *n == native).map_or(*others, |&(_, out)| out)
            }
        }
    }
}

/// Stored form of the flags of open(2): the access mode is an enumeration in the two low bits
/// (1 read only, 2 write only, 3 both), the rest are bits.
#[inline]
pub fn open_flags(native: u64) -> u32 {
    const O_ACCMODE: u64 = 3;
    let bits = match &maps::OPEN_FLAGS {
        NativeMap::Bits { map, .. } => map
            .iter()
            .filter(|(bit, _)| *bit > O_ACCMODE && native & bit != 0)
            .fold(0, |acc, (_, out)| acc | *out as u32),
        NativeMap::Enum { .. } => 0,
    };
    maps::OPEN_ACCMODE.stored(native & O_ACCMODE) | bits
}

/// Whether open(2) with these native flags uses its mode argument (`O_CREAT` or `O_TMPFILE`).
#[inline]
pub fn open_uses_mode(native: u64) -> bool {
    const O_CREAT: u64 = 0o100;
    const O_TMPFILE: u64 = 0o20000000;
    native & (O_CREAT | O_TMPFILE) != 0
}

/// Stored form of the command of fcntl(2).
#[inline]
pub fn fcntl_cmd(native: u64) -> u32 {
    const F_LINUX_SPECIFIC_BASE: u64 = 1024;
    if native >= F_LINUX_SPECIFIC_BASE {
        maps::FCNTL_CMD_LINUX_SPECIFIC.stored(native)
    } else {
        maps::FCNTL_CMD_LOW.stored(native)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_flags_as_stock_files_have_them() {
        assert_eq!(open_flags(0o2000000), 4097); // O_RDONLY|O_CLOEXEC
        assert_eq!(open_flags(0o1101), 2 | 4 | 256); // O_WRONLY|O_CREAT|O_TRUNC
        assert_eq!(open_flags(0o200000) & 0x2400, 0x2400); // O_DIRECTORY sets O_TMPFILE too
    }

    #[test]
    fn fcntl_commands() {
        assert_eq!(fcntl_cmd(3), 4); // F_GETFL
        assert_eq!(fcntl_cmd(1030), 26); // F_DUPFD_CLOEXEC
        assert_eq!(fcntl_cmd(999), 0);
    }
}
