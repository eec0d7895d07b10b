//! Named macros and lists that a filter may use, as Falco rule files define them.

use crate::error::Origin;
use std::collections::BTreeMap;

/// Macros (conditions), lists (values) and rules by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Library {
    macros: BTreeMap<String, String>,
    lists: BTreeMap<String, Vec<String>>,
    rules: BTreeMap<String, String>,
    /// File and line of the macros that were read from named files.
    places: BTreeMap<String, (String, usize)>,
}

impl Library {
    /// An empty library.
    #[must_use]
    pub fn new() -> Library {
        Library::default()
    }

    /// Defines a macro; a second definition of the same name replaces the first, as in Falco.
    pub fn add_macro(&mut self, name: impl Into<String>, condition: impl Into<String>) {
        let name = name.into();
        self.places.remove(&name);
        self.macros.insert(name, condition.into());
    }

    /// Says where a macro stands, for errors in its condition.
    pub(crate) fn set_place(&mut self, name: &str, file: &str, line: usize) {
        self.places.insert(name.to_owned(), (file.to_owned(), line));
    }

    pub(crate) fn origin_of_macro(&self, name: &str) -> Origin {
        Origin { name: name.to_owned(), place: self.places.get(name).cloned() }
    }

    /// Defines a list; its items may be names of other lists.
    pub fn add_list(&mut self, name: impl Into<String>, items: Vec<String>) {
        self.lists.insert(name.into(), items);
    }

    /// Adds a rule's condition. Rules cannot be referred to; they are kept to be compiled one by one.
    pub fn add_rule(&mut self, name: impl Into<String>, condition: impl Into<String>) {
        self.rules.insert(name.into(), condition.into());
    }

    /// A rule's condition.
    #[must_use]
    pub fn rule_condition(&self, name: &str) -> Option<&str> {
        self.rules.get(name).map(String::as_str)
    }

    /// All rules with their conditions, by name.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules.iter().map(|(name, condition)| (name.as_str(), condition.as_str()))
    }

    /// A macro's condition.
    #[must_use]
    pub fn macro_condition(&self, name: &str) -> Option<&str> {
        self.macros.get(name).map(String::as_str)
    }

    /// A list's items.
    #[must_use]
    pub fn list_items(&self, name: &str) -> Option<&[String]> {
        self.lists.get(name).map(Vec::as_slice)
    }

    /// All macros with their conditions, by name.
    pub fn macros(&self) -> impl Iterator<Item = (&str, &str)> {
        self.macros.iter().map(|(name, condition)| (name.as_str(), condition.as_str()))
    }

    /// All lists with their items, by name.
    pub fn lists(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.lists.iter().map(|(name, items)| (name.as_str(), items.as_slice()))
    }
}
