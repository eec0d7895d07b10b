//! Control groups of a thread, and the container id that their paths tell.
//!
//! The rules are rows: which prefix and suffix enclose the id in the last part of a path, for
//! the engines in the order in which they are tried.

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

/// A path ends in `prefix`, 64 hexadecimal digits, `suffix`.
struct HexRule {
    kind: ContainerKind,
    prefix: &'static [u8],
    suffix: &'static [u8],
}

const fn hex(kind: ContainerKind, prefix: &'static [u8], suffix: &'static [u8]) -> HexRule {
    HexRule { kind, prefix, suffix }
}

/// In the order of trial; the bare form last, since every other one with a slash would match it.
const HEX_RULES: &[HexRule] = &[
    hex(ContainerKind::Podman, b"/libpod-", b".scope/container"),
    hex(ContainerKind::Podman, b"/libpod-", b".scope"),
    hex(ContainerKind::Podman, b"/libpod-", b""),
    hex(ContainerKind::Docker, b"/docker-", b".scope"),
    hex(ContainerKind::Crio, b"/crio-", b".scope"),
    hex(ContainerKind::Crio, b"/crio-", b""),
    hex(ContainerKind::Cri, b"/cri-containerd-", b".scope"),
    hex(ContainerKind::Cri, b":cri-containerd:", b""),
    hex(ContainerKind::Docker, b"/", b""),
];

/// Engines whose path holds the container's name: what comes before it; the name ends at the
/// next slash.
const NAME_RULES: &[(ContainerKind, &[u8])] = &[
    (ContainerKind::Lxc, b"/lxc.payload."),
    (ContainerKind::Lxc, b"/lxc.payload/"),
    (ContainerKind::Lxc, b"/lxc/"),
    (ContainerKind::LibvirtLxc, b"/libvirt/lxc/"),
];

/// The container that a set of cgroups names: (kind guessed, id).
pub fn container_of(cgroups_raw: &[u8]) -> Option<(ContainerKind, &[u8])> {
    // A cgroup v2 host gives the same path for every subsystem: look at each once only.
    let mut before: &[u8] = b"";
    for (_, path) in entries(cgroups_raw) {
        if path == before || path == b"/" {
            continue;
        }
        if let Some(found) = container_of_path(path) {
            return Some(found);
        }
        before = path;
    }
    None
}

fn container_of_path(path: &[u8]) -> Option<(ContainerKind, &[u8])> {
    for rule in HEX_RULES {
        if let Some(id) = match_hex(path, rule) {
            return Some((rule.kind, &id[..SHORT_ID_LEN]));
        }
    }
    for &(kind, prefix) in NAME_RULES {
        let Some(at) = find(path, prefix) else { continue };
        let name = path[at + prefix.len()..].split(|&b| b == b'/').next().unwrap_or(b"");
        if !name.is_empty() {
            return Some((kind, name));
        }
    }
    let last = path.rsplit(|&b| b == b'/').next().unwrap_or(b"");
    if let Some(name) = last.strip_suffix(b".libvirt-lxc").filter(|n| !n.is_empty()) {
        return Some((ContainerKind::LibvirtLxc, name));
    }
    let bpm = last.strip_prefix(b"bpm-")?;
    let bpm = bpm.strip_suffix(b".scope").unwrap_or(bpm);
    if bpm.is_empty() { None } else { Some((ContainerKind::Bpm, bpm)) }
}

fn match_hex<'a>(path: &'a [u8], rule: &HexRule) -> Option<&'a [u8]> {
    let rest = path.strip_suffix(rule.suffix)?;
    let id_at = rest.len().checked_sub(FULL_ID_LEN)?;
    let (before, id) = rest.split_at(id_at);
    (before.ends_with(rule.prefix) && id.iter().all(u8::is_ascii_hexdigit)).then_some(id)
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
mod tests {
    use super::*;

    const ID: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de487c3601e";

    fn check(path: &str, expected: Option<(ContainerKind, &str)>) {
        let raw = format!("cpuset=/\0cpu_cgroup={}\0", path.replace("ID", ID));
        let found = container_of(raw.as_bytes()).map(|(k, id)| (k, std::str::from_utf8(id).unwrap()));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn ids_are_found_in_the_forms_of_every_engine() {
        let short = &ID[..12];
        check("/docker/ID", Some((ContainerKind::Docker, short)));
        check("/system.slice/docker-ID.scope", Some((ContainerKind::Docker, short)));
        check("/machine.slice/libpod-ID.scope", Some((ContainerKind::Podman, short)));
        check("/machine.slice/libpod-ID.scope/container", Some((ContainerKind::Podman, short)));
        check("/kubepods/pod1/crio-ID", Some((ContainerKind::Crio, short)));
        check("/kubepods.slice/cri-containerd-ID.scope", Some((ContainerKind::Cri, short)));
        check("/system.slice/a.service:cri-containerd:ID", Some((ContainerKind::Cri, short)));
        check("/lxc/web/init.scope", Some((ContainerKind::Lxc, "web")));
        check("/lxc.payload.web", Some((ContainerKind::Lxc, "web")));
        check("/machine/guest.libvirt-lxc", Some((ContainerKind::LibvirtLxc, "guest")));
        check("/system.slice/bpm-nats.scope", Some((ContainerKind::Bpm, "nats")));
    }

    #[test]
    fn other_paths_name_no_container() {
        for path in ["/", "/user.slice/user-1000.slice", "/docker/short", "/docker/IDx", "/docker/ID0"] {
            check(path, None);
        }
    }

    #[test]
    fn subsystems_are_normalised() {
        let all: Vec<_> = entries(b"mem_cgroup=/a\0io=/b\0cpu=/c\0broken\0").collect();
        assert_eq!(all, [(&b"memory"[..], &b"/a"[..]), (b"blkio", b"/b"), (b"cpu", b"/c")]);
    }
}
