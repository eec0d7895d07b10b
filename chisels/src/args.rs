//! How a command line hands arguments to a chisel.
//!
//! The word after `-c NAME` may hold all of them, separated by blanks; `'…'` and `` `…` ``
//! protect blanks. Whether that word is taken at all is decided by [`takes_word`].
//!
//! More lenient than sysdig in one thing: `lsof "a=1 and b=2"` is one filter, not three values.

use crate::api::{Chisel, Meta};
use crate::control::Control;
use crate::error::ChiselError;

/// Values for the arguments of a chisel, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ArgValues {
    values: Vec<String>,
}

/// Whether the word after `-c NAME` belongs to the chisel.
///
/// One that requires arguments always takes it; one with optional arguments only takes it if it
/// is no filter (asked through `is_filter`, lazily), except that a single argument which itself is
/// a filter is always taken. Options never reach this: they are no words.
pub fn takes_word(meta: &Meta, is_filter: impl FnOnce() -> bool) -> bool {
    match &meta.args[..] {
        [] => false,
        args if args.iter().any(|a| !a.optional) => true,
        [only] if only.kind == "filter" => true,
        _ => !is_filter(),
    }
}

impl ArgValues {
    /// Splits the text of a word. A filter that is the only argument needs no quotes of its own.
    pub fn split(meta: &Meta, text: &str) -> Result<Self, ChiselError> {
        let mut values = Vec::new();
        let mut current: Option<String> = None;
        let mut quote = None;
        for c in text.trim().chars() {
            match (quote, c) {
                (Some(q), _) if c == q => quote = None,
                (None, '\'' | '`') => {
                    quote = Some(c);
                    current.get_or_insert_default();
                }
                (None, ' ') => values.extend(current.take()),
                _ => current.get_or_insert_default().push(c),
            }
        }
        if quote.is_some() {
            return Err(ChiselError::Quotes(meta.name.to_string()));
        }
        values.extend(current);
        if let [only] = &meta.args[..]
            && only.kind == "filter"
            && values.len() > 1
        {
            values = vec![text.trim().to_owned()];
        }
        Ok(ArgValues { values })
    }

    /// Checks their number.
    pub fn check(&self, meta: &Meta) -> Result<(), ChiselError> {
        let required = meta.args.iter().filter(|a| !a.optional).count();
        let given = self.values.len();
        let optional = meta.args.len() - required;
        let name = || meta.name.to_string();
        match given {
            0 if required > 0 => Err(ChiselError::MissingArgs(name())),
            n if n < required => Err(ChiselError::TooFew { name: name(), required, given }),
            n if n > required + optional => {
                Err(ChiselError::TooMany { name: name(), required, optional, given })
            }
            _ => Ok(()),
        }
    }

    /// Hands them over in order of declaration.
    pub fn assign(self, chisel: &mut dyn Chisel, control: &mut Control) -> Result<(), ChiselError> {
        let names: Vec<String> = chisel.meta().args.iter().map(|spec| spec.name.to_string()).collect();
        for (name, value) in names.iter().zip(&self.values) {
            chisel.set_arg(name, value, control)?;
        }
        Ok(())
    }
}

impl From<Vec<String>> for ArgValues {
    /// Values that are apart already.
    fn from(values: Vec<String>) -> Self {
        ArgValues { values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ArgSpec;

    const fn meta(args: &'static [ArgSpec]) -> Meta {
        Meta::new("m", "", "", "", args)
    }

    static NO_ARGS: Meta = meta(&[]);
    static ONE: [ArgSpec; 1] = [ArgSpec::optional("a", "string", "")];
    static OPTIONAL: Meta = meta(&ONE);
    static ONE_FILTER: [ArgSpec; 1] = [ArgSpec::optional("a", "filter", "")];
    static FILTER: Meta = meta(&ONE_FILTER);
    static TWO: [ArgSpec; 2] = [ArgSpec::required("a", "int", ""), ArgSpec::optional("b", "string", "")];
    static REQUIRED: Meta = meta(&TWO);

    #[test]
    fn which_words_are_taken() {
        assert!(!takes_word(&NO_ARGS, || false));
        assert!(takes_word(&OPTIONAL, || false));
        assert!(!takes_word(&OPTIONAL, || true));
        assert!(takes_word(&FILTER, || true));
        assert!(takes_word(&REQUIRED, || true));
    }

    #[test]
    fn splitting() {
        let split = |text: &str| ArgValues::split(&OPTIONAL, text).map(|v| v.values);
        assert_eq!(split(" a  b ").unwrap(), ["a", "b"]);
        assert_eq!(split("'a b' `c'd`").unwrap(), ["a b", "c'd"]);
        assert_eq!(split("''").unwrap(), [""]);
        assert!(matches!(split("'a"), Err(ChiselError::Quotes(_))));
        let filter = |text: &str| ArgValues::split(&FILTER, text).map(|v| v.values);
        assert_eq!(filter("'a=1 and b=2'").unwrap(), ["a=1 and b=2"]);
        assert_eq!(filter(" a=1 and b='x y' ").unwrap(), ["a=1 and b='x y'"]);
    }

    #[test]
    fn counting() {
        let check = |meta: &Meta, text: &str| ArgValues::split(meta, text).unwrap().check(meta);
        assert!(check(&REQUIRED, "80").is_ok());
        assert!(matches!(check(&REQUIRED, ""), Err(ChiselError::MissingArgs(_))));
        assert!(matches!(check(&OPTIONAL, "a b c"), Err(ChiselError::TooMany { given: 3, .. })));
    }
}
