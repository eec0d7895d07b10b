//! Machine info block (0x201): fixed fields, 180 bytes.

use crate::block::{MACHINE_INFO, begin_block, end_block};
use crate::cursor::{Cursor, Short};
use capture_common::Snapshot;
use capture_common::snapshot::{Dialect, MachineInfo, SUPERSET_MARK};

const HOSTNAME_LEN: usize = 128;

pub(super) fn decode(cursor: &mut Cursor<'_>, snapshot: &mut Snapshot) -> Result<(), Short> {
    let mut machine = MachineInfo {
        num_cpus: cursor.u32("number of CPUs")?,
        memory_bytes: cursor.u64("memory size")?,
        max_pid: cursor.u64("highest pid")?,
        ..MachineInfo::default()
    };
    let name = cursor.take(HOSTNAME_LEN, "host name")?;
    machine.hostname = name[..name.iter().position(|&b| b == 0).unwrap_or(name.len())].to_vec();
    // Four words that used to be reserved. The last two are zero in everyone else's files; our
    // own are known by the first of them.
    let mut word = |what| if cursor.left() >= 8 { cursor.u64(what) } else { Ok(0) };
    machine.boot_ts_ns = word("boot time")?;
    machine.flags = word("flags")?;
    let reserved = word("reserved word")?;
    snapshot.dialect = if reserved == SUPERSET_MARK { Dialect::Superset } else { Dialect::Foreign };
    snapshot.machine = machine;
    Ok(())
}

pub(super) fn encode(snapshot: &Snapshot, out: &mut Vec<u8>) {
    let machine = &snapshot.machine;
    let at = begin_block(out, MACHINE_INFO);
    out.extend_from_slice(&machine.num_cpus.to_le_bytes());
    out.extend_from_slice(&machine.memory_bytes.to_le_bytes());
    out.extend_from_slice(&machine.max_pid.to_le_bytes());
    let mut name = [0; HOSTNAME_LEN];
    // One byte stays zero: stock readers print the name up to its NUL.
    let keep = machine.hostname.len().min(HOSTNAME_LEN - 1);
    name[..keep].copy_from_slice(&machine.hostname[..keep]);
    out.extend_from_slice(&name);
    out.extend_from_slice(&machine.boot_ts_ns.to_le_bytes());
    out.extend_from_slice(&machine.flags.to_le_bytes());
    let mark = if snapshot.dialect == Dialect::Superset { SUPERSET_MARK } else { 0 };
    out.extend_from_slice(&mark.to_le_bytes());
    out.extend_from_slice(&0u64.to_le_bytes());
    end_block(out, at);
}
