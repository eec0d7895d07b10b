//! Errors of the Lua side as one line: file, line, message.

use mlua::Error;

/// The message of an error, without the stack behind it.
pub(super) fn text(error: &Error) -> String {
    match error {
        Error::SyntaxError { message, .. } | Error::RuntimeError(message) | Error::MemoryError(message) => {
            without_stack(message).to_owned()
        }
        Error::CallbackError { traceback, cause } => match &**cause {
            inner @ Error::CallbackError { .. } => text(inner),
            inner => format!("{}{}", place(traceback), text(inner)),
        },
        Error::BadArgument { pos, to, cause, .. } => {
            let to = to.as_ref().map_or_else(String::new, |to| format!(" of {to}"));
            format!("bad argument #{pos}{to}: {}", text(cause))
        }
        Error::FromLuaConversionError { from, to, message } => {
            let wanted = if to.contains("String") { "string" } else { to };
            let detail = message.as_ref().map_or_else(String::new, |m| format!(" ({m})"));
            format!("{wanted} expected, got {from}{detail}")
        }
        other => without_stack(&other.to_string()).to_owned(),
    }
}

/// An error that names what went wrong; the place is added where it surfaces.
pub(super) fn raise<T>(message: impl Into<String>) -> mlua::Result<T> {
    Err(Error::RuntimeError(message.into()))
}

fn without_stack(message: &str) -> &str {
    message.split("\nstack traceback:").next().unwrap_or(message)
}

/// `file:line: ` of the innermost Lua function of a stack.
fn place(traceback: &str) -> String {
    let lines = traceback.lines().map(str::trim);
    let is_lua =
        |line: &&str| !line.is_empty() && !line.starts_with('[') && !line.starts_with("stack traceback");
    let line = lines.filter(is_lua).find_map(|line| line.split(": in ").next().filter(|p| p.contains(':')));
    line.map_or_else(String::new, |place| format!("{place}: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_innermost_lua_line() {
        let stack = "stack traceback:\n\t[C]: in function 'field'\n\t./x.lua:12: in function <./x.lua:10>";
        assert_eq!(place(stack), "./x.lua:12: ");
        assert_eq!(place(""), "");
        assert_eq!(without_stack("a.lua:1: b\nstack traceback:\n\t[C]: c"), "a.lua:1: b");
    }
}
