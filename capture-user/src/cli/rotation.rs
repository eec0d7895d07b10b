//! `-C`, `-G`, `-e` and `-W`: when a new file begins, and how it is called.

use super::args::RawArgs;
use super::error::CliError;
use super::plan::positive;
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use std::collections::VecDeque;

const NS_PER_S: u64 = 1_000_000_000;

/// When to begin a new file.
#[derive(Debug, Clone)]
pub struct Rotation {
    path: String,
    /// Bytes of the file.
    bytes: Option<u64>,
    /// Seconds of event time.
    seconds: Option<u64>,
    /// Events.
    events: Option<u64>,
    /// Files that are kept.
    keep: Option<u64>,
}

impl Rotation {
    /// The rotation that the options ask for.
    pub(super) fn new(args: &RawArgs, path: &str) -> Result<Option<Rotation>, CliError> {
        let rotation = Self::check(args)?;
        if !Self::is_asked(args) {
            return Ok(None);
        }
        if path == "-" {
            return Err(CliError::usage("-C, -G and -e cannot begin a new standard output: -w needs a name"));
        }
        let rotation = Rotation { path: path.to_owned(), ..rotation };
        // A name that no time can be put into is said now, not in the middle of the capture.
        rotation.name(0, 0)?;
        Ok(Some(rotation))
    }

    /// Whether files are to be rotated.
    pub(super) fn is_asked(args: &RawArgs) -> bool {
        args.file_size.is_some() || args.file_seconds.is_some() || args.file_events.is_some()
    }

    /// The numbers, which are checked even where nothing is written.
    pub(super) fn check(args: &RawArgs) -> Result<Rotation, CliError> {
        let number = |option, what: &str, text: &Option<String>| {
            text.as_deref().map(|text| positive(option, what, text)).transpose()
        };
        Ok(Rotation {
            path: String::new(),
            bytes: number("-C", "a number of millions of bytes", &args.file_size)?
                .map(|n| n.saturating_mul(1_000_000)),
            seconds: number("-G", "a number of seconds", &args.file_seconds)?,
            events: number("-e", "a number of events", &args.file_events)?,
            keep: number("-W", "a number of files", &args.file_limit)?,
        })
    }

    /// Name of a file: `index` counts from 0, `ts_ns` is the time of its first event.
    fn name(&self, index: u64, ts_ns: u64) -> Result<String, CliError> {
        if self.is_by_time() {
            return time_name(&self.path, ts_ns).map_err(|error| {
                CliError::value("-w", &self.path, format!("a name for strftime(3), which says: {error}"))
            });
        }
        let (index, width) = match self.keep {
            Some(keep) => (index % keep, keep.to_string().len()),
            None => (index, 1),
        };
        Ok(format!("{}{index:0width$}", self.path))
    }

    fn is_by_time(&self) -> bool {
        self.seconds.is_some() && self.path.contains('%')
    }
}

fn time_name(path: &str, ts_ns: u64) -> Result<String, jiff::Error> {
    let at = Timestamp::from_nanosecond(i128::from(ts_ns))?.to_zoned(TimeZone::system());
    strtime::format(path, &at)
}

/// Where a rotation stands.
#[derive(Debug)]
pub(crate) struct Turn {
    rotation: Rotation,
    index: u64,
    /// Events since the last turn that they brought.
    events: u64,
    /// Second in which the file's time began.
    began_s: Option<u64>,
    /// Files whose names are not their numbers, oldest first.
    past: VecDeque<String>,
}

impl Turn {
    /// Before the first event.
    pub(crate) fn new(rotation: Rotation) -> Turn {
        Turn { rotation, index: 0, events: 0, began_s: None, past: VecDeque::new() }
    }

    /// Whether the size of the files matters.
    pub(crate) fn by_size(&self) -> bool {
        self.rotation.bytes.is_some()
    }

    /// Name of the first file, whose first event has this time.
    pub(crate) fn first(&mut self, ts_ns: u64) -> Result<String, CliError> {
        self.began_s = Some(ts_ns / NS_PER_S);
        let name = self.rotation.name(0, ts_ns)?;
        self.past.push_back(name.clone());
        Ok(name)
    }

    /// Counts an event that is about to be written; whether it begins a new file. `file_bytes` is
    /// the size of the present one. As in sysdig an event limit counts the event that breaks it:
    /// the first file has one event less than the others.
    pub(crate) fn is_due(&mut self, ts_ns: u64, file_bytes: u64) -> bool {
        let now_s = ts_ns / NS_PER_S;
        let began_s = *self.began_s.get_or_insert(now_s);
        self.events += 1;
        let mut due = self.rotation.bytes.is_some_and(|limit| file_bytes > limit);
        if self.rotation.events.is_some_and(|limit| self.events >= limit) {
            self.events = 0;
            due = true;
        }
        if self.rotation.seconds.is_some_and(|limit| now_s.saturating_sub(began_s) >= limit) {
            self.began_s = Some(now_s);
            due = true;
        }
        due
    }

    /// Name of the next file, and one that is to be deleted for it.
    pub(crate) fn next(&mut self, ts_ns: u64) -> Result<(String, Option<String>), CliError> {
        self.index += 1;
        let name = self.rotation.name(self.index, ts_ns)?;
        let mut oldest = None;
        if self.rotation.is_by_time()
            && let Some(keep) = self.rotation.keep
        {
            self.past.push_back(name.clone());
            if self.past.len() as u64 > keep {
                oldest = self.past.pop_front().filter(|old| *old != name);
            }
        }
        Ok((name, oldest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(path: &str) -> Rotation {
        Rotation { path: path.into(), bytes: None, seconds: None, events: None, keep: None }
    }

    #[test]
    fn names_as_sysdig_gives_them() {
        let plain = rotation("cap");
        assert_eq!(plain.name(0, 0).unwrap(), "cap0");
        assert_eq!(plain.name(12, 0).unwrap(), "cap12");
        let ring = Rotation { keep: Some(10), ..rotation("cap") };
        assert_eq!(ring.name(1, 0).unwrap(), "cap01");
        assert_eq!(ring.name(10, 0).unwrap(), "cap00");
        let timed = Rotation { seconds: Some(3), ..rotation("c_%S.scap") };
        assert_eq!(timed.name(1, 44 * NS_PER_S).unwrap(), "c_44.scap");
        let literal = Rotation { events: Some(3), ..rotation("50%") };
        assert_eq!(literal.name(0, 0).unwrap(), "50%0");
        assert!(Rotation { seconds: Some(3), ..rotation("c%") }.name(0, 0).is_err());
    }

    #[test]
    fn the_first_file_has_one_event_less() {
        let mut turn = Turn::new(Rotation { events: Some(3), ..rotation("c") });
        turn.first(0).unwrap();
        let due: Vec<bool> = (0..8).map(|_| turn.is_due(0, 0)).collect();
        assert_eq!(due, [false, false, true, false, false, true, false, false]);
    }

    #[test]
    fn slices_of_time_begin_with_whole_seconds_of_events() {
        let mut turn = Turn::new(Rotation { seconds: Some(3), keep: Some(2), ..rotation("c%S") });
        turn.first(44_999_999_999).unwrap();
        assert!(!turn.is_due(46_999_999_999, 0));
        assert!(turn.is_due(47_000_000_000, 0));
        assert_eq!(turn.next(47_000_000_000).unwrap(), ("c47".into(), None));
        assert!(!turn.is_due(49_999_999_999, 0));
        assert!(turn.is_due(50_000_000_000, 0));
        assert_eq!(turn.next(50_000_000_000).unwrap(), ("c50".into(), Some("c44".into())));
    }
}
