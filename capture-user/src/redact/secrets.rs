//! What is a secret: by the name of what holds it, or by the form of its value.

/// What stands for a secret.
pub(crate) const REDACTED: &str = "[redacted]";
/// Parts of names, in lower case and without `_`, `-` and `.`, that say the value is a secret.
const NAME_PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "encryptionkey",
    "signingkey",
    "sessionkey",
    "masterkey",
    "connectionstring",
    "authorization",
];
/// Whole words of a name that say the same.
const NAME_WORDS: &[&str] = &["pass", "pwd", "pw", "auth", "dsn", "jwt", "key", "pat", "cookie"];
/// What values begin with that are secrets whatever their name.
const VALUE_STARTS: &[&str] =
    &["eyJ", "ghp_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "-----BEGIN"];

/// The default patterns, and those of the user.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// In lower case; `*` stands for any text.
    patterns: Vec<String>,
}

impl Secrets {
    /// With names of the user's, separated by commas.
    pub(crate) fn with_patterns(patterns: &str) -> Secrets {
        let all = patterns.split(',').map(|pattern| pattern.trim().to_lowercase());
        Secrets { patterns: all.filter(|pattern| !pattern.is_empty()).collect() }
    }

    /// Whether what has this name is a secret.
    pub(crate) fn names_one(&self, name: &str) -> bool {
        let lower = name.to_lowercase();
        let whole: String = lower.chars().filter(|c| !matches!(c, '_' | '-' | '.')).collect();
        NAME_PARTS.iter().any(|part| whole.contains(part))
            || lower.split(['_', '-', '.', '/']).any(|word| NAME_WORDS.contains(&word))
            || self.patterns.iter().any(|pattern| fits(pattern.as_bytes(), lower.as_bytes()))
    }

    /// A value without its secret, by its form; `None` where that tells of none.
    pub(crate) fn value(&self, value: &str) -> Option<String> {
        if VALUE_STARTS.iter().any(|start| value.starts_with(start)) {
            return Some(REDACTED.to_owned());
        }
        let (scheme, rest) = value.split_once("://")?;
        // A password may hold slashes: the last `@` before a query ends it.
        let at = rest[..rest.find('?').unwrap_or(rest.len())].rfind('@')?;
        let user = rest[..at].split(':').next().unwrap_or("");
        // A user alone is no secret.
        (user.len() < at).then(|| format!("{scheme}://{user}:{REDACTED}{}", &rest[at..]))
    }

    /// The entry `NAME=value` without its secret; `None` where it holds none.
    pub(crate) fn entry(&self, entry: &str) -> Option<String> {
        let (name, value) = entry.split_once('=')?;
        if value.is_empty() {
            return None;
        }
        let value = if self.names_one(name) { REDACTED.to_owned() } else { self.value(value)? };
        Some(format!("{name}={value}"))
    }
}

/// Whether a text fits a pattern.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    // One place to come back to is enough: the last star takes what earlier ones could not.
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        if pattern.get(of) == Some(&b'*') {
            star = Some((of, at));
            of += 1;
        } else if pattern.get(of) == Some(&text[at]) {
            (at, of) = (at + 1, of + 1);
        } else if let Some((star_of, star_at)) = star {
            star = Some((star_of, star_at + 1));
            (at, of) = (star_at + 1, star_of + 1);
        } else {
            return false;
        }
    }
    pattern[of..].iter().all(|&b| b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_or_form() {
        let secrets = Secrets::default();
        let check =
            |entry, expected: Option<&str>| assert_eq!(secrets.entry(entry).as_deref(), expected, "{entry}");
        check("DB_PASSWORD=x", Some("DB_PASSWORD=[redacted]"));
        check("MysqlRootPasswd=x", Some("MysqlRootPasswd=[redacted]"));
        check("API_KEY=x", Some("API_KEY=[redacted]"));
        check("awsSecretAccessKey=x", Some("awsSecretAccessKey=[redacted]"));
        check("REDIS_AUTH=x", Some("REDIS_AUTH=[redacted]"));
        check("X=eyJhbGciOi", Some("X=[redacted]"));
        check("URL=postgres://app:pw@db:5432/x", Some("URL=postgres://app:[redacted]@db:5432/x"));
        check("URL=http://user@host/", None);
        check("URL=http://host/a@b", None);
        check("PATH=/bin:/usr/bin", None);
        check("KEYBOARD=us", None);
        check("AUTHOR=me", None);
        check("PASSWORD=", None);
        check("novalue", None);
    }

    #[test]
    fn patterns_of_the_user_come_on_top() {
        let secrets = Secrets::with_patterns("x-internal-*, *licence*");
        assert!(secrets.names_one("X-Internal-Id") && secrets.names_one("MY_LICENCE_TEXT"));
        assert!(secrets.names_one("password") && !secrets.names_one("x-internal"));
        assert!(fits(b"a*b*c", b"a12b3b4c") && !fits(b"a*b*c", b"a12b3b4"));
        assert!(fits(b"*", b"") && fits(b"**", b"x") && !fits(b"", b"x"));
    }
}
