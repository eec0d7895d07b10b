//! io_uring operations on the running kernel: whether it reports them, and where in its requests the
//! arguments lie. Turns the rows of `capture_common::uring` into those of the probe's map.

use super::btf::Btf;
use capture_common::{
    abi::NR_NONE,
    kernel_offsets::ABSENT,
    plan, syscall_table,
    uring::{OFFSET_WORD, OPS, Op, SLOT_WORD, UringRow, UringWord, Word, how, row_flag},
};

#[cfg(target_arch = "aarch64")]
const NATIVE: &[syscall_table::Syscall] = syscall_table::AARCH64;
#[cfg(not(target_arch = "aarch64"))]
const NATIVE: &[syscall_table::Syscall] = syscall_table::X86_64;

/// Tracepoints of submissions and results.
const TRACEPOINTS: [&str; 3] = ["io_uring_submit_req", "io_uring_complete", "io_uring_cqe_overflow"];
/// Globals of the probe without which none of its programs for io_uring works.
const NEEDED: [&str; 10] = [
    "K_CMD",
    "K_FILE",
    "K_OPCODE",
    "K_FLAGS",
    "K_USER_DATA",
    "K_FD",
    "K_CTX",
    "K_ASYNC",
    "KC_FLAGS",
    "FN_NAME",
];
/// Bytes of a request's own data: what an offset in a row can reach.
const CMD_LEN: u32 = 64;

/// What the probe needs to know of io_uring.
#[derive(Debug)]
pub(crate) struct UringRows {
    /// Rows by operation number.
    pub(crate) rows: Vec<UringRow>,
    /// Whether the tracepoint of results hands over the `struct io_uring_cqe`.
    pub(crate) has_cqe_pointer: bool,
}

/// Finds the members; `None` on a kernel that reports no operations, or not in a way that the probe
/// understands.
pub(crate) fn resolve(btf: &Btf<'_>, globals: &[(&'static str, u64)]) -> Option<UringRows> {
    let is_known = |name: &&str| globals.iter().any(|(global, value)| global == name && *value != ABSENT);
    if !NEEDED.iter().all(is_known) {
        return None;
    }
    let args = TRACEPOINTS.map(|name| btf.tracepoint_args(name));
    let has_cqe_pointer = match args {
        [Some(1), Some(3), Some(5)] => true,
        [Some(1), Some(7), Some(5)] => false,
        _ => return None,
    };
    Some(UringRows {
        rows: OPS.iter().map(|op| row(btf, op).unwrap_or(UringRow::PLAIN)).collect(),
        has_cqe_pointer,
    })
}

/// `None` when the operation is no call, or the kernel keeps it in another way than this table says.
fn row(btf: &Btf<'_>, op: &Op) -> Option<UringRow> {
    let call = NATIVE.iter().find(|call| call.name == op.call)?;
    let mut row = UringRow {
        nr: call.nr,
        flags: if plan::row(op.call).stateful() { row_flag::STATEFUL } else { 0 },
        submit_special: op.submit_special,
        done_special: op.done_special,
        ..UringRow::PLAIN
    };
    debug_assert_ne!(row.nr, NR_NONE);
    for (slot, source) in row.words.iter_mut().zip(op.args) {
        *slot = if op.name == "connect" && *source == Word::Addr {
            // It keeps the caller's pointer; bind has nothing but the kernel's copy.
            UringWord { how: how::ADDR, offset: place(btf, "io_connect", "addr", 8)?, size: 8, reserved: 0 }
        } else {
            word(btf, source)?
        };
    }
    row.words[OFFSET_WORD] = word(btf, &op.offset)?;
    // Older kernels have no tables of their own for some of the operations.
    row.words[SLOT_WORD] = word(btf, &op.slot).unwrap_or_default();
    if let Some((structure, member)) = op.done {
        row.done_offset = place(btf, structure, member, 4)?;
    }
    Some(row)
}

fn word(btf: &Btf<'_>, source: &Word) -> Option<UringWord> {
    let at = |how, structure, path, size| {
        Some(UringWord { how, offset: place(btf, structure, path, size)?, size, reserved: 0 })
    };
    match *source {
        Word::Zero => Some(UringWord::default()),
        Word::Fd => Some(UringWord { how: how::FD, ..UringWord::default() }),
        Word::Addr => Some(UringWord { how: how::ADDR, ..UringWord::default() }),
        Word::Member(structure, path, size) => at(how::LOAD, structure, path, size),
        Word::Name(structure, path) => at(how::NAME, structure, path, 8),
        Word::Part(structure, path, size) => at(how::COPY, structure, path, size),
    }
}

/// Offset of a member in the request's own data, which begins with the operation's structure.
fn place(btf: &Btf<'_>, structure: &str, path: &str, size: u8) -> Option<u8> {
    let place = btf.place(btf.struct_id(structure)?, path)?;
    let offset = place.bit_offset / 8;
    (offset + u32::from(size) <= CMD_LEN).then_some(offset as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_what_the_table_names() {
        let Ok(bytes) = std::fs::read(crate::live::features::BTF_PATH) else { return };
        let btf = Btf::parse(&bytes).unwrap();
        let resolved = crate::live::offsets::resolve(&btf).unwrap();
        let Some(rows) = resolved.uring else { return };
        let numbers = |name: &str| OPS.iter().position(|op| op.name == name).unwrap();
        for name in ["openat", "read", "write", "connect", "accept", "close", "send", "recv"] {
            assert_ne!(rows.rows[numbers(name)].nr, NR_NONE, "{name}");
        }
        assert_eq!(rows.rows[numbers("nop")], UringRow::PLAIN);
    }
}
