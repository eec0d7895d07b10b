//! [`Classes`]: the classes of threads in the probe's map THREADS, as the collector's side keeps them.
//!
//! A class is found out by whoever has the state of the machine, from the events up to some time. It is
//! entered only if the thread has not changed since, which the probe notes in the thread's place
//! (`capture_common::abi::ThreadSlot`): then it is right until the probe notes the next change.
//!
//! Invariant: nothing here makes a class hold that was found before the thread's last change.

use super::error::LiveError;
use super::load::{map_error, missing};
use super::mapping::Mapping;
use aya::maps::{HashMap, Map, MapData};
use capture_common::abi::{CHANGING, CLASS_MASK, KEYS_MAX, ThreadSlot, filter_word};
use capture_engine::kernel_filter::Needs;
use std::collections::HashSet;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

const KEYS: &str = "KEYS";
/// `TASK_COMM_LEN`.
const NAME_LEN: usize = 16;

/// What decides a thread's class where name and user do; see the probe's `Key`.
type Key = [u8; NAME_LEN + 8];

/// A thread's class, and its key where keys decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class<'a> {
    /// The class.
    pub class: u8,
    /// Name and effective user.
    pub key: Option<(&'a [u8], u32)>,
}

/// The classes of threads.
pub struct Classes {
    threads: Mapping,
    words: Mapping,
    keys: HashMap<MapData, Key, u64>,
    known_keys: HashSet<Key>,
    needs: Needs,
    places: u32,
    /// Places that were given a class since all were taken back.
    given: Vec<u32>,
}

impl std::fmt::Debug for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classes").field("needs", &self.needs).field("keys", &self.known_keys.len()).finish()
    }
}

impl Classes {
    pub(super) fn new(
        [threads, words, keys]: [Map; 3],
        places: u32,
        needs: Needs,
    ) -> Result<Classes, LiveError> {
        let page = 4096;
        let words_len = (filter_word::COUNT as usize * 8).next_multiple_of(page);
        let threads_len = (places as usize * ThreadSlot::LEN_BYTES).next_multiple_of(page);
        let mapping = |map: Map, name, len| match map {
            Map::Array(map) => Mapping::new(map.fd().as_fd(), len, "mapping the probe's classes of threads"),
            _ => Err(missing(name)),
        };
        Ok(Classes {
            threads: mapping(threads, "array THREADS", threads_len)?,
            words: mapping(words, "array FILTER_WORDS", words_len)?,
            keys: HashMap::try_from(keys).map_err(|_| missing("hash map KEYS"))?,
            known_keys: HashSet::new(),
            needs,
            places,
            given: Vec::new(),
        })
    }

    /// Enters the classes of threads that have none. `class_of` answers by the state of the machine
    /// after all records up to `until_ns` (CLOCK_MONOTONIC); `None` where that does not tell.
    ///
    /// # Errors
    /// When the probe's map refuses a key.
    pub fn enter<'a>(
        &mut self,
        tids: impl Iterator<Item = i64>,
        until_ns: u64,
        mut class_of: impl FnMut(i64) -> Option<Class<'a>>,
    ) -> Result<(), LiveError> {
        if (self.needs.ancestors || self.needs.containers) && !self.settle(until_ns) {
            return Ok(());
        }
        let mut last = 0;
        for tid in tids.filter(|tid| *tid > 0) {
            // Threads come in rows of events.
            if tid != last {
                self.one(tid, until_ns, &mut class_of)?;
            }
            last = tid;
        }
        Ok(())
    }

    fn one<'a>(
        &mut self,
        tid: i64,
        until_ns: u64,
        class_of: &mut impl FnMut(i64) -> Option<Class<'a>>,
    ) -> Result<(), LiveError> {
        let id = tid as u64;
        let place = id as u32 & (self.places - 1);
        let word = |field: usize| self.threads.word(place as usize * ThreadSlot::LEN_BYTES + field);
        let (owner, changed) = (word(offset_of!(ThreadSlot, owner)), word(offset_of!(ThreadSlot, changed)));
        let verdict = word(offset_of!(ThreadSlot, verdict));
        if owner.load(Ordering::SeqCst) != id {
            return Ok(());
        }
        let since = changed.load(Ordering::SeqCst);
        if since > until_ns || verdict.load(Ordering::SeqCst) & !CLASS_MASK == since {
            return Ok(());
        }
        let Some(Class { class, key }) = class_of(tid) else { return Ok(()) };
        verdict.store(since | (u64::from(class) & CLASS_MASK), Ordering::SeqCst);
        self.given.push(place);
        self.know(key, class)
    }

    /// Takes a thread's class back.
    pub fn forget(&mut self, tid: i64) {
        let place = tid as u64 as u32 & (self.places - 1);
        let word = |field: usize| self.threads.word(place as usize * ThreadSlot::LEN_BYTES + field);
        if word(offset_of!(ThreadSlot, owner)).load(Ordering::SeqCst) == tid as u64 {
            word(offset_of!(ThreadSlot, verdict)).store(0, Ordering::SeqCst);
        }
    }

    /// Enters the classes of names and users that threads have now.
    ///
    /// # Errors
    /// When the probe's map refuses a key.
    pub fn learn<'a>(&mut self, classes: impl Iterator<Item = Class<'a>>) -> Result<(), LiveError> {
        if !self.needs.keys_only {
            return Ok(());
        }
        let mut classes = classes;
        classes.try_for_each(|Class { class, key }| self.know(key, class))
    }

    /// Whether the classes that were entered hold, or none is left that might not.
    fn settle(&mut self, until_ns: u64) -> bool {
        let word = |at: u32| self.words.word(at as usize * 8);
        let changed = word(filter_word::CHANGED).load(Ordering::SeqCst);
        if word(filter_word::SETTLED).load(Ordering::SeqCst) == changed {
            return true;
        }
        if changed == CHANGING || changed > until_ns {
            return false;
        }
        for place in self.given.drain(..) {
            let at = place as usize * ThreadSlot::LEN_BYTES + offset_of!(ThreadSlot, verdict);
            self.threads.word(at).store(0, Ordering::SeqCst);
        }
        word(filter_word::SETTLED).store(changed, Ordering::SeqCst);
        true
    }

    /// Takes all classes back, those that the probe entered itself, too: threads may have changed without
    /// the probe having run.
    pub fn take_back(&mut self) {
        self.given.clear();
        for place in 0..self.places as usize {
            let at = place * ThreadSlot::LEN_BYTES + offset_of!(ThreadSlot, verdict);
            self.threads.word(at).store(0, Ordering::SeqCst);
        }
    }

    fn know(&mut self, key: Option<(&[u8], u32)>, class: u8) -> Result<(), LiveError> {
        let Some((name, uid)) = key else { return Ok(()) };
        let mut key: Key = [0; NAME_LEN + 8];
        // A longer name is no thread's own.
        if name.len() >= NAME_LEN || self.known_keys.len() >= KEYS_MAX as usize {
            return Ok(());
        }
        key[..name.len()].copy_from_slice(name);
        key[NAME_LEN..].copy_from_slice(&u64::from(uid).to_ne_bytes());
        if self.known_keys.insert(key) {
            self.keys.insert(key, u64::from(class), 0).map_err(|e| map_error(KEYS, e))?;
        }
        Ok(())
    }
}
