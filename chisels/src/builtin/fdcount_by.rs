//! `fdcount_by`: how many different fds events were about, by any field.
//!
//! Fds are told apart by number and name. Fd 0 is left out, as in sysdig.

use crate::api::{ArgSpec, Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Fields, JsonLine, Memo};
use capture_engine::EventView;
use capture_engine::render::number::dec_u64;
use std::collections::{HashMap, HashSet};

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "fdcount_by",
    "I/O",
    "Number of fds, by any field",
    "Groups the fds that events are about by a field and shows how many there are for each value of it: \
     fdcount_by proc.name, fdcount_by fd.type, fdcount_by fd.sip.",
    &ARGS,
);

static ARGS: [ArgSpec; 1] =
    [ArgSpec::required("key", "string", "The field by which to group, as in proc.name")];

const KEY: usize = 0;
const NAME: usize = 1;

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct FdCountBy {
    key: String,
    fields: Fields,
    json: bool,
    /// Number and name of each fd.
    fds: HashMap<Vec<u8>, HashSet<(i64, Vec<u8>)>>,
    /// The number that was last counted for the same key and name.
    counted: Memo<i64>,
}

impl Chisel for FdCountBy {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, _: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        value.clone_into(&mut self.key);
        Ok(())
    }

    fn init(&mut self, settings: &Settings, _: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.json = settings.json;
        let fields = Fields::new(&[&self.key, "fd.name"], settings);
        self.fields =
            fields.map_err(|error| ChiselError::Format { name: META.name.to_string(), error: *error })?;
        self.counted = self.fields.memo(2);
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let Some(number) = event.fd_num().filter(|&number| number > 0) else { return Ok(()) };
        if self.counted.replace(event, number) == Some(number) {
            return Ok(());
        }
        let Some(name) = self.fields.text(NAME, event).filter(|name| !name.is_empty()) else { return Ok(()) };
        let Some(key) = self.fields.text(KEY, event) else { return Ok(()) };
        self.fds.entry(key).or_default().insert((number, name));
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.counted.clear();
        let mut rows: Vec<(Vec<u8>, usize)> = self.fds.drain().map(|(key, fds)| (key, fds.len())).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let out = &mut control.out;
        for (key, count) in &rows {
            if self.json {
                let mut json = JsonLine::begin(out);
                json.text(&self.key, key).uint("fds", *count as u64);
                json.end();
                continue;
            }
            out.extend_from_slice(key);
            out.push(b'\t');
            dec_u64(out, *count as u64);
            out.push(b'\n');
        }
        Ok(())
    }
}
