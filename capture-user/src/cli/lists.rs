//! `-l`, `--list-markdown` and `-L`: what there is to name, made from the engine's tables.

use super::args::RawArgs;
use super::error::CliError;
use capture_engine::fields::{CLASSES, Class};
use capture_engine::listing;
use std::io::Write;

/// The list that the options ask for, if any.
///
/// # Errors
/// When a class is named that does not exist.
pub(crate) fn asked_for(args: &RawArgs) -> Result<Option<String>, CliError> {
    if args.list_events {
        return Ok(Some(listing::events()));
    }
    if args.list.is_none() && !args.list_markdown {
        return Ok(None);
    }
    let classes = classes(args)?;
    Ok(Some(if args.list_markdown {
        listing::fields_markdown(&classes)
    } else {
        listing::fields(&classes, args.verbose)
    }))
}

/// Writes a list to standard output.
///
/// # Errors
/// When that fails.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Stdout)
}

/// The classes that are named; all where none is.
fn classes(args: &RawArgs) -> Result<Vec<&'static Class>, CliError> {
    let named = args.list.iter().filter(|name| !name.is_empty()).chain(&args.words);
    let mut chosen = Vec::new();
    for name in named {
        let found = listing::classes_named(name);
        if found.is_empty() {
            let mut known: Vec<_> = CLASSES.iter().map(|class| class.name).collect();
            known.dedup();
            return Err(CliError::usage(format!(
                "there is no class of fields called {name:?}; the classes are {}",
                known.join(", ")
            )));
        }
        chosen.extend(found);
    }
    Ok(if chosen.is_empty() { CLASSES.iter().collect() } else { chosen })
}
