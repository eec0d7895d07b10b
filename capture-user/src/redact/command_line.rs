//! Arguments and environment of a process, as events hold them: entries that end in NUL.
//!
//! Arguments are read as a shell's words, too, since one of them can be a whole script:
//! `NAME=value`, `--name=value`, `--name value` (the value may be the next argument), `Name: value` to the
//! end of the argument or its quotes, and URLs with a password.

use super::secrets::{REDACTED, Secrets};

/// The environment without its secrets; `None` where it has none.
pub(super) fn env(raw: &[u8], secrets: &Secrets) -> Option<Vec<u8>> {
    if raw.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut changed = false;
    each(raw, |entry, end| {
        match secrets.entry(&String::from_utf8_lossy(entry)) {
            Some(other) => {
                changed = true;
                out.extend_from_slice(other.as_bytes());
            }
            None => out.extend_from_slice(entry),
        }
        out.extend_from_slice(end);
    });
    changed.then_some(out)
}

/// Arguments without their secrets; `None` where they have none.
pub(super) fn args(raw: &[u8], secrets: &Secrets) -> Option<Vec<u8>> {
    if raw.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut words = Words { secrets, changed: false, next_is_secret: false };
    each(raw, |arg, end| {
        match std::str::from_utf8(arg) {
            Ok(text) => words.argument(text, &mut out),
            Err(_) => {
                // Bytes that are no text are kept, but as the value of a secret's option.
                let lossy = String::from_utf8_lossy(arg);
                let mut other = Vec::new();
                let changed = std::mem::take(&mut words.changed);
                words.argument(&lossy, &mut other);
                out.extend_from_slice(if words.changed { &other } else { arg });
                words.changed |= changed;
            }
        }
        out.extend_from_slice(end);
    });
    words.changed.then_some(out)
}

/// Arguments that are a list of texts without their secrets.
pub(super) fn list(args: &[&str], secrets: &Secrets) -> Option<Vec<String>> {
    let raw: Vec<u8> = args.iter().flat_map(|arg| arg.bytes().filter(|&b| b != 0).chain([0])).collect();
    let redacted = self::args(&raw, secrets)?;
    let words = redacted.strip_suffix(b"\0").unwrap_or(&redacted).split(|&b| b == 0);
    Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// Hands over each entry and the NUL behind it, which the last one can lack.
fn each(raw: &[u8], mut take: impl FnMut(&[u8], &[u8])) {
    for entry in raw.split_inclusive(|&b| b == 0) {
        match entry.strip_suffix(b"\0") {
            Some(text) => take(text, b"\0"),
            None => take(entry, b""),
        }
    }
}

struct Words<'s> {
    secrets: &'s Secrets,
    changed: bool,
    /// The word before was the option of a secret.
    next_is_secret: bool,
}

/// What ends a word of a script.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | ';' | '&' | '|' | '(' | ')' | '`')
}

impl Words<'_> {
    fn argument(&mut self, text: &str, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.next_is_secret) && !text.starts_with('-') && !text.is_empty() {
            return self.redact(out);
        }
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if ends_word(first) {
                let (blank, after) = rest.split_at(first.len_utf8());
                out.extend_from_slice(blank.as_bytes());
                rest = after;
                continue;
            }
            let (word, after) = rest.split_at(rest.find(ends_word).unwrap_or(rest.len()));
            rest = self.word(word, after, out);
        }
    }

    /// Appends a word; what follows it, less what belonged to it.
    fn word<'t>(&mut self, word: &str, after: &'t str, out: &mut Vec<u8>) -> &'t str {
        if std::mem::take(&mut self.next_is_secret) && !word.starts_with('-') {
            self.redact(out);
            return after;
        }
        let name_end = word.find(['=', ':']).filter(|&at| at > 0);
        let name = &word[..name_end.unwrap_or(word.len())];
        let is_secret = self.secrets.names_one(name.trim_start_matches('-'));
        match name_end.map(|at| (at, word.as_bytes()[at])) {
            Some((at, b'=')) if is_secret => {
                out.extend_from_slice(&word.as_bytes()[..=at]);
                // A quoted value stands behind the quote that ended the word.
                let quote = after.chars().next().filter(|&c| matches!(c, '"' | '\''));
                match quote.filter(|_| at + 1 == word.len()) {
                    Some(quote) => return self.quoted(&after[1..], quote, after, out),
                    None if at + 1 < word.len() => self.redact(out),
                    None => {}
                }
            }
            // A header: to the end of what it stands in. A URL is none.
            Some((at, b':')) if is_secret && !word[at..].starts_with("://") => {
                out.extend_from_slice(&word.as_bytes()[..=at]);
                let end = after.find(['"', '\'']).unwrap_or(after.len());
                if at + 1 < word.len() || end > 0 {
                    out.push(b' ');
                    self.redact(out);
                }
                return &after[end..];
            }
            _ => match self.value(word) {
                Some(other) => {
                    self.changed = true;
                    out.extend_from_slice(other.as_bytes());
                }
                None => {
                    self.next_is_secret = is_secret && name_end.is_none() && word.starts_with('-');
                    out.extend_from_slice(word.as_bytes());
                }
            },
        }
        after
    }

    /// A word whose value, behind `=` or whole, has the form of a secret.
    fn value(&self, word: &str) -> Option<String> {
        self.secrets.value(word).or_else(|| {
            let (name, value) = word.split_once('=')?;
            Some(format!("{name}={}", self.secrets.value(value)?))
        })
    }

    /// Replaces what stands in quotes; `after` begins with the quote that opens.
    fn quoted<'t>(&mut self, inside: &'t str, quote: char, after: &'t str, out: &mut Vec<u8>) -> &'t str {
        out.extend_from_slice(&after.as_bytes()[..1]);
        let end = inside.find(quote).unwrap_or(inside.len());
        if end > 0 {
            self.redact(out);
        }
        &inside[end..]
    }

    fn redact(&mut self, out: &mut Vec<u8>) {
        self.changed = true;
        out.extend_from_slice(REDACTED.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str], expected: Option<&[&str]>) {
        let found = list(args, &Secrets::with_patterns("licence"));
        let found: Option<Vec<&str>> = found.as_ref().map(|all| all.iter().map(String::as_str).collect());
        assert_eq!(found.as_deref(), expected, "{args:?}");
    }

    #[test]
    fn arguments() {
        check(&["--password=hunter2", "x"], Some(&["--password=[redacted]", "x"]));
        check(&["--password", "hunter2", "x"], Some(&["--password", "[redacted]", "x"]));
        check(&["--password", "--verbose"], None);
        check(&["-Dapi.token=abc"], Some(&["-Dapi.token=[redacted]"]));
        check(&["--licence", "abc"], Some(&["--licence", "[redacted]"]));
        check(&["http://u:p@h/x"], Some(&["http://u:[redacted]@h/x"]));
        check(&["--url=http://u:p@h/x"], Some(&["--url=http://u:[redacted]@h/x"]));
        check(&["-H", "Authorization: Bearer abc def"], Some(&["-H", "Authorization: [redacted]"]));
        check(&["-H", "Accept: text/html"], None);
        check(&["password"], None);
        check(&["-rf", "/tmp/x", "a=b"], None);
        check(&["ghp_abcdef"], Some(&["[redacted]"]));
        check(&["", "--token", ""], None);
    }

    #[test]
    fn scripts_in_an_argument() {
        check(
            &["-c", "export DB_PASSWORD=hunter2; run --token abc | cat"],
            Some(&["-c", "export DB_PASSWORD=[redacted]; run --token [redacted] | cat"]),
        );
        check(&["-c", "PASSWORD='a b' run x"], Some(&["-c", "PASSWORD='[redacted]' run x"]));
        check(
            &["-c", "curl -H 'Authorization: Bearer abc' http://h/"],
            Some(&["-c", "curl -H 'Authorization: [redacted]' http://h/"]),
        );
        check(&["-c", "for i in 1 2; do echo $i; done"], None);
    }

    #[test]
    fn environments_and_bytes_that_are_no_text() {
        let secrets = Secrets::default();
        assert_eq!(
            env(b"A=b\0TOKEN=x\0C=\xff\0", &secrets).as_deref(),
            Some(&b"A=b\0TOKEN=[redacted]\0C=\xff\0"[..])
        );
        assert_eq!(env(b"A=\xff\0", &secrets), None);
        assert_eq!(env(b"", &secrets), None);
        assert_eq!(
            args(b"\xff\0--token=\xff\0end", &secrets).as_deref(),
            Some(&b"\xff\0--token=[redacted]\0end"[..])
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_bytes_entries_stay_as_many(raw: Vec<u8>) {
            let secrets = Secrets::default();
            let count = |bytes: &[u8]| bytes.iter().filter(|&&b| b == 0).count();
            for out in [args(&raw, &secrets), env(&raw, &secrets)].into_iter().flatten() {
                proptest::prop_assert_eq!(count(&out), count(&raw));
            }
        }
    }
}
