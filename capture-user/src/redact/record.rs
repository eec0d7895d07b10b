//! The record of a container without its secrets: environment, labels by their names, and the commands of
//! the container and its health checks.

use super::command_line;
use super::secrets::{REDACTED, Secrets};
use serde_json::{Value, json};

/// Members that are commands: an object with `exe` and `args`.
const PROBES: [&str; 3] = ["Healthcheck", "LivenessProbe", "ReadinessProbe"];
/// Members of the container's object that are labels.
const LABELS: [&str; 2] = ["labels", "pod_sandbox_labels"];
/// What stands for a record that cannot be read, which nobody else can read either.
const UNREADABLE: &[u8] = b"{}";

/// The record without its secrets; `None` where it has none.
pub(super) fn redacted(json: &[u8], secrets: &Secrets) -> Option<Vec<u8>> {
    let Ok(mut record) = serde_json::from_slice::<Value>(json) else { return Some(UNREADABLE.to_vec()) };
    let mut count = 0;
    if let Some(container) = record.get_mut("container") {
        for entry in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(other) = entry.as_str().and_then(|text| secrets.entry(text)) {
                // What was redacted when it was recorded stays so.
                count += u64::from(entry.as_str() != Some(other.as_str()));
                *entry = other.into();
            }
        }
        for name in LABELS {
            count += container.get_mut(name).map_or(0, |labels| in_labels(labels, secrets));
        }
        for name in PROBES {
            count += container.get_mut(name).map_or(0, |probe| in_list(probe.get_mut("args"), secrets));
        }
        let ours = container.get_mut("capture");
        count += ours.map_or(0, |ours| in_list(ours.get_mut("command"), secrets));
        if count > 0 {
            let before = container["capture"]["redacted"].as_u64().unwrap_or(0);
            container["capture"]["redacted"] = json!(before + count);
        }
    }
    let objects = record.get_mut("k8s").and_then(Value::as_object_mut).into_iter().flatten();
    for (_, object) in objects {
        count += match object {
            Value::Array(list) => list
                .iter_mut()
                .filter_map(|o| o.get_mut("labels"))
                .map(|labels| in_labels(labels, secrets))
                .sum(),
            other => other.get_mut("labels").map_or(0, |labels| in_labels(labels, secrets)),
        };
    }
    (count > 0).then(|| record.to_string().into_bytes())
}

fn in_labels(labels: &mut Value, secrets: &Secrets) -> u64 {
    let mut count = 0;
    for (name, value) in labels.as_object_mut().into_iter().flatten() {
        let Some(text) = value.as_str().filter(|text| !text.is_empty() && *text != REDACTED) else {
            continue;
        };
        let other = if secrets.names_one(name) { Some(REDACTED.to_owned()) } else { secrets.value(text) };
        if let Some(other) = other {
            count += 1;
            *value = other.into();
        }
    }
    count
}

fn in_list(list: Option<&mut Value>, secrets: &Secrets) -> u64 {
    let Some(words) = list.and_then(Value::as_array_mut) else { return 0 };
    let texts: Vec<&str> = words.iter().map(|word| word.as_str().unwrap_or("")).collect();
    let Some(others) = command_line::list(&texts, secrets) else { return 0 };
    let changed = texts.iter().zip(&others).filter(|(old, new)| *old != new).count() as u64;
    *words = others.into_iter().map(Value::from).collect();
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_can_hold_a_secret_is_looked_at() {
        let record = json!({
            "container": {
                "id": "a", "env": ["A=b", "TOKEN=hunter2"], "labels": {"db-password": "hunter2", "app": "web"},
                "Healthcheck": {"exe": "curl", "args": ["--token", "hunter2"]},
                "capture": {"command": ["run", "--password=hunter2"], "redacted": 1},
            },
            "k8s": {"pod": {"name": "p", "labels": {"secret": "hunter2"}}, "svc": [{"labels": {"k": "v"}}]},
        });
        let out = redacted(record.to_string().as_bytes(), &Secrets::default()).unwrap();
        let text = std::str::from_utf8(&out).unwrap();
        assert!(!text.contains("hunter2") && text.contains("\"redacted\":5"), "{text}");
        assert!(text.contains("\"app\":\"web\"") && text.contains("A=b"), "{text}");
        // Once is enough.
        assert_eq!(redacted(&out, &Secrets::default()), None);
        assert_eq!(redacted(b"{\"container\":", &Secrets::default()).as_deref(), Some(UNREADABLE));
        assert_eq!(redacted(b"[5]", &Secrets::default()), None);
    }
}
