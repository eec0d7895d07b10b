//! Control groups of a thread, and the container id that their paths tell.
//!
//! The rules are rows: which prefix and suffix enclose the id in one part of a path. Parts are
//! tried from the last to the first, so that the innermost container is found.

use super::{Text, empty_text};

/// Container engines by the number that container metadata use for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the documentation")]
#[repr(u32)]
pub enum ContainerKind {
    Docker = 0,
    Lxc = 1,
    LibvirtLxc = 2,
    Mesos = 3,
    Rkt = 4,
    Custom = 5,
    Cri = 6,
    Containerd = 7,
    Crio = 8,
    Bpm = 9,
    Static = 10,
    Podman = 11,
}

impl ContainerKind {
    /// All kinds in order of their numbers.
    pub const ALL: [ContainerKind; 12] = [
        ContainerKind::Docker,
        ContainerKind::Lxc,
        ContainerKind::LibvirtLxc,
        ContainerKind::Mesos,
        ContainerKind::Rkt,
        ContainerKind::Custom,
        ContainerKind::Cri,
        ContainerKind::Containerd,
        ContainerKind::Crio,
        ContainerKind::Bpm,
        ContainerKind::Static,
        ContainerKind::Podman,
    ];

    /// The kind with this number.
    pub fn from_number(number: u64) -> Option<ContainerKind> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The name that `container.type` prints.
    pub const fn name(self) -> &'static str {
        match self {
            ContainerKind::Docker => "docker",
            ContainerKind::Lxc => "lxc",
            ContainerKind::LibvirtLxc => "libvirt-lxc",
            ContainerKind::Mesos => "mesos",
            ContainerKind::Rkt => "rkt",
            ContainerKind::Custom => "custom",
            ContainerKind::Cri => "cri",
            ContainerKind::Containerd => "containerd",
            ContainerKind::Crio => "cri-o",
            ContainerKind::Bpm => "bpm",
            ContainerKind::Static => "static",
            ContainerKind::Podman => "podman",
        }
    }
}

/// Digits of a full container id.
const FULL_ID_LEN: usize = 64;
/// Digits of the id that is reported.
const SHORT_ID_LEN: usize = 12;

/// The last part of a path is `prefix`, 64 hexadecimal digits, `suffix`.
struct HexRule {
    kind: ContainerKind,
    prefix: &'static [u8],
    suffix: &'static [u8],
}

const fn hex(kind: ContainerKind, prefix: &'static [u8], suffix: &'static [u8]) -> HexRule {
    HexRule { kind, prefix, suffix }
}

const HEX_RULES: &[HexRule] = &[
    hex(ContainerKind::Podman, b"/libpod-", b".scope"),
    hex(ContainerKind::Podman, b"/libpod-", b""),
    hex(ContainerKind::Docker, b"/docker-", b".scope"),
    hex(ContainerKind::Crio, b"/crio-", b".scope"),
    hex(ContainerKind::Crio, b"/crio-", b""),
    hex(ContainerKind::Cri, b"/cri-containerd-", b".scope"),
    hex(ContainerKind::Cri, b":cri-containerd:", b""),
    hex(ContainerKind::Containerd, b"/nerdctl-", b".scope"),
];

/// Whose container a part of bare 64 digits is, by what stands before it anywhere in the path;
/// docker's where nothing does.
const BARE_PARENTS: &[(ContainerKind, &[u8])] = &[
    (ContainerKind::Cri, b"/kubepods"),
    (ContainerKind::Containerd, b"/default/"),
    (ContainerKind::Podman, b"/podman-"),
];

/// Engines whose path holds the container's name: what the part begins and ends with.
struct NameRule {
    kind: ContainerKind,
    /// The whole path before the last part must end in this.
    parent: &'static [u8],
    prefix: &'static [u8],
    suffix: &'static [u8],
}

const fn name(
    kind: ContainerKind,
    parent: &'static [u8],
    prefix: &'static [u8],
    suffix: &'static [u8],
) -> NameRule {
    NameRule { kind, parent, prefix, suffix }
}

const NAME_RULES: &[NameRule] = &[
    name(ContainerKind::Lxc, b"", b"lxc.payload.", b""),
    name(ContainerKind::Lxc, b"/lxc.payload", b"", b""),
    name(ContainerKind::LibvirtLxc, b"/libvirt/lxc", b"", b""),
    name(ContainerKind::Lxc, b"/lxc", b"", b""),
    name(ContainerKind::LibvirtLxc, b"", b"", b".libvirt-lxc"),
    name(ContainerKind::LibvirtLxc, b"", b"machine-lxc\\x2d", b".scope"),
    name(ContainerKind::Bpm, b"", b"bpm-", b".scope"),
    name(ContainerKind::Bpm, b"", b"bpm-", b""),
    // systemd-nspawn, by machined's scope or by the unit template. Other machines of machined
    // have a first word of their own (`machine-qemu`, `machine-libpod_pod`).
    name(ContainerKind::Custom, b"/machine.slice", b"machine-", b".scope"),
    name(ContainerKind::Custom, b"/machine.slice", b"systemd-nspawn@", b".service"),
];

/// Machines of machined that are no containers.
const NO_CONTAINERS: &[&[u8]] = &[b"qemu\\x2d", b"libpod"];

/// A container as its cgroups tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Located<'a> {
    /// The engine, guessed by the form of the path.
    pub kind: ContainerKind,
    /// The id as reported: the first 12 digits, or the name of a container without digits.
    pub id: &'a [u8],
    /// All 64 digits, or the name.
    pub full_id: &'a [u8],
}

/// Id, as reported, of the container that a set of cgroups names; empty where they name none.
pub(crate) fn container_id(cgroups_raw: &[u8]) -> Text {
    locate(cgroups_raw).map_or_else(empty_text, |found| Text::from(found.id))
}

/// The id by which a container is reported, of its whole id. Anything else than a whole id is a
/// name, and stays.
pub fn short_id(full_id: &str) -> &str {
    if is_full_id(full_id.as_bytes()) { &full_id[..SHORT_ID_LEN] } else { full_id }
}

/// The container that a set of cgroups names; the innermost, where one runs in another.
pub fn locate(cgroups_raw: &[u8]) -> Option<Located<'_>> {
    // A cgroup v2 host gives the same path for every subsystem: look at each once only.
    let mut before: &[u8] = b"";
    for (_, path) in entries(cgroups_raw) {
        if path == before || path == b"/" {
            continue;
        }
        if let Some(found) = container_in_folder(path) {
            return Some(found);
        }
        before = path;
    }
    None
}

/// The container that a folder of a cgroup file system is of, wherever that is mounted.
///
/// A container may have cgroups of its own below the one that names it (an init system inside,
/// the `container` part of crun): from the last part of the path to the first.
pub fn container_in_folder(path: &[u8]) -> Option<Located<'_>> {
    let mut rest = path;
    while let Some(at) = rest.iter().rposition(|&b| b == b'/') {
        if let Some(found) = match_part(&rest[..at], &rest[at..]) {
            return Some(found);
        }
        rest = &rest[..at];
    }
    None
}

/// `part` is one part of a path with its slash, `parent` all before it.
fn match_part<'a>(parent: &[u8], part: &'a [u8]) -> Option<Located<'a>> {
    let by_hex = HEX_RULES.iter().find_map(|rule| Some((rule.kind, match_hex(part, rule)?)));
    let bare = || {
        let id = part.get(1..).filter(|id| is_full_id(id))?;
        // A pod's own folder stands above its containers'.
        let kind = BARE_PARENTS
            .iter()
            .find(|(_, mark)| find(parent, mark).is_some() || parent == &mark[..mark.len() - 1]);
        (!parent.ends_with(b"/libpod_parent")).then(|| (kind.map_or(ContainerKind::Docker, |k| k.0), id))
    };
    if let Some((kind, full_id)) = by_hex.or_else(bare) {
        return Some(Located { kind, id: &full_id[..SHORT_ID_LEN], full_id });
    }
    let part = part.get(1..)?;
    // What `ctr run` makes: the namespace, then a name.
    if is_of_ctr(parent) && !part.is_empty() {
        return Some(Located { kind: ContainerKind::Containerd, id: part, full_id: part });
    }
    NAME_RULES.iter().find_map(|rule| {
        let name = part.strip_prefix(rule.prefix)?.strip_suffix(rule.suffix)?;
        let fits = parent.ends_with(rule.parent) && !name.is_empty();
        let fits = fits && !NO_CONTAINERS.iter().any(|no| name.starts_with(no));
        fits.then_some(Located { kind: rule.kind, id: name, full_id: name })
    })
}

/// Whether it is the cgroup of containerd's own namespace, or its folder where v2 or a hierarchy of v1 is
/// mounted.
fn is_of_ctr(parent: &[u8]) -> bool {
    let Some(above) = parent.strip_suffix(b"/default") else { return false };
    match above.strip_prefix(b"/sys/fs/cgroup") {
        None => above.is_empty(),
        Some(hierarchy) => hierarchy.is_empty() || hierarchy.iter().rposition(|&b| b == b'/') == Some(0),
    }
}

fn match_hex<'a>(part: &'a [u8], rule: &HexRule) -> Option<&'a [u8]> {
    let rest = part.strip_suffix(rule.suffix)?;
    let (before, id) = rest.split_at(rest.len().checked_sub(FULL_ID_LEN)?);
    (before.ends_with(rule.prefix) && is_full_id(id)).then_some(id)
}

fn is_full_id(text: &[u8]) -> bool {
    text.len() == FULL_ID_LEN && text.iter().all(u8::is_ascii_hexdigit)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// Control groups of a thread as (normalised subsystem, path).
pub fn entries(cgroups_raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    super::thread::nul_terminated(cgroups_raw).filter_map(|entry| {
        let at = entry.iter().position(|&b| b == b'=')?;
        Some((subsystem_name(&entry[..at]), &entry[at + 1..]))
    })
}

/// Kernel names of subsystems as fields call them.
fn subsystem_name(name: &[u8]) -> &[u8] {
    match name.strip_suffix(b"_cgroup").unwrap_or(name) {
        b"perf" => b"perf_event",
        b"mem" => b"memory",
        b"io" => b"blkio",
        other => other,
    }
}

#[cfg(test)]
mod tests;
