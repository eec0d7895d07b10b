//! `shellshock_detect`: attempts to run code through the environment of bash (CVE-2014-6271).
//!
//! An attack gives bash or sh a variable whose value begins a function, `() {`. sysdig's version asks
//! for a parameter that no event has had since 2014; this one looks at the environment of the process.

use crate::api::{Chisel, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Fields, JsonLine};
use crate::state::visible;
use crate::text::write_column;
use capture_engine::EventView;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "shellshock_detect",
    "Security",
    "Shellshock attacks",
    "Reports every bash or sh that is started with a function in a variable of its environment, which is how \
     the shellshock hole (CVE-2014-6271) is used: the time, the name and pid of the process that started it, \
     and the function. Functions that bash itself exports (BASH_FUNC_…) are left out.",
    &[],
);

/// What bash itself puts before the names of functions that it exports, since the hole was closed.
const EXPORTED: &[u8] = b"BASH_FUNC_";

const FIELDS: &[&str] = &["evt.time", "proc.pname", "proc.ppid"];
const TIME: usize = 0;
const PARENT: usize = 1;
const PARENT_PID: usize = 2;

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct ShellshockDetect {
    fields: Fields,
    json: bool,
}

impl Chisel for ShellshockDetect {
    fn meta(&self) -> &Meta {
        &META
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.json = settings.json;
        let filter = "(proc.name=bash or proc.name=sh or proc.name=dash) \
                      and evt.type in (execve, execveat) and evt.dir=<";
        control.set_filter(&META.name, filter)?;
        if !self.json {
            let out = &mut control.out;
            write_column(out, b"TIME", 22);
            write_column(out, b"PROCNAME", 22);
            write_column(out, b"PID", 8);
            out.extend_from_slice(b"FUNCTION\n");
        }
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(main) = event.main_thread() else { return Ok(()) };
        let Some(function) = main.env().find_map(function_of) else { return Ok(()) };
        let mut text = |at: usize| self.fields.text_or_na(at, event);
        let (time, parent, parent_pid) = (text(TIME), text(PARENT), text(PARENT_PID));
        let out = &mut control.out;
        if self.json {
            let mut json = JsonLine::begin(out);
            json.uint("evt.rawtime", event.raw.ts_ns)
                .text("proc.pname", &parent)
                .text("proc.ppid", &parent_pid);
            json.int("proc.pid", main.pid).text("proc.name", &main.comm).text("function", function);
            json.end();
            return Ok(());
        }
        write_column(out, &time, 22);
        write_column(out, &parent, 22);
        write_column(out, &parent_pid, 8);
        out.extend_from_slice(&visible(function));
        out.push(b'\n');
        Ok(())
    }
}

/// The function that the value of a variable is: `() {…`, with or without the blank.
fn function_of(variable: &[u8]) -> Option<&[u8]> {
    if variable.starts_with(EXPORTED) {
        return None;
    }
    let value = &variable[variable.iter().position(|&b| b == b'=')? + 1..];
    let body = value.trim_ascii_start().strip_prefix(b"()")?;
    (body.trim_ascii_start().first() == Some(&b'{')).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_in_variables() {
        let attack = b"HTTP_USER_AGENT=() { :;}; /bin/cat /etc/passwd";
        assert_eq!(function_of(attack), Some(&b"() { :;}; /bin/cat /etc/passwd"[..]));
        assert_eq!(function_of(b"x=(){ x"), Some(&b"(){ x"[..]));
        for harmless in [&b"PATH=/bin"[..], b"x=()", b"x=f() {", b"BASH_FUNC_module%%=() { x; }", b"x", b""] {
            assert_eq!(function_of(harmless), None);
        }
    }
}
