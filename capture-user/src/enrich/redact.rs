//! Which entries of an environment hold secrets, by their name or by the form of their value.

/// What stands for a secret.
const REDACTED: &str = "[redacted]";
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
];
/// Whole words of a name that say the same.
const NAME_WORDS: &[&str] = &["pass", "pwd", "pw", "auth", "dsn", "jwt", "key", "pat"];
/// What values begin with that are secrets whatever their name.
const VALUE_STARTS: &[&str] =
    &["eyJ", "ghp_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "-----BEGIN"];

/// The entry `NAME=value` without its secret; `None` where it holds none.
pub(super) fn env_entry(entry: &str) -> Option<String> {
    let (name, value) = entry.split_once('=')?;
    if value.is_empty() {
        return None;
    }
    if names_a_secret(name) || VALUE_STARTS.iter().any(|start| value.starts_with(start)) {
        return Some(format!("{name}={REDACTED}"));
    }
    let (scheme, rest) = value.split_once("://")?;
    // A password may hold slashes: the last `@` before a query ends it.
    let at = rest[..rest.find('?').unwrap_or(rest.len())].rfind('@')?;
    let user = rest[..at].split(':').next().unwrap_or("");
    // A user alone is no secret.
    (user.len() < at).then(|| format!("{name}={scheme}://{user}:{REDACTED}{}", &rest[at..]))
}

fn names_a_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let whole: String = lower.chars().filter(|c| !matches!(c, '_' | '-' | '.')).collect();
    NAME_PARTS.iter().any(|part| whole.contains(part))
        || lower.split(['_', '-', '.']).any(|word| NAME_WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_or_form() {
        let check =
            |entry, expected: Option<&str>| assert_eq!(env_entry(entry).as_deref(), expected, "{entry}");
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
}
