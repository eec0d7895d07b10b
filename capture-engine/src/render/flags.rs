//! Names of flags and enumeration values.

/// Appends the names of `value` joined by `|`, in parentheses; nothing if no name fits.
///
/// The table is walked in order. An entry that equals the whole value ends the walk, an entry
/// whose bits are all left takes them. Tables are ordered so that this names enumerations too.
pub fn push_names(out: &mut Vec<u8>, entries: &[(&str, u32)], value: u32) {
    let start = out.len();
    let mut left = value;
    for &(name, bits) in entries {
        let whole = bits == value;
        if whole || (bits != 0 && left & bits == bits) {
            out.push(if out.len() == start { b'(' } else { b'|' });
            out.extend_from_slice(name.as_bytes());
            left &= !bits;
        }
        if whole {
            break;
        }
    }
    if out.len() != start {
        out.push(b')');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_common::event_table::flag_tables;

    #[test]
    fn names_as_sysdig_prints_them() {
        let check = |entries, value, expected: &str| {
            let mut out = Vec::new();
            push_names(&mut out, entries, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value}");
        };
        check(flag_tables::FILE_FLAGS.entries(), 4097, "(O_RDONLY|O_CLOEXEC)");
        check(flag_tables::FILE_FLAGS.entries(), 0, "(O_NONE)");
        check(flag_tables::FILE_FLAGS.entries(), 262, "(O_TRUNC|O_CREAT|O_WRONLY)");
        check(flag_tables::FILE_FLAGS.entries(), 263, "(O_TRUNC|O_CREAT|O_RDWR)");
        check(flag_tables::SOCKET_FAMILIES.entries(), 10, "(AF_INET6)");
        check(flag_tables::SOCKET_FAMILIES.entries(), 1, "(AF_LOCAL)");
        check(flag_tables::FCNTL_COMMANDS.entries(), 4, "(F_GETFL)");
        check(flag_tables::MMAP_FLAGS.entries(), 0, "");
    }
}
