//! `container.*` fields: the id from the thread's control groups, the rest from the container
//! records of the stream.

use super::health_probe::push_command;
use super::proc::{bytes, flag};
use super::{Ctx, Field, text, value};
use crate::state::cgroups::locate;
use crate::state::containers::{Container, ProbeKind};
use filter_lang::FieldType::{AbsTime, Bool, RelTime, Str};
use filter_lang::{ArgRule, Value};

/// What fields show for threads outside of containers.
const HOST: &[u8] = b"host";

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("container.id", Str, "short id of the container, host outside of containers", "container.id!=host",
        |c| bytes(match &*c.view.thread()?.container_id { b"" => HOST, id => id })),
    value("container.full_id", Str, "full id of the container", "container.full_id startswith 3ad7b26d", |c| meta(c, |m| &m.full_id)),
    value("container.name", Str, "name of the container, host outside of containers", "container.name=web",
        |c| if on_host(c)? { bytes(HOST) } else { meta(c, |m| &m.name) }),
    value("container.image", Str, "image as it was asked for", "container.image contains nginx", |c| meta(c, |m| &m.image)),
    value("container.image.id", Str, "id of the image", "container.image.id startswith 6f715d", |c| meta(c, |m| &m.image_id)),
    value("container.image.repository", Str, "image without tag and digest", "container.image.repository=docker.io/nginx", |c| meta(c, |m| &m.image_repo)),
    value("container.image.tag", Str, "tag of the image", "container.image.tag=latest", |c| meta(c, |m| &m.image_tag)),
    value("container.image.digest", Str, "digest of the image", "container.image.digest contains sha256", |c| meta(c, |m| &m.image_digest)),
    value("container.type", Str, "engine of the container: docker, podman, containerd and so on; host outside of containers", "container.type=docker", engine),
    value("container.privileged", Bool, "whether the container runs privileged; no value outside of containers", "container.privileged=true",
        |c| if on_host(c)? { None } else { flag(c.view.container().is_some_and(|m| m.privileged)) }),
    value("container.ip", Str, "address of the container", "container.ip=172.17.0.2", |c| meta(c, |m| &m.ip)),
    text("container.healthcheck", "command of the container's health check; NONE where it has none", "container.healthcheck!=NONE",
        |c, out| push_command(c, out, ProbeKind::Health)),
    text("container.liveness_probe", "command of the container's liveness probe; NONE where it has none", "container.liveness_probe!=NONE",
        |c, out| push_command(c, out, ProbeKind::Liveness)),
    text("container.readiness_probe", "command of the container's readiness probe; NONE where it has none", "container.readiness_probe!=NONE",
        |c, out| push_command(c, out, ProbeKind::Readiness)),
    value("container.cni.json", Str, "result of the container's network plugins", "container.cni.json contains 10.244", |c| meta(c, |m| &m.cni_json)),
    value("container.start_ts", AbsTime, "when the container was made, ns since the epoch", "-p '%container.start_ts'",
        |c| Some(Value::Uint(created_ns(c)?))),
    value("container.duration", RelTime, "nanoseconds since the container was made", "container.duration<1m",
        |c| Some(Value::Uint(c.view.raw.ts_ns.checked_sub(created_ns(c)?)?))),
    value("container.host_pid", Bool, "whether the container shares the host's pid namespace", "container.host_pid=true", |c| json_flag(c, "host_pid")),
    value("container.host_network", Bool, "whether the container shares the host's network", "container.host_network=true", |c| json_flag(c, "host_network")),
    value("container.host_ipc", Bool, "whether the container shares the host's IPC namespace", "container.host_ipc=true", |c| json_flag(c, "host_ipc")),
    text("container.mounts", "mounts as source:dest:mode:writable:propagation, joined by commas", "container.mounts contains docker.sock",
        mounts),
    text("container.mount", "one mount, by position or by its source or destination", "container.mount[/etc] exists",
        |c, out| mount(c, out, None)).arg(ArgRule::Required),
    text("container.mount.source", "source of a mount, by position or destination", "container.mount.source[/data]=/srv/data",
        |c, out| mount(c, out, Some("Source"))).arg(ArgRule::Required),
    text("container.mount.dest", "destination of a mount, by position or source", "container.mount.dest[/srv/data]=/data",
        |c, out| mount(c, out, Some("Destination"))).arg(ArgRule::Required),
    text("container.mount.mode", "mode of a mount", "container.mount.mode[/data]=ro",
        |c, out| mount(c, out, Some("Mode"))).arg(ArgRule::Required),
    text("container.mount.rdwr", "whether a mount is writable", "container.mount.rdwr[/data]=true",
        |c, out| mount(c, out, Some("RW"))).arg(ArgRule::Required),
    text("container.mount.propagation", "propagation of a mount", "container.mount.propagation[/data]=private",
        |c, out| mount(c, out, Some("Propagation"))).arg(ArgRule::Required),
];

pub(super) fn on_host(c: &Ctx<'_>) -> Option<bool> {
    Some(c.view.thread()?.container_id.is_empty())
}

/// A text of the metadata, where it is known.
pub(super) fn meta<'a>(c: &Ctx<'a>, get: fn(&Container) -> &[u8]) -> Option<Value<'a>> {
    let text = get(c.view.container()?);
    (!text.is_empty()).then_some(Value::Str(text))
}

/// The engine by the record, else by the form of the control group's path.
fn engine<'a>(c: &Ctx<'a>) -> Option<Value<'a>> {
    if on_host(c)? {
        return bytes(HOST);
    }
    let guessed = || locate(&c.view.thread()?.cgroups_raw).map(|found| found.kind);
    let kind = c.view.container().and_then(|m| m.kind).or_else(guessed)?;
    Some(Value::text(kind.name()))
}

// Members that few ask for are read from the record's text when they are.
pub(super) fn json(c: &Ctx<'_>) -> Option<serde_json::Value> {
    let mut record: serde_json::Value = serde_json::from_slice(&c.view.container()?.json).ok()?;
    Some(record.get_mut("container")?.take())
}

pub(super) fn json_flag<'a>(c: &Ctx<'a>, name: &str) -> Option<Value<'a>> {
    flag(json(c)?.get(name)?.as_bool()?)
}

fn created_ns(c: &Ctx<'_>) -> Option<u64> {
    json(c)?.get("created_time")?.as_u64()?.checked_mul(1_000_000_000).filter(|&ns| ns != 0)
}

const MOUNT_PARTS: [&str; 5] = ["Source", "Destination", "Mode", "RW", "Propagation"];

fn mounts(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(record) = json(c) else { return false };
    let all = record.get("Mounts").and_then(|m| m.as_array()).map_or(&[][..], |m| m);
    for (i, mount) in all.iter().enumerate() {
        if i != 0 {
            out.push(b',');
        }
        push_mount(out, mount);
    }
    true
}

fn mount(c: &Ctx<'_>, out: &mut Vec<u8>, part: Option<&str>) -> bool {
    let (Some(record), Some(arg)) = (json(c), c.arg) else { return false };
    let Some(all) = record.get("Mounts").and_then(|m| m.as_array()) else { return false };
    let named = |m: &&serde_json::Value| {
        MOUNT_PARTS[..2].iter().any(|&p| m.get(p).and_then(|v| v.as_str()) == Some(arg))
    };
    let found = match arg.parse::<usize>() {
        Ok(at) => all.get(at),
        Err(_) => all.iter().find(named),
    };
    match (found, part) {
        (Some(mount), Some(part)) => push_part(out, mount, part),
        (Some(mount), None) => push_mount(out, mount),
        (None, _) => return false,
    }
    true
}

fn push_mount(out: &mut Vec<u8>, mount: &serde_json::Value) {
    for (i, part) in MOUNT_PARTS.into_iter().enumerate() {
        if i != 0 {
            out.push(b':');
        }
        push_part(out, mount, part);
    }
}

fn push_part(out: &mut Vec<u8>, mount: &serde_json::Value, part: &str) {
    match mount.get(part) {
        Some(serde_json::Value::String(text)) => out.extend_from_slice(text.as_bytes()),
        Some(serde_json::Value::Bool(is)) => out.extend_from_slice(if *is { b"true" } else { b"false" }),
        _ => {}
    }
}
