//! Keeping secrets out of what is printed and written.
//!
//! `secrets` knows what a secret looks like: by the name of a variable, option, header or label, or by
//! the form of a value. The environment in container metadata is always passed through it. With
//! `--redact` all metadata of containers, and arguments and environment of processes, are, too
//! ([`Redactor`]), before anything else sees them: state, filters, lines and files know the redacted text
//! only. What processes read and write (buffers of calls) is not looked at.

mod command_line;
mod record;
pub(crate) mod secrets;

use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::raw_event::RawEvent;
use capture_common::{Batch, EventCode, EventInfo, Snapshot};
use secrets::Secrets;

/// Where events of one type hold what processes were given.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    args: Option<u8>,
    env: Option<u8>,
}

/// Takes secrets out of events and snapshots.
#[derive(Debug)]
pub struct Redactor {
    secrets: Secrets,
    /// By event code.
    places: Vec<Places>,
    /// Events, threads and records that were changed.
    changed: u64,
    out: Batch,
}

impl Redactor {
    /// By the default patterns and these: names, separated by commas, in which `*` stands for any text.
    pub fn new(patterns: &str) -> Redactor {
        let place = |event: &EventInfo, name: &str| {
            let at = event.params.iter().position(|param| param.name == name)?;
            u8::try_from(at).ok()
        };
        // Events that start a program or a thread of one: these have all three.
        let starts =
            |event: &EventInfo| ["exe", "args", "cwd"].iter().all(|name| place(event, name).is_some());
        let of_event = |event: &EventInfo| match starts(event) {
            true => Places { args: place(event, "args"), env: place(event, "env") },
            false => Places::default(),
        };
        Redactor {
            secrets: Secrets::with_patterns(patterns),
            places: (0..).map_while(|code| EventCode(code).info()).map(of_event).collect(),
            changed: 0,
            out: Batch::new(),
        }
    }

    /// How many events, threads and records held secrets.
    pub fn changed(&self) -> u64 {
        self.changed
    }

    /// Takes secrets out of a section's processes.
    pub fn snapshot(&mut self, snapshot: &mut Snapshot) {
        for thread in &mut snapshot.threads {
            let args = command_line::args(&thread.args, &self.secrets);
            let env = command_line::env(&thread.env, &self.secrets);
            self.changed += u64::from(args.is_some() || env.is_some());
            thread.args = args.unwrap_or_else(|| std::mem::take(&mut thread.args));
            thread.env = env.unwrap_or_else(|| std::mem::take(&mut thread.env));
        }
    }

    /// Takes secrets out of events; one that holds none is not touched.
    pub fn batch(&mut self, batch: &mut Batch) {
        let may_hold = |raw: &RawEvent<'_>| self.is_record(raw) || self.places_of(raw).args.is_some();
        if !batch.iter().any(|raw| may_hold(&raw)) {
            return;
        }
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        for (at, entry) in batch.refs().iter().enumerate() {
            let changed = batch.get(at).and_then(|raw| self.redacted(&raw, &mut out));
            match (changed, batch.block(at)) {
                (Some(()), _) => self.changed += 1,
                (None, Some(block)) => out.push_block(block, *entry),
                (None, None) => {}
            }
        }
        self.out = std::mem::replace(batch, out);
    }

    fn is_record(&self, raw: &RawEvent<'_>) -> bool {
        [code::CONTAINER_JSON_E, code::CONTAINER_JSON_2_E].contains(&raw.code)
    }

    fn places_of(&self, raw: &RawEvent<'_>) -> Places {
        self.places.get(usize::from(raw.code.0)).copied().unwrap_or_default()
    }

    /// Appends the event without its secrets, if it has any.
    fn redacted(&self, raw: &RawEvent<'_>, out: &mut Batch) -> Option<()> {
        if self.is_record(raw) {
            let json = record::redacted(raw.text(0)?, &self.secrets)?;
            copy_with(raw, out, |at| (at == 0).then(|| [&json[..], b"\0"].concat()));
            return Some(());
        }
        let places = self.places_of(raw);
        let param = |place: Option<u8>| place.and_then(|at| raw.param(usize::from(at)));
        let args = param(places.args).and_then(|args| command_line::args(args, &self.secrets));
        let env = param(places.env).and_then(|env| command_line::env(env, &self.secrets));
        if args.is_none() && env.is_none() {
            return None;
        }
        let is_at = |place: Option<u8>, at: usize| place.is_some_and(|place| usize::from(place) == at);
        copy_with(raw, out, |at| match () {
            () if is_at(places.args, at) => args.clone(),
            () if is_at(places.env, at) => env.clone(),
            () => None,
        });
        Some(())
    }
}

/// Appends an event with some parameters replaced; its lengths are those of what it holds then.
fn copy_with(raw: &RawEvent<'_>, out: &mut Batch, replacement: impl Fn(usize) -> Option<Vec<u8>>) {
    let head = EventHead { ts_ns: raw.ts_ns, tid: raw.tid, cpu: raw.cpu, code: raw.code, flags: raw.flags };
    let mut event = out.encode(head, raw.nparams());
    for (at, param) in raw.params().enumerate() {
        match replacement(at) {
            Some(other) => event.bytes(&other),
            None => event.bytes(param),
        };
    }
    event.finish();
}

#[cfg(test)]
mod tests;
