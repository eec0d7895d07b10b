//! The command line with which a chisel starts the program over.

use super::args::RawArgs;

/// The words of this command line that hold for the next run, too: what Lua chisels may do.
pub(crate) fn kept_words(args: &RawArgs) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(args.lua_unsafe.then(|| "--lua-unsafe".to_owned()));
    for (option, value) in [("--lua-memory", &args.lua_memory), ("--lua-time", &args.lua_time)] {
        words.extend(value.as_ref().map(|value| format!("{option}={value}")));
    }
    words.extend(args.chisel_dir.iter().map(|folder| format!("--chisel-dir={}", folder.display())));
    words
}

/// Splits it at blanks; `"…"` protects them.
pub(crate) fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    for c in text.chars() {
        match c {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            ' ' if !is_quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_protect_blanks() {
        let text = r#"-F -rx.scap  -w"a b" (evt.around[1]=2 and thread.tid=3)"#;
        let words = split_words(text);
        assert_eq!(words, ["-F", "-rx.scap", "-wa b", "(evt.around[1]=2", "and", "thread.tid=3)"]);
    }
}
