//! A lane in memory: two pages of counts, then the ring of records. Probe and collector share it.
//!
//! Invariant: each page has one writer.

use super::Wire;

/// Bytes of a lane before its data: page 0 ([`LaneHead`]) and page 1 ([`LaneTail`]).
pub const LANE_DATA_OFFSET: usize = 8192;
/// Offset of [`LaneTail`] in a lane.
pub const LANE_TAIL_OFFSET: usize = 4096;
/// Bytes behind the data that a record may run into. More than a record's length: the verifier
/// adds up the limits of a section's start, of the pieces gathered before and of the next piece.
pub const LANE_SLACK: usize = 0x3_0000 + 0x1000;
/// Lanes per CPU: nesting level 0 and 1.
pub const LANES_PER_CPU: usize = 2;

wire_struct! {
/// Page 0 of a lane. The probe writes, everybody else only reads.
LaneHead: 160 {
    /// Bytes ever published; the next record starts at `head & (ring_len - 1)`.
    head: u64,
    /// Records that wanted to be written, lost ones included.
    seen: u64,
    /// Of these, lost because the ring was full or this class was shed.
    dropped: u64,
    /// 0: idle; 1: a record was begun and its time is not yet known; else the time of the record
    /// that is being written, CLOCK_MONOTONIC ns. Set to 1 by an xchg before the clock is read.
    busy: u64,
    /// Level 0 only: records lost because both lanes were busy.
    nested_lost: u64,
    /// Calls of the excluded process (capture itself) that were not recorded.
    self_excluded: u64,
    /// Lost records of state-bearing classes.
    dropped_stateful: u64,
    /// Lost enter records.
    dropped_enters: u64,
    /// `dropped` at the last LOSS record.
    marked: u64,
    /// `dropped_stateful` at the last LOSS record.
    marked_stateful: u64,
    /// `dropped_enters` at the last LOSS record.
    marked_enters: u64,
    /// Time of the first loss since the last LOSS record, ns; 0: none.
    loss_first_ts_ns: u64,
    /// Probe-private: bytes written so far of the record in progress.
    pos: u64,
    /// Probe-private: task whose record is handed on to a special collector.
    owner: u64,
    /// Probe-private: steps done by a collector that works in several.
    step: u64,
    /// Probe-private: where typed pointers become numbers.
    scratch: u64,
    /// Level 0 only: records not made because their process is outside the watched tree.
    filtered: u64,
    /// Level 0 only: records not made because no event of them can pass the filter.
    left_out: u64,
    /// One more than [`LaneTail::looks`] was at the last loss; 0: none yet.
    loss_look: u64,
    /// Time of the first loss with that number, ns.
    loss_began_ts_ns: u64,
}}

wire_struct! {
/// Page 1 of a lane. The collector writes, the probe reads.
LaneTail: 24 {
    /// Bytes consumed.
    tail: u64,
    /// Entries of the lane's [`LostHead`] list consumed.
    lost_taken: u64,
    /// Looks at the lane that found a loss.
    looks: u64,
}}

wire_struct! {
/// In page 0 of a lane, at [`LANE_LOST_OFFSET`], before [`LOST_ENTRIES`] entries of [`LostEntry`]: the
/// processes whose state changed in a record that found no room, so that nobody trusts what was known
/// of them. Entry `n` stands at `n & (LOST_ENTRIES - 1)`.
LostHead: 24 {
    /// Entries ever made. The newest one may still grow.
    made: u64,
    /// Losses for which there was no entry.
    overflown: u64,
    /// Time of the last such loss, CLOCK_MONOTONIC ns.
    overflow_last_ts_ns: u64,
}}

wire_struct! {
/// Losses of one process in a row.
LostEntry: 24 {
    /// Process id.
    pid: u64,
    /// Time of the first, CLOCK_MONOTONIC ns.
    first_ts_ns: u64,
    /// Time of the last.
    last_ts_ns: u64,
}}

/// Offset of [`LostHead`] in a lane.
pub const LANE_LOST_OFFSET: usize = 960;
/// Entries behind it, a power of two.
pub const LOST_ENTRIES: usize = 128;
const _: () = assert!(LaneHead::LEN_BYTES <= LANE_LOST_OFFSET);
const _: () =
    assert!(LANE_LOST_OFFSET + LostHead::LEN_BYTES + LOST_ENTRIES * LostEntry::LEN_BYTES <= LANE_TAIL_OFFSET);
