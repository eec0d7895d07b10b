//! The client of the Kubernetes container runtime interface: containerd, CRI-O, cri-dockerd.
//!
//! Containers are asked about when the stream shows them. A sandbox cannot be asked for before it
//! is started, so what is not there is asked for again for a while.

pub(super) mod from_json;
mod grpc;
mod messages;
#[cfg(test)]
mod tests;

use super::bundle::bundle;
use super::endpoint::Endpoint;
use super::json::{self, parse, text};
use super::metadata::{Metadata, Mount, Pod};
use super::requests::{Requests, Served, Wanted};
use super::store::Store;
use capture_engine::state::cgroups::ContainerKind;
use grpc::{Channel, GrpcError};
use messages::{
    ContainerStatusResponse, ListRequest, ListResponse, SandboxStatusResponse, StatusRequest, VersionRequest,
    VersionResponse,
};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Pauses before what is not there is asked for again.
const AGAIN: [Duration; 7] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];
const NS_PER_S: i64 = 1_000_000_000;

/// The engine behind one socket.
#[derive(Clone, Debug)]
pub(super) struct Cri {
    endpoint: Endpoint,
    store: Arc<Store>,
}

impl Cri {
    pub(super) fn new(endpoint: Endpoint, store: Arc<Store>) -> Self {
        Cri { endpoint, store }
    }

    pub(super) fn socket(&self) -> &Path {
        self.endpoint.path()
    }

    /// Serves until the engine goes away or the capture ends.
    pub(super) async fn serve(&self, requests: &mut Requests) -> Result<Served, GrpcError> {
        let (channel, mut connection) = Channel::connect(&self.endpoint).await?;
        let version: VersionResponse = call(&channel, "Version", &VersionRequest::default()).await?;
        let asker = Asker { channel, store: self.store.clone(), kind: kind_of(&version.runtime_name) };
        for method in ["ListPodSandbox", "ListContainers"] {
            let list: ListResponse = call(&asker.channel, method, &ListRequest {}).await?;
            for item in list.items {
                requests.spawn(asker.clone().ask(Wanted { full_id: item.id, kind: asker.kind })).await;
            }
        }
        loop {
            tokio::select! {
                _ = &mut connection => return Ok(Served::Gone),
                wanted = requests.next() => match wanted {
                    None => return Ok(Served::Ended),
                    Some(wanted) => requests.spawn(asker.clone().ask(wanted)).await,
                },
            }
        }
    }
}

/// What a question needs.
#[derive(Clone, Debug)]
struct Asker {
    channel: Channel,
    store: Arc<Store>,
    kind: ContainerKind,
}

impl Asker {
    async fn ask(self, wanted: Wanted) {
        let question = StatusRequest { id: wanted.full_id, verbose: true };
        let is_ours =
            matches!(wanted.kind, ContainerKind::Cri | ContainerKind::Crio | ContainerKind::Containerd);
        for pause in AGAIN {
            match self.ask_once(&question).await {
                Ok(()) => return,
                // Others' containers are not waited for.
                Err(GrpcError::NotFound) if is_ours => tokio::time::sleep(pause).await,
                Err(error) => {
                    log::debug!("container {}: {error}", question.id);
                    return;
                }
            }
        }
    }

    /// Asks for the container, else for the sandbox, of this id.
    async fn ask_once(&self, question: &StatusRequest) -> Result<(), GrpcError> {
        let answer = call::<ContainerStatusResponse>(&self.channel, "ContainerStatus", question).await;
        let answer = match answer {
            Err(GrpcError::NotFound) => {
                let answer = call(&self.channel, "PodSandboxStatus", question).await?;
                self.store.merge(sandbox(&answer, self.kind).ok_or(GrpcError::Damaged)?);
                return Ok(());
            }
            answer => answer?,
        };
        let info = info_of(&answer.info);
        let mut metadata = container(&answer, &info, self.kind).ok_or(GrpcError::Damaged)?;
        let sandbox_id = text(&info, &["sandboxID"]);
        if !sandbox_id.is_empty() {
            let question = StatusRequest { id: sandbox_id, verbose: true };
            if let Ok(answer) = call(&self.channel, "PodSandboxStatus", &question).await
                && let Some(sandbox) = sandbox(&answer, self.kind)
            {
                metadata.ip.clone_from(&sandbox.ip);
                metadata.pod = sandbox.pod;
            }
        }
        metadata.settle_pod();
        self.store.merge(metadata);
        Ok(())
    }
}

async fn call<Answer: prost::Message + Default>(
    channel: &Channel,
    method: &str,
    question: &impl prost::Message,
) -> Result<Answer, GrpcError> {
    channel.call(&format!("/runtime.v1.RuntimeService/{method}"), question).await
}

fn kind_of(runtime_name: &str) -> ContainerKind {
    match runtime_name {
        "containerd" => ContainerKind::Containerd,
        "cri-o" => ContainerKind::Crio,
        "docker" => ContainerKind::Docker,
        _ => ContainerKind::Cri,
    }
}

/// The verbose part, which both known engines give under this name as JSON.
fn info_of(info: &HashMap<String, String>) -> Value {
    info.get("info").and_then(|text| parse(text.as_bytes())).unwrap_or_default()
}

fn container(answer: &ContainerStatusResponse, info: &Value, kind: ContainerKind) -> Option<Metadata> {
    let status = answer.status.as_ref()?;
    let mut metadata = match info.get("runtimeSpec") {
        Some(spec) => bundle(spec, &status.id),
        None => Metadata { full_id: status.id.clone(), ..Metadata::default() },
    };
    metadata.merge(Metadata {
        kind: Some(kind),
        name: status.metadata.as_ref().map(|m| m.name.clone()).unwrap_or_default(),
        image: status.image.as_ref().map(|i| i.image.clone()).unwrap_or_default(),
        labels: status.labels.clone().into_iter().collect(),
        created_s: status.created_at_ns / NS_PER_S,
        mounts: status.mounts.iter().map(mount).collect(),
        is_pod_sandbox: Some(false),
        privileged: privileged(info),
        ..Metadata::default()
    });
    // A reference with a name is a pulled image's digest; without one it is the image's own id.
    match status.image_ref.split_once('@') {
        Some((_, digest)) => metadata.image_digest = digest.to_owned(),
        None => {
            let id = &status.image_ref;
            metadata.image_id = id.strip_prefix("sha256:").unwrap_or(id).to_owned();
        }
    }
    Some(metadata)
}

fn privileged(info: &Value) -> Option<bool> {
    let in_config = json::at(info, &["config", "linux", "security_context", "privileged"]);
    let told = in_config.or_else(|| info.get("privileged")).and_then(Value::as_bool);
    // Protobuf's JSON leaves out what is false.
    told.or_else(|| info.get("config").map(|_| false))
}

fn mount(mount: &messages::Mount) -> Mount {
    let propagation = match mount.propagation {
        1 => "rslave",
        2 => "rshared",
        _ => "private",
    };
    Mount {
        source: mount.host_path.clone(),
        destination: mount.container_path.clone(),
        mode: if mount.readonly { "ro".into() } else { "rw".into() },
        is_writable: !mount.readonly,
        propagation: propagation.into(),
    }
}

fn sandbox(answer: &SandboxStatusResponse, kind: ContainerKind) -> Option<Metadata> {
    let status = answer.status.as_ref()?;
    let info = info_of(&answer.info);
    let mut metadata = match info.get("runtimeSpec") {
        Some(spec) => bundle(spec, &status.id),
        None => Metadata { full_id: status.id.clone(), ..Metadata::default() },
    };
    let named = status.metadata.clone().unwrap_or_default();
    let ip = status.network.as_ref().map(|n| n.ip.clone()).unwrap_or_default();
    let labels: std::collections::BTreeMap<String, String> = status.labels.clone().into_iter().collect();
    metadata.merge(Metadata {
        kind: Some(kind),
        name: named.name.clone(),
        image: text(&info, &["image"]),
        labels: labels.clone(),
        ip: ip.clone(),
        created_s: status.created_at_ns / NS_PER_S,
        is_pod_sandbox: Some(true),
        pod: Some(Pod {
            sandbox_id: status.id.clone(),
            name: named.name,
            namespace: named.namespace,
            uid: named.uid,
            ip,
            labels,
        }),
        ..Metadata::default()
    });
    metadata.settle_pod();
    Some(metadata)
}
