//! Shell patterns as fnmatch(3) without flags reads them: `*` and `?` match `/` and a leading dot too.

/// Does the pattern match the whole text? Linear in the text for each `*`: only the last star is
/// retried, which is enough because stars match anything.
pub(crate) fn glob_matches(pattern: &[u8], text: &[u8], fold_case: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some((p + 1, t + char_len(&text[t..]))),
            Some(b'[') => match set_matches(&pattern[p..], text[t], fold_case) {
                Some((true, len)) => Some((p + len, t + 1)),
                Some((false, _)) => None,
                // A bracket that is never closed stands for itself.
                None => (text[t] == b'[').then_some((p + 1, t + 1)),
            },
            Some(b'\\') if p + 1 < pattern.len() => {
                same(pattern[p + 1], text[t], fold_case).then_some((p + 2, t + 1))
            }
            Some(&byte) => same(byte, text[t], fold_case).then_some((p + 1, t + 1)),
            None => None,
        };
        (p, t) = match (step, star) {
            (Some(next), _) => next,
            (None, Some((after_star, tried))) => {
                star = Some((after_star, tried + 1));
                (after_star, tried + 1)
            }
            (None, None) => return false,
        };
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Length of the UTF-8 character at the start of the text; 1 for a byte that starts none.
fn char_len(text: &[u8]) -> usize {
    let len = match text[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    match text.get(..len) {
        Some(bytes) if std::str::from_utf8(bytes).is_ok() => len,
        _ => 1,
    }
}

fn same(left: u8, right: u8, fold_case: bool) -> bool {
    left == right || fold_case && left.eq_ignore_ascii_case(&right)
}

type ByteTest = fn(&u8) -> bool;

/// Named classes of bracket expressions (POSIX 9.3.5).
const CLASSES: [(&str, ByteTest); 12] = [
    ("alnum", u8::is_ascii_alphanumeric),
    ("alpha", u8::is_ascii_alphabetic),
    ("blank", |byte| matches!(byte, b' ' | b'\t')),
    ("cntrl", u8::is_ascii_control),
    ("digit", u8::is_ascii_digit),
    ("graph", u8::is_ascii_graphic),
    ("lower", u8::is_ascii_lowercase),
    ("print", |byte| (0x20..0x7f).contains(byte)),
    ("punct", u8::is_ascii_punctuation),
    ("space", |byte| byte.is_ascii_whitespace() || *byte == 11),
    ("upper", u8::is_ascii_uppercase),
    ("xdigit", u8::is_ascii_hexdigit),
];

/// Tests one byte against the bracket expression at the start of the pattern; gives the expression's
/// length, or nothing if it is not closed.
fn set_matches(pattern: &[u8], byte: u8, fold_case: bool) -> Option<(bool, usize)> {
    let mut at = 1;
    let negated = matches!(pattern.get(at), Some(b'!' | b'^'));
    at += usize::from(negated);
    let first = at;
    let mut hit = false;
    loop {
        let low = match *pattern.get(at)? {
            b']' if at > first => return Some((hit != negated, at + 1)),
            b'[' if pattern.get(at + 1) == Some(&b':') => {
                let rest = &pattern[at + 2..];
                let len = rest.windows(2).position(|pair| pair == b":]")?;
                let class = CLASSES.iter().find(|row| row.0.as_bytes() == &rest[..len]);
                let swapped = if byte.is_ascii_lowercase() {
                    byte.to_ascii_uppercase()
                } else {
                    byte.to_ascii_lowercase()
                };
                hit |= class.is_some_and(|(_, test)| test(&byte) || fold_case && test(&swapped));
                at += len + 4;
                continue;
            }
            b'\\' => {
                at += 1;
                *pattern.get(at)?
            }
            low => low,
        };
        at += 1;
        let mut high = low;
        if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|&next| next != b']') {
            high = *pattern.get(at + 1)?;
            at += 2;
        }
        hit |= (low..=high).contains(&byte);
        if fold_case {
            hit |= (low..=high).contains(&byte.to_ascii_lowercase());
            hit |= (low..=high).contains(&byte.to_ascii_uppercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("c*l", "curl", true),
            ("c?r[l]", "curl", true),
            ("/etc/*", "/etc/a/b", true),
            ("/etc*d", "/etc/passwd", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("[!a]x", "bx", true),
            ("[a-c]x", "bx", true),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("[[:digit:]]*", "7z", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("?x", "éx", true),
            ("C*L", "curl", false),
        ] {
            assert_eq!(glob_matches(pattern.as_bytes(), text.as_bytes(), false), want, "{pattern} {text}");
        }
        assert!(glob_matches(b"C[A-Z]*L", b"curl", true));
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = "*a".repeat(2_000);
        let text = "a".repeat(1_999) + "b";
        assert!(!glob_matches(pattern.as_bytes(), text.as_bytes(), false));
    }
}
