//! The probe object as bytes, and the two things that are patched into it before aya reads it:
//! the BTF id of the kfunc `bpf_rdonly_cast` (aya knows no kfuncs), and the value size of the ring
//! map (rings have the size that the user wants, and the verifier checks against it).

use super::error::LiveError;
use capture_common::abi;
use std::path::Path;

/// The checked-in object; `cargo xtask ebpf` builds it.
static OBJECT: &[u8] = include_bytes!("../../probe/capture-ebpf.o");

/// Ring bytes that the object is built for.
const BUILT_RING_BYTES: u64 = 1 << 20;

/// `call kfunc #0x7fffff01`: what the probe emits for a cast.
const CAST_MARKER: [u8; 8] = [0x85, 0x20, 0, 0, 0x01, 0xff, 0xff, 0x7f];
/// `r0 = r1`.
const MOVE: [u8; 8] = [0xbf, 0x10, 0, 0, 0, 0, 0, 0];

/// Bytes of one lane with this ring size.
pub(crate) const fn lane_bytes(ring_bytes: u64) -> u64 {
    abi::LANE_DATA_OFFSET as u64 + ring_bytes + abi::LANE_SLACK as u64
}

/// Reads the object: the built-in one, or the one at `path`.
pub(crate) fn read(path: Option<&Path>) -> Result<Vec<u8>, LiveError> {
    match path {
        None => Ok(OBJECT.to_vec()),
        Some(path) => std::fs::read(path)
            .map_err(|source| LiveError::ReadObject { path: path.display().to_string(), source }),
    }
}

/// Patches `object` for rings of `ring_bytes` and the kfunc with id `cast_kfunc`.
pub(crate) fn patch(object: &mut [u8], ring_bytes: u64, cast_kfunc: Option<u32>) -> Result<(), LiveError> {
    let casts = patch_casts(object, cast_kfunc);
    if casts == 0 {
        return Err(LiveError::BadObject { what: "no cast marker in it".to_owned() });
    }
    let found = patch_lane_size(object, ring_bytes)?;
    if found != 1 {
        return Err(LiveError::BadObject {
            what: format!("{found} maps look like the ring map, 1 expected"),
        });
    }
    Ok(())
}

fn patch_casts(object: &mut [u8], cast_kfunc: Option<u32>) -> usize {
    let mut found = 0;
    for word in object.chunks_exact_mut(8).filter(|w| **w == CAST_MARKER) {
        match cast_kfunc {
            Some(id) => word[4..].copy_from_slice(&id.to_le_bytes()),
            None => word.copy_from_slice(&MOVE),
        }
        found += 1;
    }
    found
}

/// A map definition in the object starts with type, key size and value size; the ring map's value
/// size is like no other.
fn patch_lane_size(object: &mut [u8], ring_bytes: u64) -> Result<usize, LiveError> {
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    let built = u32::try_from(lane_bytes(BUILT_RING_BYTES)).unwrap_or(u32::MAX);
    let wanted = u32::try_from(lane_bytes(ring_bytes))
        .map_err(|_| LiveError::BadObject { what: format!("rings of {ring_bytes} bytes are too large") })?;
    let mut pattern = [0; 12];
    for (slot, word) in pattern.chunks_exact_mut(4).zip([BPF_MAP_TYPE_ARRAY, 4, built]) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    let places = memchr::memmem::find_iter(object, &pattern).collect::<Vec<_>>();
    for at in &places {
        object[at + 8..at + 12].copy_from_slice(&wanted.to_le_bytes());
    }
    Ok(places.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_object_has_the_markers() {
        let mut object = read(None).unwrap();
        patch(&mut object, 4 << 20, Some(1234)).unwrap();
        assert_eq!(patch_casts(&mut object, None), 0, "all were patched");
        assert!(patch(&mut object, 4 << 20, None).is_err(), "an object is patched once");
    }

    #[test]
    fn the_built_in_object_has_no_relocations_of_fields() {
        // `elf64_hdr`, `elf64_shdr` and `btf_ext_header` of the kernel's headers.
        let object = read(None).unwrap();
        let number = |at: usize, len: usize| {
            object[at..at + len].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
        };
        let (table, size, count) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2));
        let names = number(table + number(0x3e, 2) * size + 0x18, 8);
        let sections = (0..count).map(|index| table + index * size);
        let ext = sections.clone().find(|at| object[names + number(*at, 4)..].starts_with(b".BTF.ext\0"));
        let ext = number(ext.expect("a section .BTF.ext") + 0x18, 8);
        let relocations = if number(ext + 4, 4) < 32 { 0 } else { number(ext + 28, 4) };
        assert_eq!(relocations, 0, "aya leaves them out without a word");
    }

    #[test]
    fn another_object_is_refused() {
        assert!(matches!(patch(&mut [0; 64], 1 << 20, None), Err(LiveError::BadObject { .. })));
    }
}
