//! Answers of the Docker API, and docker's own record of a container on disk, which has nearly
//! the same members. Podman answers the same questions in the same form.

use crate::enrich::json::{at, items, map, number, seconds, text, texts};
use crate::enrich::metadata::{Limits, Metadata, Mount, Pod, Port};
use capture_engine::state::cgroups::ContainerKind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Attributes of events that are no labels.
const EVENT_ATTRIBUTES: &[&str] = &["image", "name", "oldName", "execID", "exitCode", "signal", "podId"];
/// Events after which a container may be asked for again.
const CHANGES: &[&str] = &["create", "start", "init", "rename", "update"];

/// What `GET /containers/ID/json` says; `None` where it is no such answer.
pub(in crate::enrich) fn inspect(answer: &Value, kind: ContainerKind) -> Option<Metadata> {
    let full_id = text(answer, &["Id"]);
    let host = answer.get("HostConfig").unwrap_or(&Value::Null);
    (!full_id.is_empty()).then(|| container(answer, host, full_id, kind))
}

/// What docker keeps on disk: `config.v2.json` and `hostconfig.json`.
pub(in crate::enrich) fn record(config: &Value, host: &Value) -> Option<Metadata> {
    let full_id = text(config, &["ID"]);
    (!full_id.is_empty()).then(|| container(config, host, full_id, ContainerKind::Docker))
}

fn container(c: &Value, host: &Value, full_id: String, kind: ContainerKind) -> Metadata {
    let image_id = text(c, &["Image"]);
    let mut meta = Metadata {
        full_id,
        kind: Some(kind),
        name: plain_name(&text(c, &["Name"])),
        image: text(c, &["Config", "Image"]),
        image_id: image_id.strip_prefix("sha256:").unwrap_or(&image_id).to_owned(),
        labels: map(c, &["Config", "Labels"]),
        env: texts(c, &["Config", "Env"]),
        mounts: mounts(c),
        ports: ports(c),
        ip: address(c),
        created_s: seconds(&text(c, &["Created"])),
        user: at(c, &["Config", "User"]).and_then(Value::as_str).map(str::to_owned),
        healthcheck: healthcheck(&texts(c, &["Config", "Healthcheck", "Test"])),
        command: command(c),
        ..Metadata::default()
    };
    if host.is_object() {
        meta.privileged = host.get("Privileged").and_then(Value::as_bool);
        meta.host_pid = Some(text(host, &["PidMode"]) == "host");
        meta.host_network = Some(text(host, &["NetworkMode"]) == "host");
        meta.host_ipc = Some(text(host, &["IpcMode"]) == "host");
        meta.limits = Some(limits(host));
    }
    mark_sandbox(&mut meta);
    meta.settle_pod();
    meta
}

/// Kubernetes' own label of pods' sandboxes in docker.
fn mark_sandbox(meta: &mut Metadata) {
    if let Some(kind) = meta.labels.get("io.kubernetes.docker.type") {
        meta.is_pod_sandbox = Some(kind == "podsandbox");
    }
    if let Some(id) = meta.labels.get("io.kubernetes.sandbox.id").cloned() {
        meta.pod = Some(Pod { sandbox_id: id, ..Pod::default() });
    }
}

fn plain_name(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

fn command(c: &Value) -> Vec<String> {
    let path = text(c, &["Path"]);
    if path.is_empty() {
        return Vec::new();
    }
    std::iter::once(path).chain(texts(c, &["Args"])).collect()
}

/// `["CMD", exe, args...]`, `["CMD-SHELL", line]`, `["NONE"]`.
fn healthcheck(test: &[String]) -> Vec<String> {
    match test {
        [form, words @ ..] if form == "CMD" => words.to_vec(),
        [form, line] if form == "CMD-SHELL" => vec!["/bin/sh".into(), "-c".into(), line.clone()],
        _ => Vec::new(),
    }
}

fn limits(host: &Value) -> Limits {
    let mut limits = Limits {
        memory_bytes: number(host, &["Memory"]),
        swap_bytes: number(host, &["MemorySwap"]),
        cpu_shares: number(host, &["CpuShares"]),
        cpu_quota_us: number(host, &["CpuQuota"]),
        cpu_period_us: number(host, &["CpuPeriod"]),
        cpuset_cpus: cpu_count(&text(host, &["CpusetCpus"])),
    };
    // `--cpus` is kept as billionths of a CPU; the runtime is given a share of 100 ms.
    const PERIOD_US: i64 = 100_000;
    let nano = number(host, &["NanoCpus"]);
    if nano > 0 && limits.cpu_quota_us == 0 {
        limits.cpu_period_us = PERIOD_US;
        limits.cpu_quota_us = nano / (1_000_000_000 / PERIOD_US);
    }
    limits
}

/// CPUs in a list such as `0-2,7`.
pub(in crate::enrich) fn cpu_count(list: &str) -> i64 {
    let count = |part: &str| match part.split_once('-') {
        Some((first, last)) => Some(last.parse::<i64>().ok()? - first.parse::<i64>().ok()? + 1),
        None => part.parse::<i64>().ok().map(|_| 1),
    };
    list.split(',').filter_map(count).filter(|n| *n > 0).fold(0, i64::saturating_add)
}

fn mounts(c: &Value) -> Vec<Mount> {
    // The API gives a list, docker's record an object by destination.
    let by_destination = at(c, &["MountPoints"]).and_then(Value::as_object);
    let on_disk = by_destination.into_iter().flatten().map(|(_, mount)| (mount, "Relabel"));
    let by_api = items(c, &["Mounts"]).iter().map(|mount| (mount, "Mode"));
    by_api
        .chain(on_disk)
        .map(|(mount, mode)| Mount {
            source: text(mount, &["Source"]),
            destination: text(mount, &["Destination"]),
            mode: text(mount, &[mode]),
            is_writable: mount.get("RW").and_then(Value::as_bool).unwrap_or(false),
            propagation: text(mount, &["Propagation"]),
        })
        .collect()
}

/// `"8080/tcp": [{"HostIp": ..., "HostPort": ...}]`
fn ports(c: &Value) -> Vec<Port> {
    let all = at(c, &["NetworkSettings", "Ports"]).and_then(Value::as_object);
    let mut ports = Vec::new();
    for (name, hosts) in all.into_iter().flatten() {
        let Some(container) = name.split('/').next().and_then(|n| n.parse().ok()) else { continue };
        for host in hosts.as_array().into_iter().flatten() {
            if let Ok(port) = text(host, &["HostPort"]).parse() {
                let host_ip = text(host, &["HostIp"]).parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
                ports.push(Port { host_ip, host: port, container });
            }
        }
    }
    ports
}

/// The address, else that on the first network that has one.
fn address(c: &Value) -> String {
    let own = text(c, &["NetworkSettings", "IPAddress"]);
    if !own.is_empty() {
        return own;
    }
    let networks = at(c, &["NetworkSettings", "Networks"]).and_then(Value::as_object);
    let mut addresses = networks.into_iter().flatten().map(|(_, network)| text(network, &["IPAddress"]));
    addresses.find(|ip| !ip.is_empty()).unwrap_or_default()
}

/// Ids of `GET /containers/json`.
pub(super) fn listed(answer: &Value) -> Vec<String> {
    let all = answer.as_array().map_or(&[][..], |list| list);
    all.iter().map(|c| text(c, &["Id"])).filter(|id| !id.is_empty()).collect()
}

/// What an event tells of a container.
#[derive(Debug, PartialEq)]
pub(in crate::enrich) struct Told {
    pub(in crate::enrich) metadata: Metadata,
    /// Whether asking for the container may bring more.
    pub(in crate::enrich) is_change: bool,
}

/// Reads a line of `GET /events`; `None` where it is not about a container.
pub(in crate::enrich) fn event(line: &Value, kind: ContainerKind) -> Option<Told> {
    let full_id = text(line, &["Actor", "ID"]);
    if text(line, &["Type"]) != "container" || full_id.is_empty() {
        return None;
    }
    let attributes = map(line, &["Actor", "Attributes"]);
    let get = |name: &str| attributes.get(name).cloned().unwrap_or_default();
    let action = text(line, &["Action"]);
    let is_change = CHANGES.contains(&action.as_str());
    let labels: BTreeMap<String, String> = attributes
        .iter()
        .filter(|(k, _)| !EVENT_ATTRIBUTES.contains(&k.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let mut metadata = Metadata {
        full_id,
        kind: Some(kind),
        name: plain_name(&get("name")),
        image: get("image"),
        labels,
        ..Metadata::default()
    };
    metadata.settle_pod();
    Some(Told { metadata, is_change })
}
