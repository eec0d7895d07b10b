//! A small reader of the kernel's BTF: types by name, byte offsets of member paths, enum values.
//! It indexes the type section once and never copies it; every access is bounds-checked, and bytes
//! that make no sense give `None` or [`LiveError::BadBtf`].

use super::error::LiveError;

const MAGIC: u16 = 0xeb9f;

/// Kinds of types that are looked at (`BTF_KIND_*`).
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FORWARD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// Bytes of the header that is written.
const HEADER_LEN: usize = 24;
/// Bytes of a type's fixed header.
const TYPE_LEN: usize = 12;

/// An indexed BTF blob.
pub(crate) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Offset in `types` of each type id, from 1.
    offsets: Vec<u32>,
    /// Name (offset in `strings`) of each type id: what lookups by name scan.
    names: Vec<u32>,
}

/// One type's header.
#[derive(Clone, Copy)]
struct Type {
    name_at: u32,
    kind: u32,
    count: u32,
    /// Bit fields encode size and position in one word.
    kind_flag: bool,
    size_or_type: u32,
    /// Where its kind-specific data starts.
    data_at: usize,
}

/// Where a member lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bits from the structure's start.
    pub(crate) bit_offset: u32,
    type_id: u32,
}

impl Place {
    /// `inner`, which lies inside this place, seen from the outermost structure.
    fn inside(self, inner: Self) -> Option<Self> {
        Some(Self { bit_offset: self.bit_offset.checked_add(inner.bit_offset)?, type_id: inner.type_id })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'a> Btf<'a> {
    /// Indexes `bytes`, the content of /sys/kernel/btf/vmlinux.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, LiveError> {
        let bad = |offset, what| LiveError::BadBtf { offset, what };
        let magic = bytes.first_chunk().map(|c| u16::from_ne_bytes(*c));
        if magic != Some(MAGIC) {
            return Err(bad(0, "magic number 0xeb9f"));
        }
        let field = |at| u32_at(bytes, at).map(|v| v as usize).ok_or(bad(at, "header field"));
        let (header, types_at, types_len, strings_at, strings_len) =
            (field(4)?, field(8)?, field(12)?, field(16)?, field(20)?);
        let part = |at: usize, len: usize| {
            let start = header.checked_add(at)?;
            bytes.get(start..start.checked_add(len)?)
        };
        let types = part(types_at, types_len).ok_or(bad(8, "type section inside the file"))?;
        let strings = part(strings_at, strings_len).ok_or(bad(16, "string section inside the file"))?;
        let guess = types_len / 24;
        let mut btf =
            Self { types, strings, offsets: Vec::with_capacity(guess), names: Vec::with_capacity(guess) };
        btf.offsets.push(0);
        btf.names.push(0);
        let mut at = 0;
        while at < types.len() {
            btf.offsets.push(at as u32);
            let t = btf.type_at(at).ok_or(bad(header + types_at + at, "a whole type header"))?;
            btf.names.push(t.name_at);
            at += TYPE_LEN
                + extra_len(t.kind, t.count).ok_or(bad(header + types_at + at, "a known type kind"))?;
        }
        Ok(btf)
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let info = u32_at(self.types, at + 4)?;
        Some(Type {
            name_at: u32_at(self.types, at)?,
            kind: info >> 24 & 0x1f,
            count: info & 0xffff,
            kind_flag: info >> 31 != 0,
            size_or_type: u32_at(self.types, at + 8)?,
            data_at: at + TYPE_LEN,
        })
    }

    fn get(&self, id: u32) -> Option<Type> {
        if id == 0 {
            return None;
        }
        self.type_at(*self.offsets.get(id as usize)? as usize)
    }

    fn name_is(&self, at: u32, name: &str) -> bool {
        let rest = self.strings.get(at as usize..).unwrap_or_default();
        rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&0)
    }

    fn id_of(&self, kind: u32, name: &str) -> Option<u32> {
        // The string section holds each name once: find it there, then compare numbers.
        let wanted = [b"\0", name.as_bytes(), b"\0"].concat();
        let name_at = memchr::memmem::find(self.strings, &wanted)? as u32 + 1;
        let ids = self.names.iter().enumerate().filter(|(_, at)| **at == name_at);
        ids.map(|(id, _)| id as u32).find(|id| self.get(*id).is_some_and(|t| t.kind == kind))
    }

    /// A blob in which every type has the id that it has here, and all but what programs are loaded for,
    /// tracepoints and iterators, is a nameless declaration: a tenth of the work for who reads it whole.
    pub(crate) fn outline(&self) -> Vec<u8> {
        let mut types = Vec::with_capacity(self.offsets.len() * TYPE_LEN);
        let mut strings = vec![0];
        let mut word = |value: u32| types.extend(value.to_ne_bytes());
        for id in 1..self.offsets.len() as u32 {
            let name = |t: &Type| self.strings.get(t.name_at as usize..).unwrap_or_default();
            let kept = self.get(id).filter(|t| match t.kind {
                kind::TYPEDEF => name(t).starts_with(b"btf_trace_"),
                kind::FUNC => name(t).starts_with(b"bpf_iter_"),
                _ => false,
            });
            match kept {
                None => [0, kind::FORWARD << 24, 0].into_iter().for_each(&mut word),
                Some(t) => {
                    [strings.len() as u32, t.kind << 24 | t.count, t.size_or_type]
                        .into_iter()
                        .for_each(&mut word);
                    strings.extend(name(&t).iter().take_while(|byte| **byte != 0));
                    strings.push(0);
                }
            }
        }
        let mut out = Vec::with_capacity(HEADER_LEN + types.len() + strings.len());
        out.extend(MAGIC.to_ne_bytes());
        // The version, and no flags.
        out.extend([1, 0]);
        let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
        for field in [HEADER_LEN as u32, 0, types_len, types_len, strings_len] {
            out.extend(field.to_ne_bytes());
        }
        out.extend(types);
        out.extend(strings);
        out
    }

    /// Id of a structure.
    pub(crate) fn struct_id(&self, name: &str) -> Option<u32> {
        self.id_of(kind::STRUCT, name)
    }

    /// Id of a function (kfunc).
    pub(crate) fn func_id(&self, name: &str) -> Option<u32> {
        self.id_of(kind::FUNC, name)
    }

    /// Id of a typedef.
    pub(crate) fn typedef_id(&self, name: &str) -> Option<u32> {
        self.id_of(kind::TYPEDEF, name)
    }

    /// Number of arguments of a tracepoint, the data of whoever listens not counted; `None` where the
    /// kernel has no such one.
    pub(crate) fn tracepoint_args(&self, name: &str) -> Option<u32> {
        let pointer = self.get(self.typedef_id(&format!("btf_trace_{name}"))?)?.size_or_type;
        let function = self.get(self.get(self.bare(pointer)?)?.size_or_type)?;
        (function.kind == kind::FUNC_PROTO).then(|| function.count.saturating_sub(1))
    }

    /// Size of a structure in bytes.
    pub(crate) fn size_bytes(&self, id: u32) -> Option<u32> {
        self.get(id).filter(|t| t.kind == kind::STRUCT).map(|t| t.size_or_type)
    }

    /// Values of an enum's members whose name `pick` accepts.
    pub(crate) fn enum_values(&self, name: &str, mut pick: impl FnMut(&[u8], u32)) -> Option<()> {
        let t = self.get(self.id_of(kind::ENUM, name)?)?;
        for i in 0..t.count as usize {
            let at = t.data_at + i * 8;
            let text = self.strings.get(u32_at(self.types, at)? as usize..)?;
            let len = text.iter().position(|b| *b == 0)?;
            pick(&text[..len], u32_at(self.types, at + 4)?);
        }
        Some(())
    }

    /// Where `path` (`a.b[2].c`) lies in structure `id`.
    pub(crate) fn place(&self, id: u32, path: &str) -> Option<Place> {
        let mut place = Place { bit_offset: 0, type_id: id };
        for part in path.split('.') {
            let (name, index) = match part.split_once('[') {
                Some((name, rest)) => (name, rest.strip_suffix(']')?.parse::<u32>().ok()?),
                None => (part, 0),
            };
            let inner = self.member(place.type_id, name, 0)?;
            place = place.inside(inner)?;
            if part.ends_with(']') {
                let element = self.element(place.type_id)?;
                let bit_offset = self.size_of(element)?.checked_mul(8)?.checked_mul(index)?;
                place = place.inside(Place { bit_offset, type_id: element })?;
            }
        }
        Some(place)
    }

    /// The member `name` of a structure or union, anonymous ones inside it included.
    fn member(&self, id: u32, name: &str, depth: u32) -> Option<Place> {
        let t = self.get(self.bare(id)?)?;
        if !matches!(t.kind, kind::STRUCT | kind::UNION) || depth > 8 {
            return None;
        }
        for i in 0..t.count as usize {
            let at = t.data_at + i * TYPE_LEN;
            let (name_at, type_id, mut bits) =
                (u32_at(self.types, at)?, u32_at(self.types, at + 4)?, u32_at(self.types, at + 8)?);
            if t.kind_flag {
                bits &= 0xff_ffff;
            }
            if self.name_is(name_at, name) {
                return Some(Place { bit_offset: bits, type_id });
            }
            if name_at == 0
                && let Some(inner) = self.member(type_id, name, depth + 1)
            {
                return Place { bit_offset: bits, type_id }.inside(inner);
            }
        }
        None
    }

    /// The type behind typedefs and qualifiers.
    fn bare(&self, mut id: u32) -> Option<u32> {
        for _ in 0..16 {
            let t = self.get(id)?;
            match t.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = t.size_or_type
                }
                _ => return Some(id),
            }
        }
        None
    }

    fn element(&self, id: u32) -> Option<u32> {
        let t = self.get(self.bare(id)?)?;
        (t.kind == kind::ARRAY).then(|| u32_at(self.types, t.data_at))?
    }

    fn size_of(&self, id: u32) -> Option<u32> {
        let t = self.get(self.bare(id)?)?;
        match t.kind {
            kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 => Some(t.size_or_type),
            kind::PTR => Some(8),
            _ => None,
        }
    }
}

/// Bytes behind the header of a type of this kind.
fn extra_len(kind: u32, count: u32) -> Option<usize> {
    let n = count as usize;
    Some(match kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => n * 12,
        kind::ENUM | kind::FUNC_PROTO => n * 8,
        // Pointers, forward declarations, qualifiers, typedefs, functions, floats, type tags.
        kind::PTR | kind::FORWARD..=kind::FUNC | 16 | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A blob with `struct outer { int a; struct { int b[4]; }; }`.
    fn blob() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0";
        let types = [
            &[1, kind::INT << 24, 4, 32][..],                     // 1: int
            &[0, kind::ARRAY << 24, 0, 1, 1, 4],                  // 2: int[4]
            &[0, kind::STRUCT << 24 | 1, 16, 13, 2, 0],           // 3: anonymous { b }
            &[5, kind::STRUCT << 24 | 2, 20, 11, 1, 0, 0, 3, 32], // 4: outer
        ];
        whole(&types.concat(), strings)
    }

    /// A blob of these words of types and these strings.
    fn whole(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let len = types.len() as u32 * 4;
        let mut out = Vec::new();
        out.extend(MAGIC.to_ne_bytes());
        out.extend([1, 0]);
        for v in [24, 0, len, len, strings.len() as u32].iter().chain(types) {
            out.extend(v.to_ne_bytes());
        }
        out.extend(strings);
        out
    }

    #[test]
    fn members_of_anonymous_structs_and_array_elements() {
        let bytes = blob();
        let btf = Btf::parse(&bytes).unwrap();
        let id = btf.struct_id("outer").unwrap();
        assert_eq!(btf.size_bytes(id), Some(20));
        assert_eq!(btf.place(id, "a").unwrap().bit_offset, 0);
        assert_eq!(btf.place(id, "b").unwrap().bit_offset, 32);
        assert_eq!(btf.place(id, "b[2]").unwrap().bit_offset, 32 + 64);
        assert_eq!(btf.place(id, "c"), None);
        assert_eq!(btf.place(id, "a.x"), None);
    }

    #[test]
    fn the_outline_has_the_ids_of_what_programs_are_loaded_for() {
        let strings = b"\0int\0btf_trace_sys_exit\0bpf_iter_task\0other\0";
        let types = [
            &[1, kind::INT << 24, 4, 32][..],
            &[5, kind::TYPEDEF << 24, 1],
            &[38, kind::TYPEDEF << 24, 1],
            &[0, kind::FUNC_PROTO << 24 | 1, 0, 0, 1],
            &[24, kind::FUNC << 24 | 1, 4],
        ];
        let bytes = whole(&types.concat(), strings);
        let outline = Btf::parse(&bytes).unwrap().outline();
        let read = Btf::parse(&outline).unwrap();
        assert_eq!(read.typedef_id("btf_trace_sys_exit"), Some(2));
        assert_eq!(read.func_id("bpf_iter_task"), Some(5));
        assert_eq!(read.typedef_id("other"), None);
        assert!(aya::Btf::parse(&outline, aya::Endianness::default()).is_ok());
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic() {
        let bytes = blob();
        for cut in 0..bytes.len() {
            let _ = Btf::parse(&bytes[..cut]);
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            if let Ok(btf) = Btf::parse(&broken)
                && let Some(id) = btf.struct_id("outer")
            {
                let _ = btf.place(id, "b[3]");
            }
        }
    }
}
