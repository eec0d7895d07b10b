//! `proc_exec_time`: processes that ended, and how long they ran.

use crate::api::{ArgSpec, Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Colours, Fields, colours, json_lines};
use crate::text::{write_duration, write_exactly};
use capture_engine::EventView;
use capture_engine::format::Formatter;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "proc_exec_time",
    "Performance",
    "How long processes ran",
    "The processes that ended, with how long they ran: red from 10 seconds on, yellow from 3 seconds on, else \
     green on the host and blue in containers. With -pc or -pk lines name the container. Processes that ran \
     before the capture began are left out.",
    &ARGS,
);

static ARGS: [ArgSpec; 1] =
    [ArgSpec::optional("disable_color", "string", "Set to 'disable_color' to print without colours")];

const YELLOW_NS: f64 = 3e9;
const RED_NS: f64 = 10e9;

const FIELDS: &[&str] = &["proc.duration", "container.id", "container.name", "proc.name", "proc.args"];
const DURATION: usize = 0;
const CONTAINER_ID: usize = 1;
const CONTAINER_NAME: usize = 2;
const PROCESS: usize = 3;
const PROCESS_ARGS: usize = 4;
const JSON: &[&str] = &[
    "evt.rawtime",
    "proc.duration",
    "container.id",
    "container.name",
    "proc.name",
    "proc.pid",
    "proc.args",
    "evt.arg.status",
];

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct ProcExecTime {
    colours: Colours,
    fields: Fields,
    container_data: bool,
    json: Option<Formatter>,
}

impl Chisel for ProcExecTime {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, _: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        if colours::disables(value) {
            self.colours = Colours::OFF;
        }
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        self.container_data = settings.container_data;
        self.json = json_lines(JSON, settings);
        control.set_filter(&META.name, "evt.type=procexit")?;
        if self.json.is_none() {
            const DASHES: &[u8] = b"--------------------";
            let headings =
                [&b"proc.duration"[..], b"container.id", b"container.name", b"proc.name", b"proc.args"];
            self.line("", headings, &mut control.out);
            self.line("", [DASHES; 5], &mut control.out);
        }
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(duration_ns) = self.fields.number(DURATION, event) else { return Ok(()) };
        if let Some(json) = &mut self.json {
            json.write(event, &mut control.out);
            return Ok(());
        }
        let mut text = |at: usize| self.fields.text_or_na(at, event);
        let container = text(CONTAINER_NAME);
        let colour = match duration_ns {
            _ if duration_ns > RED_NS => self.colours.red,
            _ if duration_ns > YELLOW_NS => self.colours.yellow,
            _ if container != b"host" => self.colours.blue,
            _ => self.colours.green,
        };
        let mut duration = Vec::new();
        write_duration(&mut duration, duration_ns as u64);
        let (id, name, args) = (text(CONTAINER_ID), text(PROCESS), text(PROCESS_ARGS));
        self.line(colour, [&duration, &id, &container, &name, &args], &mut control.out);
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if self.json.is_none() {
            self.colours.finish(&mut control.out);
        }
        Ok(())
    }
}

impl ProcExecTime {
    fn line(&self, colour: &str, [duration, id, container, name, args]: [&[u8]; 5], out: &mut Vec<u8>) {
        out.extend_from_slice(colour.as_bytes());
        let mut column = |text: &[u8], width: usize| {
            write_exactly(out, text, width);
            out.push(b' ');
        };
        column(duration, 13);
        if self.container_data {
            column(id, 20);
            column(container, 20);
        }
        column(name, 12);
        out.extend_from_slice(args);
        out.push(b'\n');
    }
}
