//! Metadata of containers, as the stream's container events told them.

use super::cgroups::ContainerKind;
use super::{Text, empty_text};
use rustc_hash::FxHashMap;
use serde_json::Value;

/// Most containers that are kept; further ones are refused and counted.
const LIMIT: usize = 65_536;

/// What is known of a container.
#[derive(Clone, Debug)]
pub struct Container {
    /// Short id, the key.
    pub id: Text,
    /// Full id.
    pub full_id: Text,
    /// Engine.
    pub kind: Option<ContainerKind>,
    /// Name.
    pub name: Text,
    /// Image as given, e.g. `nginx:1.25`.
    pub image: Text,
    /// Image id.
    pub image_id: Text,
    /// Image without tag.
    pub image_repo: Text,
    /// Tag.
    pub image_tag: Text,
    /// Digest.
    pub image_digest: Text,
    /// Whether it runs privileged.
    pub privileged: bool,
    /// Whether it is a pod's sandbox.
    pub is_pod_sandbox: bool,
    /// Its address, dotted text.
    pub ip: Text,
    /// Labels, in order of the record.
    pub labels: Vec<(Text, Text)>,
    /// The whole record as it came: readers of rarer members parse it. Empty for the old
    /// four-parameter form.
    pub json: Text,
}

impl Container {
    /// The value of a label.
    pub fn label(&self, name: &[u8]) -> Option<&[u8]> {
        self.labels.iter().find(|(n, _)| **n == *name).map(|(_, v)| &**v)
    }
}

/// Containers by id.
#[derive(Debug, Default)]
pub struct Containers {
    by_id: FxHashMap<Text, Container>,
    refused: u64,
    malformed: u64,
}

impl Containers {
    /// The container with this id.
    #[inline]
    pub fn get(&self, id: &[u8]) -> Option<&Container> {
        self.by_id.get(id)
    }

    /// All containers, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Container> {
        self.by_id.values()
    }

    /// How many records were refused because the table was full.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many records could not be read.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Takes a record of the old form.
    pub(crate) fn add_plain(&mut self, id: &[u8], kind: u64, name: &[u8], image: &[u8]) {
        let mut container = blank(id);
        container.kind = ContainerKind::from_number(kind);
        container.name = Text::from(name);
        container.image = Text::from(image);
        self.insert(container);
    }

    /// Takes a record in JSON; the answer is the container's id.
    pub(crate) fn add_json(&mut self, json: &[u8]) -> Option<Text> {
        let Some(container) = parse(json) else {
            self.malformed += 1;
            return None;
        };
        let id = container.id.clone();
        self.insert(container);
        Some(id)
    }

    fn insert(&mut self, container: Container) {
        if self.by_id.len() >= LIMIT && !self.by_id.contains_key(&container.id) {
            self.refused += 1;
            return;
        }
        self.by_id.insert(container.id.clone(), container);
    }
}

fn blank(id: &[u8]) -> Container {
    Container {
        id: Text::from(id),
        full_id: empty_text(),
        kind: None,
        name: empty_text(),
        image: empty_text(),
        image_id: empty_text(),
        image_repo: empty_text(),
        image_tag: empty_text(),
        image_digest: empty_text(),
        privileged: false,
        is_pod_sandbox: false,
        ip: empty_text(),
        labels: Vec::new(),
        json: empty_text(),
    }
}

fn parse(json: &[u8]) -> Option<Container> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let object = value.get("container")?;
    let text = |name: &str| object.get(name).and_then(Value::as_str).map_or_else(empty_text, to_text);
    let id = object.get("id")?.as_str()?;
    let mut container = blank(id.as_bytes());
    container.full_id = text("full_id");
    container.kind = object.get("type").and_then(Value::as_u64).and_then(ContainerKind::from_number);
    container.name = text("name");
    container.image = text("image");
    container.image_id = text("imageid");
    container.image_repo = text("imagerepo");
    container.image_tag = text("imagetag");
    container.image_digest = text("imagedigest");
    container.ip = text("ip");
    container.privileged = object.get("privileged").and_then(Value::as_bool).unwrap_or(false);
    container.is_pod_sandbox = object.get("is_pod_sandbox").and_then(Value::as_bool).unwrap_or(false);
    if let Some(labels) = object.get("labels").and_then(Value::as_object) {
        container.labels =
            labels.iter().filter_map(|(k, v)| Some((to_text(k), to_text(v.as_str()?)))).collect();
    }
    container.json = Text::from(json);
    Some(container)
}

fn to_text(s: &str) -> Text {
    Text::from(s.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_stored_by_id_and_bad_ones_counted() {
        let mut all = Containers::default();
        all.add_json(br#"{"container":{"id":"3ad7b26ded6d","type":7,"name":"web","image":"nginx:1.25","privileged":true,"labels":{"io.kubernetes.pod.name":"p"}}}"#);
        all.add_json(b"{");
        all.add_json(br#"{"container":{"id":5}}"#);
        let web = all.get(b"3ad7b26ded6d").unwrap();
        assert_eq!(
            (&*web.name, web.kind, web.privileged),
            (&b"web"[..], Some(ContainerKind::Containerd), true)
        );
        assert_eq!(web.label(b"io.kubernetes.pod.name"), Some(&b"p"[..]));
        assert_eq!(all.malformed(), 2);
        all.add_plain(b"abc", 0, b"old", b"img");
        assert_eq!(&*all.get(b"abc").unwrap().image, b"img");
    }
}
