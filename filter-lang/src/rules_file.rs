//! Falco rule files: `macro`, `list` and `rule` entries of a YAML document, into a [`Library`].
//!
//! Read event by event, so that aliases (which can multiply without bound) are refused before they are
//! expanded, and nesting is bounded. Unknown entries and keys are skipped, as Falco's versions differ.

use crate::library::Library;
use saphyr_parser::{Event, Parser, Span, StrInput};

/// Deepest nesting of YAML collections; rule files need five.
const DEPTH_MAX: usize = 24;

/// Why a rule file was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct LibraryError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

impl Library {
    /// Adds the macros, lists and rules of a Falco rule file. A later definition replaces an earlier
    /// one; `append: true` and `override: {condition: append}` add to it.
    ///
    /// # Errors
    /// When the text is not YAML, uses aliases, or has an entry without the keys it needs.
    pub fn read_yaml(&mut self, text: &str) -> Result<(), LibraryError> {
        self.read_documents(text, None)
    }

    /// Same as [`Library::read_yaml`], and errors in a macro's condition will name the file and the line
    /// of the macro.
    ///
    /// # Errors
    /// As [`Library::read_yaml`].
    pub fn read_yaml_of(&mut self, file: &str, text: &str) -> Result<(), LibraryError> {
        self.read_documents(text, Some(file))
    }

    fn read_documents(&mut self, text: &str, file: Option<&str>) -> Result<(), LibraryError> {
        let mut reader = Reader { events: Parser::new_from_str(text) };
        while let Some(document) = reader.next_document()? {
            let Tree { kind: Kind::Sequence(entries), .. } = document else {
                return Err(document.error("a rule file is a sequence of entries"));
            };
            for entry in entries {
                self.add_entry(&entry, file)?;
            }
        }
        Ok(())
    }

    fn add_entry(&mut self, entry: &Tree, file: Option<&str>) -> Result<(), LibraryError> {
        let Kind::Mapping(_) = entry.kind else {
            return Err(entry.error("an entry is a mapping, such as `- macro: name`"));
        };
        if let Some(name) = entry.scalar("list")? {
            let items = match entry.get("items") {
                Some(Tree { kind: Kind::Sequence(items), .. }) => items,
                Some(other) => return Err(other.error("`items` is a sequence")),
                None => return Err(entry.error("a list needs `items`")),
            };
            let mut values = if entry.appends("items")? {
                self.list_items(name).unwrap_or_default().to_vec()
            } else {
                Vec::new()
            };
            for item in items {
                match &item.kind {
                    Kind::Scalar(text) => values.push(unquoted(text).to_owned()),
                    _ => return Err(item.error("a list item is plain text")),
                }
            }
            self.add_list(name, values);
        } else if let Some(name) = entry.scalar("macro")? {
            let condition =
                entry.scalar("condition")?.ok_or_else(|| entry.error("a macro needs a `condition`"))?;
            match self.macro_condition(name) {
                Some(before) if entry.appends("condition")? => {
                    let joined = format!("{before} {condition}");
                    self.add_macro(name, joined);
                }
                _ => self.add_macro(name, condition),
            }
            if let Some(file) = file {
                self.set_place(name, file, entry.line);
            }
        } else if let Some(name) = entry.scalar("rule")?
            && let Some(condition) = entry.scalar("condition")?
        {
            match self.rule_condition(name) {
                Some(before) if entry.appends("condition")? => {
                    let joined = format!("{before} {condition}");
                    self.add_rule(name, joined);
                }
                _ => self.add_rule(name, condition),
            }
        }
        Ok(())
    }
}

/// Falco inserts items into the condition's text, so that rule files quote some of them a second time.
fn unquoted(item: &str) -> &str {
    ['"', '\''].iter().find_map(|&quote| item.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(item)
}

/// A YAML node with its place.
struct Tree {
    kind: Kind,
    line: usize,
    column: usize,
}

enum Kind {
    Scalar(String),
    Sequence(Vec<Tree>),
    Mapping(Vec<(Tree, Tree)>),
}

impl Tree {
    fn error(&self, reason: impl Into<String>) -> LibraryError {
        LibraryError { line: self.line, column: self.column, reason: reason.into() }
    }

    fn get(&self, key: &str) -> Option<&Tree> {
        let Kind::Mapping(pairs) = &self.kind else { return None };
        pairs
            .iter()
            .find(|(name, _)| matches!(&name.kind, Kind::Scalar(text) if text == key))
            .map(|pair| &pair.1)
    }

    fn scalar(&self, key: &str) -> Result<Option<&str>, LibraryError> {
        match self.get(key) {
            None => Ok(None),
            Some(Tree { kind: Kind::Scalar(text), .. }) => Ok(Some(text)),
            Some(other) => Err(other.error(format!("`{key}` is plain text"))),
        }
    }

    /// Does this entry add to the earlier definition instead of replacing it?
    fn appends(&self, key: &str) -> Result<bool, LibraryError> {
        let by_override = match self.get("override") {
            Some(changes) => changes.scalar(key)? == Some("append"),
            None => false,
        };
        Ok(by_override || self.scalar("append")? == Some("true"))
    }
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
}

impl<'t> Reader<'t> {
    fn next_event(&mut self) -> Result<Option<(Event<'t>, Span)>, LibraryError> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => Err(LibraryError {
                line: error.marker().line(),
                column: error.marker().col() + 1,
                reason: error.info().to_owned(),
            }),
        }
    }

    /// The root of the next document that has one.
    fn next_document(&mut self) -> Result<Option<Tree>, LibraryError> {
        while let Some((event, span)) = self.next_event()? {
            match event {
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing
                | Event::StreamEnd => {}
                // An empty document's root is an empty scalar.
                Event::Scalar(text, ..) if text.is_empty() || text == "~" => {}
                event => return self.tree(event, span, 0).map(Some),
            }
        }
        Ok(None)
    }

    fn tree(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Tree, LibraryError> {
        let mut tree =
            Tree { kind: Kind::Sequence(Vec::new()), line: span.start.line(), column: span.start.col() + 1 };
        if depth > DEPTH_MAX {
            return Err(tree.error("nested too deeply"));
        }
        tree.kind = match event {
            Event::Scalar(text, ..) => Kind::Scalar(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                while let Some(item) = self.child(depth, &tree)? {
                    items.push(item);
                }
                Kind::Sequence(items)
            }
            Event::MappingStart(..) => {
                let mut pairs = Vec::new();
                while let Some(key) = self.child(depth, &tree)? {
                    match self.child(depth, &tree)? {
                        Some(value) => pairs.push((key, value)),
                        None => return Err(key.error("a key without a value")),
                    }
                }
                Kind::Mapping(pairs)
            }
            Event::Alias(_) => return Err(tree.error("aliases are not supported in rule files")),
            other => return Err(tree.error(format!("unexpected {other:?}"))),
        };
        Ok(tree)
    }

    /// The next node inside a collection, or nothing at its end.
    fn child(&mut self, depth: usize, parent: &Tree) -> Result<Option<Tree>, LibraryError> {
        match self.next_event()? {
            None => Err(parent.error("this is never finished")),
            Some((Event::SequenceEnd | Event::MappingEnd, _)) => Ok(None),
            Some((event, span)) => self.tree(event, span, depth + 1).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
- required_engine_version: 0.31.0
- list: shells
  items: [bash, '\"sh\"', zsh]
- list: more
  items: [shells, fish]
- list: shells
  items: [dash]
  append: true
- macro: spawned
  condition: >
    evt.type in (execve, execveat)
    and evt.dir=<
- macro: spawned
  condition: or evt.type=clone
  override:
    condition: append
- rule: Shell
  desc: A shell
  condition: spawned and proc.name in (shells)
  output: x %proc.name
  priority: WARNING
  tags: [a, b]
";

    #[test]
    fn entries() {
        let mut library = Library::new();
        library.read_yaml(FILE).expect("a good file");
        assert_eq!(
            library.list_items("shells"),
            Some(["bash", "sh", "zsh", "dash"].map(String::from).as_slice())
        );
        assert_eq!(
            library.macro_condition("spawned"),
            Some("evt.type in (execve, execveat) and evt.dir=<\n or evt.type=clone")
        );
        assert_eq!(library.rule_condition("Shell"), Some("spawned and proc.name in (shells)"));
    }

    #[test]
    fn refusals() {
        for (text, reason) in [
            ("a: b", "sequence of entries"),
            ("- 5", "is a mapping"),
            ("- macro: x", "needs a `condition`"),
            ("- list: x", "needs `items`"),
            ("- list: x\n  items: 5", "is a sequence"),
            ("- macro: [x]\n  condition: y", "is plain text"),
            ("- &a [1]\n- *a", "aliases"),
            ("- list: x\n  items: [&a b, *a]", "aliases"),
            ("- macro: 'x", "1"),
            (&"[".repeat(100_000), "recursion limit"),
            (&format!("{}x", "- ".repeat(100)), "nested too deeply"),
        ] {
            let error = Library::new().read_yaml(text).expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
