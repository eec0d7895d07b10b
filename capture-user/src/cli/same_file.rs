//! `-w` onto a file that `-r` reads would empty it before the first event is read: refused.

use super::error::CliError;
use std::os::unix::fs::MetadataExt;

/// Fails when `output` is one of `inputs`, by whatever name or link. Pipes and terminals may be
/// both; files that are not there yet cannot.
pub(crate) fn refuse(inputs: &[String], output: &str) -> Result<(), CliError> {
    let Some(target) = identity(output, "/dev/stdout") else { return Ok(()) };
    match inputs.iter().find(|input| identity(input, "/dev/stdin") == Some(target)) {
        Some(input) => Err(CliError::usage(format!(
            "-w {output} would overwrite what -r {input} reads: they are one file"
        ))),
        None => Ok(()),
    }
}

/// Device and inode of a regular file; `-` is the standard stream `standard`.
fn identity(path: &str, standard: &str) -> Option<(u64, u64)> {
    let path = if path == "-" { standard } else { path };
    let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some((meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_by_two_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for name in ["a", "b"] {
            std::fs::write(path(name), name).unwrap();
        }
        std::os::unix::fs::symlink(path("b"), path("link")).unwrap();
        std::fs::hard_link(path("b"), path("hard")).unwrap();
        let inputs = [path("a"), path("b")];
        assert!(refuse(&inputs, &path("new")).is_ok());
        assert!(refuse(&inputs[..1], &path("b")).is_ok());
        for output in ["b", "link", "hard", "./b"] {
            let error = refuse(&inputs, &path(output)).unwrap_err().to_string();
            assert!(error.contains("would overwrite"), "{error}");
        }
        assert!(refuse(&["/dev/null".into()], "/dev/null").is_ok());
    }
}
