//! Hand-made records through the decoder: each class of row, the order rules, strange input.

mod calls;
mod processes;
mod sockets;
mod streams;

use super::*;
use capture_common::abi::{flag, section_flag};
use capture_common::raw_event::RawEvent;

/// Wall clock minus monotonic clock in these tests, ns.
const OFFSET: i64 = 1_700_000_000_000_000_000;
/// Time of every record, ns.
const TS: u64 = 5_000;
/// The thread, and a thread of it that is no leader.
const TID: u32 = 1234;

/// A record under construction.
#[derive(Clone)]
struct Rec {
    kind: u8,
    flags: u8,
    nr: u16,
    tid: u32,
    fixed: Vec<u8>,
    sections: Vec<u8>,
}

impl Rec {
    fn new(kind: u8, nr: u16, fixed: Vec<u8>) -> Self {
        Rec { kind, flags: 0, nr, tid: TID, fixed, sections: Vec::new() }
    }

    fn enter(nr: u16, args: &[u64]) -> Self {
        Self::new(kind::ENTER, nr, words(args, 6))
    }

    fn exit(nr: u16, ret: i64, args: &[u64]) -> Self {
        let mut fixed = ret.to_ne_bytes().to_vec();
        fixed.extend(words(args, 6));
        Self::new(kind::EXIT, nr, fixed)
    }

    fn tid(mut self, tid: u32) -> Self {
        self.tid = tid;
        self
    }

    fn compat(mut self) -> Self {
        self.flags |= flag::COMPAT32;
        self
    }

    fn section(self, tag: u8, arg: u8, data: &[u8]) -> Self {
        self.flagged(tag, arg, 0, data)
    }

    fn flagged(mut self, tag: u8, arg: u8, flags: u16, data: &[u8]) -> Self {
        self.sections.extend([tag, arg]);
        self.sections.extend(flags.to_ne_bytes());
        self.sections.extend((data.len() as u32).to_ne_bytes());
        self.sections.extend(data);
        self.sections.resize(self.sections.len().next_multiple_of(8), 0xee);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let len = RecordHeader::LEN_BYTES + self.fixed.len() + self.sections.len();
        let mut out = (len as u32).to_ne_bytes().to_vec();
        out.extend([self.kind, self.flags]);
        out.extend(self.nr.to_ne_bytes());
        out.extend(TS.to_ne_bytes());
        out.extend(self.tid.to_ne_bytes());
        out.extend(TID.to_ne_bytes());
        out.extend(&self.fixed);
        out.extend(&self.sections);
        out
    }
}

fn words(values: &[u64], count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| values.get(n).copied().unwrap_or(0).to_ne_bytes()).collect()
}

fn decoder() -> Decoder {
    Decoder::with_cgroups(DecodeOptions { wall_offset_ns: OFFSET, snaplen: 80 }, Box::new(NoCgroups))
}

/// Decodes the records in order with one decoder.
fn decode(records: &[Rec]) -> Batch {
    let mut decoder = decoder();
    let mut batch = Batch::new();
    for record in records {
        let bytes = record.bytes();
        decoder.decode(&RecordView::parse(&bytes).unwrap(), 1, &mut batch);
    }
    batch
}

/// A stored parameter, as text that a test can spell: numbers in decimal by the type's
/// signedness, text quoted, bytes in hex.
fn shown(event: &RawEvent<'_>, index: usize) -> String {
    use capture_common::ParamType as T;
    let ty = event.info().unwrap().params[index].ty;
    let bytes = event.param(index).unwrap();
    match ty {
        T::CharBuf | T::FsPath | T::FsRelPath if bytes.is_empty() => String::new(),
        T::CharBuf | T::FsPath | T::FsRelPath => {
            assert_eq!(bytes.last(), Some(&0), "text ends in NUL");
            format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len() - 1]))
        }
        T::ByteBuf => format!("{:?}", String::from_utf8_lossy(bytes)),
        T::Errno | T::Fd | T::Pid | T::Int16 | T::Int32 | T::Int64 => event.int(index).unwrap().to_string(),
        _ if ty.fixed_size().is_some() => event.uint(index).unwrap().to_string(),
        _ => bytes.iter().map(|b| format!("{b:02x}")).collect(),
    }
}

/// One event as `name(code) param=value …`.
fn line(event: &RawEvent<'_>) -> String {
    let info = event.info().unwrap();
    let mut out = format!("{}({})", info.name, event.code.0);
    for index in 0..event.nparams() {
        out += &format!(" {}={}", info.params[index].name, shown(event, index));
    }
    out
}

/// Decodes one record to one event and compares it.
fn check(record: Rec, expected: &str) {
    let batch = decode(&[record]);
    assert_eq!(batch.len(), 1);
    let event = batch.get(0).unwrap();
    assert_eq!((event.tid, event.cpu, event.ts_ns), (i64::from(TID), 1, TS + OFFSET as u64));
    assert_eq!(line(&event), expected);
}

const AT_FDCWD: u64 = 0xffff_ff9c;
