//! `list_login_shells`: the sessions of people, each by the id of its topmost shell.
//!
//! sysdig's version prints the last one three times; this one prints each once, in order of their ids.

use crate::api::{ArgSpec, Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Fields, JsonLine};
use capture_engine::EventView;
use capture_engine::render::number::dec_i64;
use std::collections::BTreeMap;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "list_login_shells",
    "Security",
    "Ids of login shells",
    "Lists the ids of the topmost shells of all processes that were started, or of those in which a command \
     was run that the arguments describe. With -pc or -pk the container follows. The ids are those that \
     spy_users shows and proc.loginshellid matches.",
    &ARGS,
);

static ARGS: [ArgSpec; 2] = [
    ArgSpec::optional("command", "string", "Text in the name of a command; * for any"),
    ArgSpec::optional("arguments", "string", "Text in the arguments of a command"),
];

const FIELDS: &[&str] =
    &["proc.loginshellid", "evt.arg.exe", "evt.arg.args", "container.name", "container.id"];
const SHELL: usize = 0;
const EXE: usize = 1;
const COMMAND_ARGS: usize = 2;
const CONTAINER_NAME: usize = 3;
const CONTAINER_ID: usize = 4;

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct ListLoginShells {
    command: String,
    arguments: String,
    fields: Fields,
    container_data: bool,
    json: bool,
    /// Name and id of the container of each.
    shells: BTreeMap<i64, [Vec<u8>; 2]>,
}

impl Chisel for ListLoginShells {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        match (name, value) {
            ("command", "*") => {}
            ("command", _) => value.clone_into(&mut self.command),
            _ => value.clone_into(&mut self.arguments),
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.container_data = settings.container_data;
        self.json = settings.json;
        control.set_filter(&META.name, "evt.type=execve")?;
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let Some(shell) = self.fields.number(SHELL, event) else { return Ok(()) };
        let Some(exe) = self.fields.text(EXE, event) else { return Ok(()) };
        let lacks = |text: &[u8], part: &str| {
            !part.is_empty() && !text.windows(part.len()).any(|window| window == part.as_bytes())
        };
        if lacks(&exe, &self.command) {
            return Ok(());
        }
        if self.fields.text(COMMAND_ARGS, event).is_some_and(|args| lacks(&args, &self.arguments)) {
            return Ok(());
        }
        let container = [CONTAINER_NAME, CONTAINER_ID].map(|at| self.fields.text_or_na(at, event));
        self.shells.insert(shell as i64, container);
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let out = &mut control.out;
        if !self.json {
            match &self.command[..] {
                "" => out.extend_from_slice(b"All shells:\n"),
                command => out.extend_from_slice(format!("Shells containing {command}:\n").as_bytes()),
            }
        }
        for (shell, [name, id]) in std::mem::take(&mut self.shells) {
            if self.json {
                let mut json = JsonLine::begin(out);
                json.int("proc.loginshellid", shell).text("container.name", &name).text("container.id", &id);
                json.end();
                continue;
            }
            dec_i64(out, shell);
            if self.container_data {
                for text in [name, id] {
                    out.push(b' ');
                    out.extend_from_slice(&text);
                }
            }
            out.push(b'\n');
        }
        Ok(())
    }
}
