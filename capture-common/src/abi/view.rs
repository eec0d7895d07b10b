//! Records as readers see them: [`RecordView`] over the bytes of a ring, [`Sections`] over what
//! follows a record's fixed part. Borrowed bytes only; a length that does not fit ends the walk.

use super::{RecordHeader, SectionHeader, Wire};

/// A record as a view over its bytes; nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// The decoded header.
    pub header: RecordHeader,
    body: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Views the record at the front of `bytes`; `None` when it is not whole or its length is
    /// impossible.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = RecordHeader::read(bytes)?;
        let len = header.len as usize;
        if !len.is_multiple_of(8) {
            return None;
        }
        Some(Self { header, body: bytes.get(RecordHeader::LEN_BYTES..len)? })
    }

    /// The fixed part as `T` and the sections behind it.
    #[inline]
    pub fn split<T: Wire>(&self) -> Option<(T, Sections<'a>)> {
        let mut rest = self.body;
        let fixed = T::take(&mut rest)?;
        Some((fixed, Sections { rest }))
    }

    /// All bytes behind the header.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// One section of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// The decoded header.
    pub header: SectionHeader,
    /// Its data, without padding.
    pub data: &'a [u8],
}

/// Iterates over the sections of a record. Ends early at a section that does not fit (never
/// written by the probe).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sections<'a> {
    rest: &'a [u8],
}

impl<'a> Sections<'a> {
    /// Views `bytes` as sections.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left to walk, as it was recorded.
    pub fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// The first section with this tag and argument.
    pub fn find(mut self, tag: u8, arg: u8) -> Option<Section<'a>> {
        Iterator::find(&mut self, |s| s.header.tag == tag && s.header.arg == arg)
    }

    /// The first section with this tag.
    pub fn find_tag(mut self, tag: u8) -> Option<Section<'a>> {
        Iterator::find(&mut self, |s| s.header.tag == tag)
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    #[inline]
    fn next(&mut self) -> Option<Section<'a>> {
        let mut rest = self.rest;
        let header = SectionHeader::take(&mut rest)?;
        let data = rest.get(..header.len as usize)?;
        self.rest = rest.get((data.len() + 7) & !7..).unwrap_or(&[]);
        Some(Section { header, data })
    }
}
