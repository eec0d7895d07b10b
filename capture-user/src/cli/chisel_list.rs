//! `-cl` and `-i NAME`: what chisels there are, and what one of them is.

use super::args::RawArgs;
use super::chisel_plan;
use super::error::CliError;
use chisels::Meta;
use std::fmt::Write as _;
use std::io::Write as _;

/// Columns of `-cl`: name, then the short description cut into lines.
const NAME_WIDTH: usize = 16;
const TEXT_WIDTH: usize = 63;
/// Columns of a whole line.
const LINE_WIDTH: usize = 79;

/// `-cl`: chisels by category.
pub(crate) fn list(args: &RawArgs) -> Result<(), CliError> {
    let registry = chisel_plan::registry(args, &Default::default())?;
    let mut out = String::new();
    let mut category = None;
    for meta in registry.list() {
        if category.as_ref() != Some(&meta.category) {
            heading(&mut out, &meta);
            category = Some(meta.category.clone());
        }
        row(&mut out, &meta);
    }
    out.push_str("\nUse -i NAME for what one of them does and takes.\n");
    print(&out)
}

/// `-i NAME`: one chisel in full.
pub(crate) fn describe(args: &RawArgs, name: &str) -> Result<(), CliError> {
    let meta = chisel_plan::registry(args, &Default::default())?.describe(name)?;
    let mut out = String::new();
    heading(&mut out, &meta);
    row(&mut out, &meta);
    out.push('\n');
    for line in wrap(&meta.description, LINE_WIDTH) {
        let _ = writeln!(out, "{line}");
    }
    out.push_str("\nArgs:\n");
    if meta.args.is_empty() {
        out.push_str("(None)\n");
    }
    for arg in meta.args.iter() {
        let optional = if arg.optional { " (optional)" } else { "" };
        let text = format!("[{}] {}{optional} - {}", arg.kind, arg.name, arg.description);
        for (i, line) in wrap(&text, TEXT_WIDTH).into_iter().enumerate() {
            let indent = if i == 0 { 0 } else { NAME_WIDTH };
            let _ = writeln!(out, "{:indent$}{line}", "");
        }
    }
    print(&out)
}

fn heading(out: &mut String, meta: &Meta) {
    let title = format!("Category: {}", meta.category);
    let _ = writeln!(out, "\n{title}\n{}", "-".repeat(title.len()));
}

fn row(out: &mut String, meta: &Meta) {
    let mut name = &meta.name[..];
    if name.len() >= NAME_WIDTH {
        let _ = writeln!(out, "{name}");
        name = "";
    }
    for line in wrap(&meta.short, TEXT_WIDTH) {
        let _ = writeln!(out, "{name:<NAME_WIDTH$}{line}");
        name = "";
    }
}

fn print(text: &str) -> Result<(), CliError> {
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(CliError::Stdout)
}

/// Cuts text at blanks into lines of at most `width` bytes.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("toolongword x", 4), ["toolongword", "x"]);
    }
}
