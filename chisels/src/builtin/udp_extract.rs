//! `udp_extract`: what is sent and received over UDP, one file for each socket name.

use crate::api::{Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::{Fields, bad_arg};
use capture_engine::EventView;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "udp_extract",
    "I/O",
    "UDP payloads as files",
    "Writes what is sent and received over UDP to files in the folder udp_dump_files of the current directory, one \
     for each pair of addresses. It reads captures only.",
    &[],
);

/// The folder, in the current directory.
const FOLDER: &str = "udp_dump_files";
/// Bytes of each buffer that are worth keeping for this chisel.
const SNAPLEN: u32 = 16_384;
const FILTER: &str = "evt.dir=< and evt.rawres>=0 and fd.l4proto=udp and evt.is_io=true";
/// Files that are open at a time.
const OPEN_MAX: usize = 256;

const FIELDS: &[&str] = &["evt.rawarg.data", "fd.name"];
const DATA: usize = 0;
const NAME: usize = 1;

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct UdpExtract {
    fields: Fields,
    /// By name of the socket; `None` for those that were closed to make room.
    files: HashMap<Vec<u8>, Option<File>>,
    open: usize,
}

impl Chisel for UdpExtract {
    fn meta(&self) -> &Meta {
        &META
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.fields = Fields::new(FIELDS, settings).expect("the fields exist");
        control.snaplen = Some(SNAPLEN);
        control.set_filter(&META.name, FILTER)?;
        Ok(None)
    }

    fn start(&mut self, input: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        if input.live {
            return Err(bad_arg(&META.name, "input", "it reads captures only; record one with -w first"));
        }
        std::fs::create_dir_all(FOLDER).map_err(|error| failed(Path::new(FOLDER), &error))
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        let Some(data) = self.fields.text(DATA, event) else { return Ok(()) };
        let name = self.fields.text_or_na(NAME, event);
        let path = Path::new(FOLDER).join(file_name(&name));
        let mut file = self.file(name, &path).map_err(|error| failed(&path, &error))?;
        file.write_all(&data).map_err(|error| failed(&path, &error))
    }

    fn on_end(&mut self, _: &End<'_>, _: &mut Control) -> Result<(), ChiselError> {
        self.files.clear();
        Ok(())
    }
}

impl UdpExtract {
    /// The file of a socket, begun anew the first time.
    fn file(&mut self, name: Vec<u8>, path: &PathBuf) -> std::io::Result<&File> {
        if self.open >= OPEN_MAX && !self.files.get(&name).is_some_and(Option::is_some) {
            self.files.values_mut().for_each(|file| *file = None);
            self.open = 0;
        }
        let is_known = self.files.contains_key(&name);
        let slot = self.files.entry(name).or_default();
        if slot.is_none() {
            let mut options = OpenOptions::new();
            options.create(true).write(true);
            *slot = Some(if is_known { options.append(true) } else { options.truncate(true) }.open(path)?);
            self.open += 1;
        }
        Ok(slot.as_ref().expect("it was opened"))
    }
}

/// A name of a file for the name of a socket: no colons, and nothing that leads elsewhere.
fn file_name(socket: &[u8]) -> String {
    let safe = |c: char| match c {
        ':' => '_',
        '>' => '-',
        c if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') => c,
        _ => '_',
    };
    let name: String = String::from_utf8_lossy(socket).chars().take(200).map(safe).collect();
    if name.chars().all(|c| c == '.') { "unnamed".to_owned() } else { name }
}

fn failed(path: &Path, error: &std::io::Error) -> ChiselError {
    bad_arg(&META.name, "output", format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stay_in_the_folder() {
        assert_eq!(file_name(b"10.0.0.1:53->10.0.0.2:4000"), "10.0.0.1_53--10.0.0.2_4000");
        assert_eq!(file_name(b"../../etc/passwd"), ".._.._etc_passwd");
        assert_eq!(file_name(b".."), "unnamed");
        assert_eq!(file_name(b""), "unnamed");
        assert_eq!(file_name("ü\0".as_bytes()), "__");
    }
}
