//! What is left out of metadata, so that neither records nor memory depend on what engines say: [`Cut`]
//! makes records of a size that files and readers bear, [`Metadata::trim`] bounds what is kept until then.
//!
//! Invariant: what is left out is counted. Secrets are found in whole values, before any text is cut.

use super::{Metadata, Mount, mount};
use crate::redact::secrets::Secrets;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most bytes of labels and of the environment that a record keeps, each.
const LIST_MAX: usize = 64 << 10;
/// Most bytes of one text.
const TEXT_MAX: usize = 8 << 10;
/// Most mounts, ports and words of a command that a record keeps, each.
pub(super) const ITEMS_MAX: usize = 256;
/// Most bytes of a list that are kept for records to choose from. More than the longest value of an
/// environment (MAX_ARG_STRLEN of Linux), so that a real one is whole when it is searched for secrets.
const KEPT_MAX: usize = 256 << 10;
/// What an item of a list takes beside its text.
const ITEM_BYTES: usize = 64;

/// Keeps records of a size that files and readers bear, and counts what does not fit.
#[derive(Clone, Copy, Default)]
pub(super) struct Cut {
    pub(super) count: u32,
    pub(super) redacted: u32,
}

impl Cut {
    pub(super) fn text<'a>(&mut self, text: &'a str) -> &'a str {
        if text.len() <= TEXT_MAX {
            return text;
        }
        self.count += 1;
        &text[..end_within(text, TEXT_MAX)]
    }

    pub(super) fn words(&mut self, words: &[String]) -> Value {
        let mut len = 0;
        let mut kept = Vec::new();
        for (i, word) in words.iter().enumerate() {
            let word = self.text(word);
            len += word.len();
            if i == ITEMS_MAX || len > LIST_MAX {
                self.count += (words.len() - i) as u32;
                break;
            }
            kept.push(word.into());
        }
        Value::Array(kept)
    }

    pub(super) fn mounts(&mut self, mounts: &[Mount]) -> Vec<Value> {
        let mut len = 0;
        let mut kept = Vec::new();
        for (i, one) in mounts.iter().enumerate() {
            len += mount_len(one);
            if i == ITEMS_MAX || len > LIST_MAX {
                self.count += (mounts.len() - i) as u32;
                break;
            }
            kept.push(mount(one));
        }
        kept
    }

    pub(super) fn labels(&mut self, labels: &BTreeMap<String, String>) -> Map<String, Value> {
        let mut len = 0;
        let mut kept = Map::new();
        for (name, value) in labels {
            let value = self.text(value);
            len += name.len() + value.len();
            if len > LIST_MAX || name.len() > TEXT_MAX {
                self.count += 1;
                continue;
            }
            kept.insert(name.clone(), value.into());
        }
        kept
    }

    pub(super) fn env(&mut self, env: &[String]) -> Vec<Value> {
        let secrets = Secrets::default();
        let mut len = 0;
        let mut kept = Vec::new();
        for entry in env {
            let entry = match secrets.entry(entry) {
                Some(redacted) => {
                    self.redacted += 1;
                    redacted
                }
                None => self.text(entry).to_owned(),
            };
            len += entry.len();
            if len > LIST_MAX {
                self.count += 1;
                continue;
            }
            kept.push(entry.into());
        }
        kept
    }
}

/// Where a text ends that may have so many bytes.
fn end_within(text: &str, max: usize) -> usize {
    (0..=max.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

impl Metadata {
    /// What it takes in memory, roughly.
    pub(crate) fn cost_bytes(&self) -> usize {
        let lists = [&self.env, &self.healthcheck, &self.command];
        size_of::<Metadata>()
            + self.texts().iter().map(|text| text.len()).sum::<usize>()
            + lists.iter().flat_map(|list| list.iter()).map(|word| word_cost(word)).sum::<usize>()
            + self.mounts.iter().map(mount_cost).sum::<usize>()
            + self.ports.len() * ITEM_BYTES
            + labels_cost(&self.labels)
            + self.pod.as_ref().map_or(0, |pod| {
                let texts = [&pod.sandbox_id, &pod.name, &pod.namespace, &pod.uid, &pod.ip];
                texts.iter().map(|text| text.len()).sum::<usize>() + labels_cost(&pod.labels)
            })
    }

    fn texts(&self) -> [&String; 6] {
        [&self.full_id, &self.name, &self.image, &self.image_id, &self.image_digest, &self.ip]
    }

    /// Leaves out what no record has room for. Nothing of a real container.
    pub(crate) fn trim(&mut self) {
        if self.cost_bytes() <= KEPT_MAX {
            return;
        }
        let mut cut = 0;
        let mut texts = vec![
            &mut self.full_id,
            &mut self.name,
            &mut self.image,
            &mut self.image_id,
            &mut self.image_digest,
            &mut self.ip,
        ];
        texts.extend(&mut self.user);
        if let Some(pod) = &mut self.pod {
            texts.extend([&mut pod.sandbox_id, &mut pod.name, &mut pod.namespace, &mut pod.uid, &mut pod.ip]);
            cut += trim_labels(&mut pod.labels);
        }
        for text in texts.into_iter().filter(|text| text.len() > TEXT_MAX) {
            text.truncate(end_within(text, TEXT_MAX));
            text.shrink_to_fit();
            cut += 1;
        }
        cut += trim_labels(&mut self.labels);
        for list in [&mut self.env, &mut self.healthcheck, &mut self.command] {
            cut += trim_list(list, |word| word_cost(word));
        }
        cut += trim_list(&mut self.mounts, mount_cost) + trim_list(&mut self.ports, |_| ITEM_BYTES);
        self.cut = self.cut.saturating_add(cut);
    }
}

fn word_cost(word: &str) -> usize {
    ITEM_BYTES + word.len()
}

/// Length of a mount's texts.
fn mount_len(mount: &Mount) -> usize {
    mount.source.len() + mount.destination.len() + mount.mode.len() + mount.propagation.len()
}

fn mount_cost(mount: &Mount) -> usize {
    4 * ITEM_BYTES + mount_len(mount)
}

fn labels_cost(labels: &BTreeMap<String, String>) -> usize {
    labels.iter().map(|(name, value)| word_cost(name) + word_cost(value)).sum()
}

/// Keeps the first items of a list; how many go.
fn trim_list<T>(list: &mut Vec<T>, cost: impl Fn(&T) -> usize) -> u32 {
    let mut left = KEPT_MAX;
    let before = list.len();
    list.retain(|item| take(&mut left, cost(item)));
    list.shrink_to_fit();
    (before - list.len()) as u32
}

fn trim_labels(labels: &mut BTreeMap<String, String>) -> u32 {
    let mut left = KEPT_MAX;
    let before = labels.len();
    labels.retain(|name, value| take(&mut left, word_cost(name) + word_cost(value)));
    (before - labels.len()) as u32
}

/// Whether there is room for something.
fn take(left: &mut usize, cost: usize) -> bool {
    let is_in = cost <= *left;
    *left -= if is_in { cost } else { 0 };
    is_in
}
