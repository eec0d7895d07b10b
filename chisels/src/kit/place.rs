//! [`Places`]: where a process runs, in one word: its pod, else its container, else `host`.

use super::fields::Fields;
use crate::api::Settings;
use capture_engine::EventView;

const POD: usize = 0;
const CONTAINER: usize = 1;
const CONTAINER_ID: usize = 2;
/// Outside of containers.
pub(crate) const HOST: &[u8] = b"host";

/// Finds the place of events.
#[derive(Debug, Default)]
pub(crate) struct Places(Fields);

impl Places {
    /// With the settings of the command line.
    pub(crate) fn new(settings: &Settings) -> Places {
        Places(
            Fields::new(&["k8s.pod.name", "container.name", "container.id"], settings)
                .expect("the fields exist"),
        )
    }

    /// The place; empty where the thread is not known.
    pub(crate) fn of(&mut self, event: &EventView<'_>) -> Vec<u8> {
        // Most threads are in no container, which is cheap to see.
        match event.thread() {
            None => return Vec::new(),
            Some(thread) if thread.container_id.is_empty() => return HOST.to_vec(),
            Some(_) => {}
        }
        let mut found = |at: usize| self.0.text(at, event).filter(|name| !name.is_empty());
        found(POD).or_else(|| found(CONTAINER)).or_else(|| found(CONTAINER_ID)).unwrap_or_default()
    }
}

/// `curl(4242) web-0`: the process and, where it is in a container, the place.
pub(crate) fn who(comm: &[u8], pid: i64, place: &[u8]) -> Vec<u8> {
    let mut who = comm.to_vec();
    who.extend_from_slice(format!("({pid})").as_bytes());
    if !place.is_empty() && place != HOST {
        who.push(b' ');
        who.extend_from_slice(place);
    }
    who
}
