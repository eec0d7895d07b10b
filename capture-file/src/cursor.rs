//! [`Cursor`]: bounds-checked little-endian reading of a metadata block's body.

/// A field that did not fit into the bytes left.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Short {
    pub(crate) what: &'static str,
    pub(crate) wanted_bytes: u64,
    pub(crate) found_bytes: u64,
}

/// Reads fields one after another; every method names the field for the error.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes }
    }

    /// Bytes left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Short> {
        match self.bytes.split_at_checked(len) {
            Some((head, rest)) => {
                self.bytes = rest;
                Ok(head)
            }
            None => Err(Short { what, wanted_bytes: len as u64, found_bytes: self.bytes.len() as u64 }),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Short> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Short> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, Short> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Short> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Short> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn i64(&mut self, what: &'static str) -> Result<i64, Short> {
        Ok(i64::from_le_bytes(self.array(what)?))
    }

    /// A string with its u16 length in front.
    pub(crate) fn string(&mut self, what: &'static str) -> Result<Vec<u8>, Short> {
        let len = usize::from(self.u16(what)?);
        Ok(self.take(len, what)?.to_vec())
    }

    /// Strings that each end with NUL; a missing last NUL is repaired.
    pub(crate) fn nul_strings(&mut self, what: &'static str) -> Result<Vec<u8>, Short> {
        let mut value = self.string(what)?;
        if value.last().is_some_and(|&b| b != 0) {
            // A push alone would double what it takes.
            value.reserve_exact(1);
            value.push(0);
        }
        Ok(value)
    }

    /// The body of an entry whose length stands in front and counts itself.
    pub(crate) fn entry(&mut self, what: &'static str) -> Result<Cursor<'a>, Short> {
        let len = self.u32(what)? as usize;
        Ok(Cursor::new(self.take(len.saturating_sub(4), what)?))
    }
}

/// Appends a string with its u16 length, cut to `max_bytes`; returns whether it was cut.
pub(crate) fn put_string(out: &mut Vec<u8>, value: &[u8], max_bytes: usize) -> bool {
    let keep = value.len().min(max_bytes).min(usize::from(u16::MAX));
    out.extend_from_slice(&(keep as u16).to_le_bytes());
    out.extend_from_slice(&value[..keep]);
    keep < value.len()
}

/// Writes the length of the entry that began at `at` into its first four bytes.
pub(crate) fn close_entry(out: &mut [u8], at: usize) {
    let len = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}
