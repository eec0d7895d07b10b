//! `container.*` fields of which only the record's text tells: labels, environment, ports, limits.
//!
//! Few ask for them: the text is parsed when they do.

use super::container::{json, json_flag};
use super::{Ctx, Field, text, value};
use filter_lang::FieldType::{Bool, Str, Uint};
use filter_lang::{ArgRule, Value};
use serde_json::Value as Json;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("container.label", Str, "one label of the container", "container.label.tier=back",
        |c| c.view.container()?.label(c.arg?.as_bytes()).map(Value::Str)).arg(ArgRule::Required),
    text("container.labels", "all labels of the container as name:value, joined by commas", "container.labels contains tier:back", labels),
    text("container.env", "environment that the container was given, joined by blanks, secrets redacted; container.env[NAME] is one variable's value", "container.env[MODE]=prod",
        env).arg(ArgRule::Optional),
    text("container.command", "command and arguments of the container, joined by blanks", "container.command contains nginx",
        |c, out| ours(c).is_some_and(|ours| push_words(out, &ours, "command"))),
    value("container.user", Str, "user that the container runs as, as the engine was told", "container.user=1000",
        |c| json_text(c, "user")),
    text("container.ports", "published ports as address:port->port, joined by commas", "container.ports contains ->8080", ports),
    value("container.memory_limit", Uint, "limit of memory in bytes; no value without one", "container.memory_limit<100000000", |c| limit(c, "memory_limit")),
    value("container.swap_limit", Uint, "limit of memory and swap in bytes; no value without one", "container.swap_limit exists", |c| limit(c, "swap_limit")),
    value("container.cpu_shares", Uint, "weight of the container's CPU time, 1024 where none was given", "container.cpu_shares<1024", |c| limit(c, "cpu_shares")),
    value("container.cpu_quota", Uint, "µs of CPU time in each period; no value without a limit", "container.cpu_quota exists", |c| limit(c, "cpu_quota")),
    value("container.cpu_period", Uint, "length of a period in µs, 100000 where none was given", "container.cpu_period!=100000", |c| limit(c, "cpu_period")),
    value("container.cpuset_cpus", Uint, "number of CPUs that the container is bound to; no value where it is not", "container.cpuset_cpus=1", |c| limit(c, "cpuset_cpu_count")),
    value("container.is_pod_sandbox", Bool, "whether the container holds a pod's namespaces; no value outside of containers", "container.is_pod_sandbox=true",
        |c| json_flag(c, "is_pod_sandbox")),
    value("container.is_late", Bool, "whether the container's record came after its first event", "container.is_late=true",
        |c| super::proc::flag(ours(c)?.get("late").and_then(Json::as_bool).unwrap_or(false))),
];

/// What is recorded beside the members that stock tools know.
fn ours(c: &Ctx<'_>) -> Option<Json> {
    Some(json(c)?.get_mut("capture")?.take())
}

fn json_text<'a>(c: &Ctx<'a>, name: &str) -> Option<Value<'a>> {
    let record = json(c)?;
    let text = record.get(name)?.as_str().filter(|text| !text.is_empty())?;
    Some(Value::Str(c.arena.copy(text.as_bytes())))
}

/// 0 is none.
fn limit<'a>(c: &Ctx<'a>, name: &str) -> Option<Value<'a>> {
    json(c)?.get(name)?.as_u64().filter(|&n| n != 0).map(Value::Uint)
}

fn labels(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(container) = c.view.container().filter(|container| !container.labels.is_empty()) else {
        return false;
    };
    for (i, (name, value)) in container.labels.iter().enumerate() {
        for part in [if i == 0 { &b""[..] } else { b", " }, name, b":", value] {
            out.extend_from_slice(part);
        }
    }
    true
}

fn env(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(record) = json(c) else { return false };
    let Some(name) = c.arg else { return push_words(out, &record, "env") };
    match variable(&record, name) {
        Some(value) => out.extend_from_slice(value.as_bytes()),
        None => return false,
    }
    true
}

/// A variable of the environment in a record.
pub(super) fn variable<'a>(record: &'a Json, name: &str) -> Option<&'a str> {
    let entries = record.get("env")?.as_array()?.iter().filter_map(Json::as_str);
    entries
        .filter_map(|entry| entry.split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

fn push_words(out: &mut Vec<u8>, object: &Json, name: &str) -> bool {
    let Some(words) = object.get(name).and_then(Json::as_array).filter(|words| !words.is_empty()) else {
        return false;
    };
    for (i, word) in words.iter().filter_map(Json::as_str).enumerate() {
        out.extend_from_slice(if i == 0 { b"" } else { b" " });
        out.extend_from_slice(word.as_bytes());
    }
    true
}

fn ports(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(record) = json(c) else { return false };
    let all = record.get("port_mappings").and_then(Json::as_array).filter(|all| !all.is_empty());
    let number = |port: &Json, name: &str| port.get(name).and_then(Json::as_u64).unwrap_or(0);
    for (i, port) in all.into_iter().flatten().enumerate() {
        let ip = std::net::Ipv4Addr::from(number(port, "HostIp") as u32);
        let blank = if i == 0 { "" } else { ", " };
        let (host, container) = (number(port, "HostPort"), number(port, "ContainerPort"));
        out.extend_from_slice(format!("{blank}{ip}:{host}->{container}").as_bytes());
    }
    all.is_some()
}
