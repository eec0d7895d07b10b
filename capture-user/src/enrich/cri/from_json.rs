//! The answers of CRI in the JSON form that `crictl inspect` and `crictl inspectp` print: the same
//! messages, numbers of 64 bits as text.

use super::messages::{
    ContainerMetadata, ContainerStatus, ContainerStatusResponse, ImageSpec, Mount, SandboxMetadata,
    SandboxNetwork, SandboxStatus, SandboxStatusResponse,
};
use super::{container, kind_of, sandbox};
use crate::enrich::json::{at, items, map, seconds, text};
use crate::enrich::metadata::Metadata;
use capture_engine::state::cgroups::ContainerKind;
use serde_json::Value;
use std::collections::HashMap;

const NS_PER_S: i64 = 1_000_000_000;

/// The container or sandbox of an answer with `status` and `info`.
pub(in crate::enrich) fn metadata(answer: &Value) -> Option<Metadata> {
    let status = answer.get("status")?;
    if text(status, &["id"]).is_empty() {
        return None;
    }
    // In the verbose answer itself the object is one member of a map of texts.
    let info = at(answer, &["info", "info"]).or_else(|| answer.get("info"));
    let info = HashMap::from([("info".to_owned(), info.map(Value::to_string).unwrap_or_default())]);
    let kind = match text(answer, &["info", "runtimeType"]).as_str() {
        "" => ContainerKind::Cri,
        kind if kind.starts_with("io.containerd") => ContainerKind::Containerd,
        other => kind_of(other),
    };
    let is_container = status.get("image").is_some_and(Value::is_object);
    let mut metadata = match is_container {
        true => {
            let answer = ContainerStatusResponse { status: Some(container_status(status)), info };
            container(&answer, &super::info_of(&answer.info), kind)?
        }
        false => sandbox(&SandboxStatusResponse { status: Some(sandbox_status(status)), info }, kind)?,
    };
    metadata.settle_pod();
    Some(metadata)
}

/// A time: ns as number or text, or as text of a date.
fn created_ns(status: &Value) -> i64 {
    let value = status.get("createdAt");
    let as_text = text(status, &["createdAt"]);
    let number = value.and_then(Value::as_i64).or_else(|| as_text.parse().ok());
    number.unwrap_or_else(|| seconds(&as_text).saturating_mul(NS_PER_S))
}

fn container_status(status: &Value) -> ContainerStatus {
    ContainerStatus {
        id: text(status, &["id"]),
        metadata: Some(ContainerMetadata { name: text(status, &["metadata", "name"]) }),
        created_at_ns: created_ns(status),
        image: Some(ImageSpec { image: text(status, &["image", "image"]) }),
        image_ref: text(status, &["imageRef"]),
        labels: map(status, &["labels"]).into_iter().collect(),
        mounts: items(status, &["mounts"]).iter().map(mount).collect(),
    }
}

fn mount(mount: &Value) -> Mount {
    let propagation = mount.get("propagation");
    let by_name = match propagation.and_then(Value::as_str) {
        Some("PROPAGATION_HOST_TO_CONTAINER") => 1,
        Some("PROPAGATION_BIDIRECTIONAL") => 2,
        _ => 0,
    };
    Mount {
        container_path: text(mount, &["containerPath"]),
        host_path: text(mount, &["hostPath"]),
        readonly: mount.get("readonly").and_then(Value::as_bool).unwrap_or(false),
        propagation: propagation.and_then(Value::as_i64).map_or(by_name, |n| n as i32),
    }
}

fn sandbox_status(status: &Value) -> SandboxStatus {
    SandboxStatus {
        id: text(status, &["id"]),
        metadata: Some(SandboxMetadata {
            name: text(status, &["metadata", "name"]),
            uid: text(status, &["metadata", "uid"]),
            namespace: text(status, &["metadata", "namespace"]),
        }),
        created_at_ns: created_ns(status),
        network: Some(SandboxNetwork { ip: text(status, &["network", "ip"]) }),
        labels: map(status, &["labels"]).into_iter().collect(),
    }
}
