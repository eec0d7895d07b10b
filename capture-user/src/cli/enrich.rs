//! `capture enrich IN --docker DUMP --k8s DUMP -w OUT`: the words of a replay into a file, and the dumps.

use super::args::RawArgs;
use super::error::CliError;
use crate::enrich::{Dump, DumpError};
use std::path::Path;
use std::sync::Arc;

/// The word that asks for it.
const VERB: &str = "enrich";

/// Turns the verb into the options that mean the same.
pub(crate) fn verb(mut args: RawArgs) -> Result<RawArgs, CliError> {
    if args.words.first().is_none_or(|word| word != VERB) {
        return Ok(args);
    }
    args.words.remove(0);
    if args.read.is_empty() && !args.words.is_empty() {
        args.read.push(args.words.remove(0));
    }
    let missing = [
        (args.read.is_empty(), "a file to read"),
        (args.write.is_none(), "-w and a file to write"),
        (args.docker.is_empty() && args.k8s.is_empty(), "--docker or --k8s and a dump"),
    ];
    match missing.iter().find(|(is_missing, _)| *is_missing) {
        Some((_, what)) => Err(CliError::usage(format!("enrich needs {what}"))),
        None => Ok(args),
    }
}

/// Reads the dumps that the options name; `None` where they name none.
pub(crate) fn dumps(args: &RawArgs) -> Result<Option<Arc<Dump>>, CliError> {
    let mut dump = Dump::default();
    let mut read = |option: &'static str, files: &[std::path::PathBuf], take: Take| {
        files.iter().try_for_each(|file| read_one(option, file, |bytes| take(&mut dump, bytes)))
    };
    read("--docker", &args.docker, Dump::read_engine)?;
    read("--k8s", &args.k8s, Dump::read_cluster)?;
    Ok((!args.docker.is_empty() || !args.k8s.is_empty()).then(|| Arc::new(dump)))
}

type Take = fn(&mut Dump, &[u8]) -> Result<usize, DumpError>;

fn read_one(
    option: &'static str,
    file: &Path,
    take: impl FnOnce(&[u8]) -> Result<usize, DumpError>,
) -> Result<(), CliError> {
    let name = file.display();
    let bytes =
        std::fs::read(file).map_err(|error| CliError::Io { what: format!("{option} {name}"), error })?;
    take(&bytes).map_err(|error| CliError::Dump { option, file: name.to_string(), error })?;
    Ok(())
}
