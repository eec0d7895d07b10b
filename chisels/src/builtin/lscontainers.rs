//! `lscontainers`: the containers at the moment of the first event that passes the filter.

use crate::api::{ArgSpec, Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::JsonLine;
use crate::state::{ContainerRow, containers, visible};
use crate::text::write_column;
use capture_engine::EventView;
use std::io::Write;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "lscontainers",
    "System State",
    "Running containers",
    "Lists the containers with type, image, name and id, at the moment of the first event that passes the \
     filter; without one that is the beginning.",
    &ARGS,
);

static ARGS: [ArgSpec; 1] =
    [ArgSpec::optional("desc", "string", "Set to 'desc' to print the list as a data structure of Lua")];

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct LsContainers {
    as_structure: bool,
    json: bool,
}

impl Chisel for LsContainers {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        if value != "desc" {
            let (chisel, arg) = (META.name.to_string(), name.to_owned());
            return Err(ChiselError::RefusedArg { name: chisel, arg, value: value.to_owned() });
        }
        self.as_structure = true;
        Ok(())
    }

    fn init(&mut self, settings: &Settings, _: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.json = settings.json;
        Ok(None)
    }

    fn on_event(&mut self, _: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        control.end_capture();
        Ok(())
    }

    fn on_end(&mut self, end: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let rows = containers(end.machine);
        let out = &mut control.out;
        match (self.json, self.as_structure) {
            (true, _) => rows.iter().for_each(|row| write_json(row, out)),
            (false, true) => write_structure(&rows, out),
            (false, false) => write_table(&rows, out),
        }
        Ok(())
    }
}

fn write_json(row: &ContainerRow<'_>, out: &mut Vec<u8>) {
    let mut json = JsonLine::begin(out);
    json.text("container.type", row.kind.as_bytes()).text("container.image", row.image);
    json.text("container.name", row.name).text("container.id", row.id);
    json.end();
}

fn write_table(rows: &[ContainerRow<'_>], out: &mut Vec<u8>) {
    const WIDTHS: [usize; 4] = [15, 16, 20, 13];
    let mut line = |columns: [&[u8]; 4]| {
        columns.iter().zip(WIDTHS).for_each(|(text, width)| write_column(out, text, width));
        out.push(b'\n');
    };
    line([b"container.type", b"container.image", b"container.name", b"container.id"]);
    line([b"--------------------"; 4]);
    for row in rows {
        line([row.kind.as_bytes(), &visible(row.image), &visible(row.name), &visible(row.id)]);
    }
}

/// As sysdig's chisels print tables of Lua.
fn write_structure(rows: &[ContainerRow<'_>], out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = writeln!(out, "{{");
    for (at, row) in rows.iter().enumerate() {
        let _ = writeln!(out, " {} = {{", at + 1);
        let members =
            [("id", row.id), ("image", row.image), ("name", row.name), ("type", row.kind.as_bytes())];
        for (name, text) in members {
            let text = String::from_utf8_lossy(&visible(text)).replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(out, "  {name} = \"{text}\",");
        }
        let _ = writeln!(out, " }},");
    }
    let _ = writeln!(out, "}}");
}
