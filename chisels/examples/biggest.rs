//! A chisel of one's own in a program of one's own: the largest single reads and writes of a capture.
//! docs/write-a-chisel.md explains it.
//!
//! `cargo run -p chisels --example biggest -- FILE [COUNT]`

use capture_common::{Batch, Next};
use capture_engine::format::{FormatOptions, Formatter};
use capture_engine::{Engine, EventView, Options};
use capture_file::Reader;
use chisels::{
    ArgSpec, ArgValues, Chisel, ChiselError, Control, End, Handover, Input, Meta, Runner, Settings,
};
use std::error::Error;
use std::io::Write;

static META: Meta = Meta::new(
    "biggest",
    "I/O",
    "Largest single reads and writes",
    "The reads and writes that moved most bytes at once, largest first: bytes, direction, process and fd.",
    &ARGS,
);

static ARGS: [ArgSpec; 1] = [ArgSpec::optional("count", "int", "Calls that are shown, 10 unless given")];

/// The chisel.
#[derive(Debug)]
struct Biggest {
    count: usize,
    line: Formatter,
    /// Bytes and line of each call, largest first.
    calls: Vec<(i64, Vec<u8>)>,
}

impl Biggest {
    fn new() -> Result<Biggest, Box<dyn Error>> {
        let line = Formatter::new("%evt.io_dir %proc.name %fd.name", FormatOptions::default())?;
        Ok(Biggest { count: 10, line, calls: Vec::new() })
    }
}

impl Chisel for Biggest {
    fn meta(&self) -> &Meta {
        &META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        let wrong = |_| ChiselError::BadArg {
            name: META.name.to_string(),
            arg: name.to_owned(),
            reason: format!("{value:?} is no number above 0"),
        };
        self.count = value.parse().map(std::num::NonZeroUsize::get).map_err(wrong)?;
        Ok(())
    }

    fn init(&mut self, _: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        control.set_filter(&META.name, "evt.is_io=true and evt.dir=< and fd.name exists")?;
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        // The first parameter of an exit is the call's result.
        let Some(bytes) = event.raw.int(0).filter(|&bytes| bytes > 0) else { return Ok(()) };
        let at = self.calls.partition_point(|call| call.0 >= bytes);
        if at < self.count {
            let mut line = Vec::new();
            self.line.write(event, &mut line);
            self.calls.insert(at, (bytes, line));
            self.calls.truncate(self.count);
        }
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        for (bytes, line) in self.calls.drain(..) {
            control.out.extend_from_slice(bytes.to_string().as_bytes());
            control.out.push(b' ');
            control.out.extend_from_slice(&line);
        }
        Ok(())
    }
}

/// Runs the chisel over a capture; the answer is what it prints.
pub(crate) fn run(file: &str, argument: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut out = Vec::new();
    let mut chisel = Box::new(Biggest::new()?);
    let values = ArgValues::split(&META, argument)?;
    values.check(&META)?;
    values.assign(chisel.as_mut(), &mut Control::default())?;
    let mut runner = Runner::new(chisel, &Settings::default(), &mut out)?;
    let mut reader = Reader::open(file)?;
    let (mut engine, mut batch) = (Engine::new(Options::default()), Batch::new());
    loop {
        match reader.next_piece(&mut batch)? {
            Next::Section(snapshot) => {
                engine.begin_section(&snapshot);
                let input = Input { live: false, name: file, machine: engine.machine() };
                runner.start(&input, &mut out)?;
            }
            Next::Events => {
                for raw in batch.iter() {
                    let view = engine.see(raw);
                    // A command line's filter would be asked here, too.
                    let matched = !raw.is_state_only();
                    runner.event(&view, matched, &mut out)?;
                }
            }
            Next::Idle => {}
            Next::End => break,
        }
    }
    runner.end(None, engine.machine(), &mut out)?;
    Ok(out)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (file, argument) = match &args[..] {
        [file] => (file, ""),
        [file, count] => (file, &count[..]),
        _ => return Err("usage: biggest FILE [COUNT]".into()),
    };
    std::io::stdout().write_all(&run(file, argument)?)?;
    Ok(())
}
