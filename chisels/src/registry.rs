//! [`Registry`]: all chisels there are, built in and in the folders that are searched for Lua files.
//!
//! A name is looked for in this order: the folders asked for on the command line and in
//! SYSDIG_CHISEL_DIR, the built-in chisels, the usual folders. So a chisel that happens to lie in
//! the current folder never replaces a built-in one unasked. A file that is no chisel, such as
//! sysdig's library `http`, does not replace one either. `NAME.lua` is always a file.

use crate::api::{Chisel, Meta};
use crate::builtin;
use crate::error::ChiselError;
use crate::lua::{LuaChisel, LuaOptions};
use filter_lang::near_names;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where chisels are found, and what those in Lua may do.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    asked: Vec<PathBuf>,
    usual: Vec<PathBuf>,
    lua: LuaOptions,
}

impl Registry {
    /// The registry for a command line: `asked` are folders to search before anything else.
    pub fn new(asked: Vec<PathBuf>, lua: LuaOptions) -> Registry {
        let variable = std::env::var("SYSDIG_CHISEL_DIR").unwrap_or_default();
        let mut folders = asked;
        folders.extend(variable.split(';').rev().filter(|d| !d.is_empty()).map(PathBuf::from));
        let mut usual = vec![PathBuf::from("."), PathBuf::from("./chisels")];
        usual.extend(std::env::home_dir().map(|home| home.join(".chisels")));
        usual.push(PathBuf::from("/usr/share/sysdig/chisels"));
        Registry { asked: folders, usual, lua }
    }

    /// What chisels in Lua may do.
    pub fn lua_options(&self) -> &LuaOptions {
        &self.lua
    }

    /// The folders searched for Lua files, in order.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.asked.iter().chain(&self.usual).map(PathBuf::as_path)
    }

    /// A fresh chisel by name or by the name of its file.
    pub fn create(&self, name: &str) -> Result<Box<dyn Chisel>, ChiselError> {
        let name = name.trim();
        if let Some(path) = find(&self.asked, name) {
            return match self.load(&path) {
                Err(error @ ChiselError::NoChisel(_)) => builtin::create(name).ok_or(error),
                loaded => loaded,
            };
        }
        if let Some(chisel) = builtin::create(name) {
            return Ok(chisel);
        }
        match find(&self.usual, name) {
            Some(path) => self.load(&path),
            None => Err(ChiselError::Unknown { name: name.to_owned(), hint: self.hint(name) }),
        }
    }

    /// All chisels that are to be listed, sorted by category and name. Files that are no chisels are
    /// left out.
    pub fn list(&self) -> Vec<Meta> {
        let mut all: BTreeMap<String, Meta> = BTreeMap::new();
        let mut add = |meta: Meta| {
            all.entry(meta.name.to_string()).or_insert(meta);
        };
        for folder in &self.asked {
            self.listed(folder).into_iter().for_each(&mut add);
        }
        builtin::all().cloned().for_each(&mut add);
        for folder in &self.usual {
            self.listed(folder).into_iter().for_each(&mut add);
        }
        let mut all: Vec<Meta> = all.into_values().collect();
        all.sort_by(|a, b| (&a.category, &a.name).cmp(&(&b.category, &b.name)));
        all
    }

    /// What the listed chisel of this name says of itself.
    pub fn describe(&self, name: &str) -> Result<Meta, ChiselError> {
        let name = name.trim();
        let found = self.list().into_iter().find(|meta| meta.name == name);
        found.ok_or_else(|| ChiselError::Unknown { name: name.to_owned(), hint: self.hint(name) })
    }

    fn load(&self, path: &Path) -> Result<Box<dyn Chisel>, ChiselError> {
        let folders: Vec<PathBuf> = self.folders().map(Path::to_owned).collect();
        Ok(Box::new(LuaChisel::load(path, &folders, &self.lua)?))
    }

    fn listed(&self, folder: &Path) -> Vec<Meta> {
        let folders: Vec<PathBuf> = self.folders().map(Path::to_owned).collect();
        let paths = lua_files(folder);
        paths.iter().filter_map(|path| LuaChisel::describe(path, &folders, &self.lua)).collect()
    }

    /// The names that a mistyped one may have meant: those that look like it or contain it.
    fn hint(&self, name: &str) -> String {
        let built_in = builtin::all().map(|meta| meta.name.to_string());
        let files = self.folders().flat_map(lua_files).filter_map(|path| {
            let stem = path.file_stem()?.to_str()?;
            // Views and libraries are no chisels.
            let is_other = stem.starts_with("v_") || LIBRARIES.contains(&stem);
            (!is_other).then(|| stem.to_owned())
        });
        let known: Vec<String> = built_in.chain(files).collect();
        let contains = known.iter().filter(|k| name.len() > 2 && k.contains(name)).cloned();
        let mut near: Vec<String> = contains.chain(near_names(name, known.iter())).collect();
        near.sort_unstable();
        near.dedup();
        near.truncate(5);
        if near.is_empty() { String::new() } else { format!("did you mean {}? ", near.join(" or ")) }
    }
}

/// Files beside sysdig's chisels that other files load.
const LIBRARIES: &[&str] = &["ansiterminal", "common", "dkjson", "http", "statsd"];

/// The file of a chisel: `NAME.lua` in the first folder that has one, else `NAME`.
fn find(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    let with_end = format!("{name}.lua");
    let first = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    first(&with_end).or_else(|| first(name))
}

/// The Lua files of a folder, sorted by name.
fn lua_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "lua")).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_name_meant() {
        let registry = Registry::default();
        let error = registry.create("ehco_fds").unwrap_err().to_string();
        assert_eq!(
            error,
            "no chisel named \"ehco_fds\"; did you mean echo_fds? `capture -cl` lists them all"
        );
        assert!(registry.create("echo").unwrap_err().to_string().contains("did you mean echo_fds?"));
        assert!(!registry.create("zzz").unwrap_err().to_string().contains("did you mean"));
        assert!(registry.create("").is_err());
        assert!(registry.create("echo_fds").is_ok());
    }

    #[test]
    fn the_list_is_complete() {
        let list = Registry::default().list();
        assert_eq!(list.len(), builtin::all().count());
        assert!(list.iter().all(|m| !m.short.is_empty() && !m.description.is_empty()));
    }

    #[test]
    fn built_in_names_win_over_the_usual_folders_only() {
        let folder = tempfile::tempdir().unwrap();
        let source = "description = 'd' short_description = 'mine' category = 'C' args = {}";
        std::fs::write(folder.path().join("echo_fds.lua"), source).unwrap();
        std::fs::write(folder.path().join("own.lua"), source).unwrap();
        std::fs::write(folder.path().join("broken.lua"), "x = = 1").unwrap();
        std::fs::write(folder.path().join("hidden.lua"), format!("{source} hidden = true")).unwrap();
        let usual = Registry { usual: vec![folder.path().to_owned()], ..Registry::default() };
        let asked = Registry { asked: vec![folder.path().to_owned()], ..Registry::default() };
        for (registry, short) in [(&usual, "Data read and written by processes"), (&asked, "mine")] {
            assert_eq!(registry.describe("echo_fds").unwrap().short, short);
            assert_eq!(registry.create("echo_fds").unwrap().meta().short, short);
            assert_eq!(registry.create("echo_fds.lua").unwrap().meta().short, "mine");
            assert_eq!(registry.describe("own").unwrap().category, "C");
            assert!(registry.describe("broken").is_err() && registry.describe("hidden").is_err());
            assert!(registry.create("hidden").is_ok());
        }
        // A library of a built-in chisel's name.
        std::fs::write(folder.path().join("http.lua"), "function parse() end").unwrap();
        assert_eq!(asked.create("http").unwrap().meta().category, "Application");
        let error = asked.create("http.lua").unwrap_err().to_string();
        assert_eq!(error, "Failed to load chisel http: args table missing");
        let error = asked.create("onw").unwrap_err().to_string();
        assert!(error.contains("did you mean own?"), "{error}");
    }
}
