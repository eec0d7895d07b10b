//! [`Object`]: the little that is kept of a Kubernetes object, and how it is read from the answers
//! of an API server and from dumps of `kubectl`.
//!
//! Invariant: an object takes at most [`LABELS_MAX`] bytes of labels and a few short texts, and a
//! document gives at most [`ITEMS_MAX`] objects, whatever it says.

use super::lenient::{Of, Read, Text};
use capture_engine::state::k8s::Kind;
use serde_core::de::{IgnoredAny, MapAccess, SeqAccess};

/// Most bytes of labels (or of a selector) that an object keeps; Kubernetes allows some hundreds
/// for each, and nobody has many.
pub(super) const LABELS_MAX: usize = 16 << 10;
/// Most bytes of a name or id. Kubernetes allows 253.
const NAME_MAX: usize = 256;
/// Most bytes of a member's key or an enum's name that is of interest.
const WORD_MAX: usize = 64;
/// Most bytes of a message, and of a token that leads to the next page (real ones have some 200).
const MESSAGE_MAX: usize = 512;
const CONTINUE_MAX: usize = 8 << 10;
/// Most objects of one document. Pages that are asked for have some hundreds.
const ITEMS_MAX: usize = 50_000;
/// Annotation of a mirror pod: the id by which its containers' labels call it.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// Labels, in the order of the document.
pub(crate) type Labels = Vec<(Box<str>, Box<str>)>;

/// An object. Empty text means "not known".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its namespace; empty for nodes and namespaces.
    pub(crate) namespace: Box<str>,
    /// Its name, unique in the namespace at a time.
    pub(crate) name: Box<str>,
    /// Its unique id.
    pub(crate) uid: Box<str>,
    /// Its labels.
    pub(crate) labels: Labels,
    /// Who made it and looks after it.
    pub(crate) owner: Option<Owner>,
    /// Pods: the node they run on.
    pub(crate) node: Box<str>,
    /// Pods: their address.
    pub(crate) ip: Box<str>,
    /// Pods that a kubelet made by itself: the id by which labels of containers call them.
    pub(crate) config_hash: Box<str>,
    /// Services: labels of the pods that they choose; empty: none.
    pub(crate) selector: Labels,
}

/// The controller of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub(crate) struct Owner {
    pub(crate) kind: Kind,
    pub(crate) name: Box<str>,
    pub(crate) uid: Box<str>,
}

impl Object {
    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(n, _)| **n == *name).map(|(_, value)| &**value)
    }

    /// Whether nothing but its name is known.
    pub(super) fn is_bare(&self) -> bool {
        self.labels.is_empty() && self.owner.is_none()
    }

    /// What it takes, roughly, in bytes.
    pub(super) fn cost_bytes(&self) -> usize {
        /// What an allocation costs beside its bytes.
        const TEXT: usize = 16;
        let texts = [&self.namespace, &self.name, &self.uid, &self.node, &self.ip, &self.config_hash];
        let owner = self.owner.as_ref().map_or(0, |o| o.name.len() + o.uid.len() + 2 * TEXT);
        // Its place in the table, with the keys, is as large again as its texts.
        2 * texts.iter().map(|text| TEXT + text.len()).sum::<usize>()
            + size_of::<Object>()
            + owner
            + labels_cost(&self.labels)
            + labels_cost(&self.selector)
    }
}

fn labels_cost(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| 64 + name.len() + value.len()).sum()
}

/// What one JSON document of an API server says: an object, a list of objects, or a status.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Its kind, where it says one of ours; a list has that of its objects.
    pub(super) kind: Option<Kind>,
    /// The object itself, if it is one.
    pub(super) object: Object,
    /// The objects of a list.
    pub(super) items: Vec<(Option<Kind>, Object)>,
    /// Objects of the list beyond the limit.
    pub(super) items_cut: usize,
    /// The version of a list, or of an object.
    pub(super) version: Box<str>,
    /// Leads to the next page.
    pub(super) next: Box<str>,
    /// A status: HTTP status, reason and message.
    pub(super) code: u64,
    pub(super) reason: Box<str>,
    pub(super) message: Box<str>,
}

/// One line of a watch.
#[derive(Debug, Default)]
pub(super) struct WatchLine {
    /// ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.
    pub(super) kind: Box<str>,
    /// The object as it is then; the status of an error.
    pub(super) document: Document,
}

/// Why a document was not read.
#[derive(Debug, thiserror::Error)]
#[error("no JSON: {0}")]
pub struct NotJson(#[from] serde_json::Error);

impl Document {
    /// Reads one document.
    pub(super) fn read(json: &[u8]) -> Result<Document, NotJson> {
        read(json)
    }
}

impl WatchLine {
    /// Reads one line of a watch.
    pub(super) fn read(json: &[u8]) -> Result<WatchLine, NotJson> {
        read(json)
    }
}

/// Text that is no UTF-8 is read with the bad bytes replaced.
fn read<T: Read>(json: &[u8]) -> Result<T, NotJson> {
    match serde_json::from_slice(json) {
        Ok(Of(value)) => Ok(value),
        Err(error) if std::str::from_utf8(json).is_ok() => Err(error.into()),
        Err(_) => Ok(serde_json::from_str::<Of<T>>(&String::from_utf8_lossy(json))?.0),
    }
}

type Word = Text<WORD_MAX>;
type ShortName = Text<NAME_MAX>;

/// The next member's name; one that is too long to be of interest is cut, and so is none of ours.
fn next_key<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Box<str>>, A::Error> {
    Ok(map.next_key::<Of<Word>>()?.map(|key| key.0.0))
}

fn value<'de, T: Read, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Of<T>>()?.0)
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

impl Read for WatchLine {
    fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut line = WatchLine::default();
        while let Some(key) = next_key(&mut map)? {
            match &*key {
                "type" => line.kind = value::<Word, _>(&mut map)?.0,
                "object" => line.document = value(&mut map)?,
                _ => skip(&mut map)?,
            }
        }
        Ok(line)
    }
}

impl Read for Document {
    fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut document = Document::default();
        let (mut kind, mut group) = (Word::default(), ShortName::default());
        let (mut meta, mut spec, mut status) = (Meta::default(), Spec::default(), Status::default());
        while let Some(key) = next_key(&mut map)? {
            match &*key {
                "kind" => kind = value(&mut map)?,
                "apiVersion" => group = value(&mut map)?,
                "metadata" => meta = value(&mut map)?,
                "spec" => spec = value(&mut map)?,
                "status" => status = value(&mut map)?,
                "items" => {
                    let items: Items = value(&mut map)?;
                    (document.items, document.items_cut) = (items.list, items.cut);
                }
                "code" => document.code = value(&mut map)?,
                "reason" => document.reason = value::<ShortName, _>(&mut map)?.0,
                "message" => document.message = value::<Text<MESSAGE_MAX>, _>(&mut map)?.0,
                _ => skip(&mut map)?,
            }
        }
        let singular = kind.0.strip_suffix("List").unwrap_or(&kind.0);
        document.kind = kind_of(&group.0, singular);
        (document.version, document.next) = (meta.version, meta.next);
        document.object = Object {
            namespace: meta.namespace,
            name: meta.name,
            uid: meta.uid,
            labels: meta.labels,
            owner: meta.owners.controller,
            config_hash: meta.config_hash,
            node: spec.node,
            ip: status.ip,
            // A service that is only another name has no pods.
            selector: if &*spec.kind == "ExternalName" { Labels::new() } else { spec.selector },
        };
        Ok(document)
    }
}

/// Names of kinds, with the group of their API.
const KINDS: [(&str, &str, Kind); 11] = [
    ("", "Pod", Kind::Pod),
    ("", "Namespace", Kind::Namespace),
    ("", "Node", Kind::Node),
    ("", "Service", Kind::Service),
    ("", "ReplicationController", Kind::ReplicationController),
    ("apps", "ReplicaSet", Kind::ReplicaSet),
    ("apps", "Deployment", Kind::Deployment),
    ("apps", "DaemonSet", Kind::DaemonSet),
    ("apps", "StatefulSet", Kind::StatefulSet),
    ("batch", "Job", Kind::Job),
    ("batch", "CronJob", Kind::CronJob),
];

/// The kind of a name in an API such as `apps/v1`. Others' kinds may have the same names.
fn kind_of(api: &str, name: &str) -> Option<Kind> {
    let group = match api.split_once('/').map_or("", |(group, _)| group) {
        // Where apps were before Kubernetes 1.16.
        "extensions" => "apps",
        group => group,
    };
    KINDS.iter().find(|(g, n, _)| (*g, *n) == (group, name)).map(|(.., kind)| *kind)
}

#[derive(Default)]
struct Items {
    list: Vec<(Option<Kind>, Object)>,
    cut: usize,
}

impl Read for Items {
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut items = Items::default();
        while let Some(Of(item)) = list.next_element::<Of<Document>>()? {
            let is_object = !item.object.name.is_empty();
            if is_object && items.list.len() < ITEMS_MAX {
                items.list.push((item.kind, item.object));
            } else {
                items.cut += usize::from(is_object);
            }
        }
        Ok(items)
    }
}

#[derive(Default)]
struct Meta {
    name: Box<str>,
    namespace: Box<str>,
    uid: Box<str>,
    version: Box<str>,
    next: Box<str>,
    labels: Labels,
    config_hash: Box<str>,
    owners: Owners,
}

impl Read for Meta {
    fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut meta = Meta::default();
        while let Some(key) = next_key(&mut map)? {
            match &*key {
                "name" => meta.name = value::<ShortName, _>(&mut map)?.0,
                "namespace" => meta.namespace = value::<ShortName, _>(&mut map)?.0,
                "uid" => meta.uid = value::<ShortName, _>(&mut map)?.0,
                "resourceVersion" => meta.version = value::<ShortName, _>(&mut map)?.0,
                "continue" => meta.next = value::<Text<CONTINUE_MAX>, _>(&mut map)?.0,
                "labels" => meta.labels = value::<Pairs, _>(&mut map)?.0,
                "annotations" => meta.config_hash = value::<Annotations, _>(&mut map)?.0,
                "ownerReferences" => meta.owners = value(&mut map)?,
                _ => skip(&mut map)?,
            }
        }
        Ok(meta)
    }
}

/// Labels and selectors.
#[derive(Default)]
struct Pairs(Labels);

impl Read for Pairs {
    fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let (mut pairs, mut room) = (Labels::new(), LABELS_MAX);
        while let Some(Of(Text(name))) = map.next_key::<Of<Text<LABELS_MAX>>>()? {
            let Text(text) = value::<Text<LABELS_MAX>, _>(&mut map)?;
            if let Some(left) = room.checked_sub(name.len() + text.len()) {
                room = left;
                pairs.push((name, text));
            }
        }
        pairs.shrink_to_fit();
        Ok(Pairs(pairs))
    }
}

/// The one annotation that is of interest.
#[derive(Default)]
struct Annotations(Box<str>);

impl Read for Annotations {
    fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut hash = Box::default();
        while let Some(key) = next_key(&mut map)? {
            if &*key == CONFIG_HASH {
                hash = value::<ShortName, _>(&mut map)?.0;
            } else {
                skip(&mut map)?;
            }
        }
        Ok(Annotations(hash))
    }
}

/// The controller among the owners; without one the first of a known kind.
#[derive(Default)]
struct Owners {
    controller: Option<Owner>,
}

impl Read for Owners {
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let (mut controller, mut first) = (None, None);
        while let Some(Of(reference)) = list.next_element::<Of<OwnerReference>>()? {
            let owner = reference.kind.map(|kind| Owner { kind, name: reference.name, uid: reference.uid });
            if reference.is_controller {
                controller = controller.or(Some(owner));
            } else {
                first = first.or(owner);
            }
        }
        // A controller of an unknown kind is one, too.
        Ok(Owners { controller: controller.unwrap_or(first) })
    }
}

#[derive(Default)]
struct OwnerReference {
    kind: Option<Kind>,
    name: Box<str>,
    uid: Box<str>,
    is_controller: bool,
}

impl Read for OwnerReference {
    fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut reference = OwnerReference::default();
        let (mut kind, mut api) = (Word::default(), ShortName::default());
        while let Some(key) = next_key(&mut map)? {
            match &*key {
                "kind" => kind = value(&mut map)?,
                "apiVersion" => api = value(&mut map)?,
                "name" => reference.name = value::<ShortName, _>(&mut map)?.0,
                "uid" => reference.uid = value::<ShortName, _>(&mut map)?.0,
                "controller" => reference.is_controller = value(&mut map)?,
                _ => skip(&mut map)?,
            }
        }
        reference.kind = kind_of(&api.0, &kind.0);
        Ok(reference)
    }
}

#[derive(Default)]
struct Spec {
    node: Box<str>,
    kind: Box<str>,
    selector: Labels,
}

impl Read for Spec {
    fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut spec = Spec::default();
        while let Some(key) = next_key(&mut map)? {
            match &*key {
                "nodeName" => spec.node = value::<ShortName, _>(&mut map)?.0,
                "type" => spec.kind = value::<Word, _>(&mut map)?.0,
                "selector" => spec.selector = value::<Pairs, _>(&mut map)?.0,
                _ => skip(&mut map)?,
            }
        }
        Ok(spec)
    }
}

#[derive(Default)]
struct Status {
    ip: Box<str>,
}

impl Read for Status {
    fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut status = Status::default();
        while let Some(key) = next_key(&mut map)? {
            match &*key {
                "podIP" => status.ip = value::<ShortName, _>(&mut map)?.0,
                _ => skip(&mut map)?,
            }
        }
        Ok(status)
    }
}
