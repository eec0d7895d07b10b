//! The client of the Docker API, which podman speaks, too: events as they come, and the whole
//! answer about each container that the stream shows.
//!
//! The events are asked for before the list, so that nothing falls between the two. A daemon that
//! goes away is looked for again until the capture ends.

pub(super) mod parse;

use super::endpoint::Endpoint;
use super::http::{self, HttpError};
use super::json;
use super::requests::{Requests, Served};
use super::store::Store;
use capture_engine::state::cgroups::ContainerKind;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Only events of containers: `filters={"type":["container"]}`.
const EVENTS: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D";

/// The daemon behind one socket.
#[derive(Clone, Debug)]
pub(super) struct Docker {
    endpoint: Endpoint,
    store: Arc<Store>,
}

impl Docker {
    pub(super) fn new(endpoint: Endpoint, store: Arc<Store>) -> Self {
        Docker { endpoint, store }
    }

    pub(super) fn socket(&self) -> &Path {
        self.endpoint.path()
    }

    /// Serves until the daemon goes away or the capture ends.
    pub(super) async fn serve(&self, requests: &mut Requests) -> Result<Served, HttpError> {
        let version = http::get(&self.endpoint, "/version", http::ONE_MAX).await?;
        let kind = json::parse(&version).map_or(ContainerKind::Docker, |v| kind_of(&v));
        let mut events = http::lines(&self.endpoint, EVENTS).await?;
        let listed = http::get(&self.endpoint, "/containers/json", http::LIST_MAX).await?;
        for id in json::parse(&listed).map(|list| parse::listed(&list)).unwrap_or_default() {
            requests.spawn(self.clone().ask(id, kind)).await;
        }
        loop {
            tokio::select! {
                line = events.next() => match line? {
                    None => return Ok(Served::Gone),
                    Some(line) => {
                        let Some(told) = json::parse(&line).and_then(|l| parse::event(&l, kind)) else { continue };
                        let again = told.is_change && self.store.is_seen(&told.metadata.full_id);
                        let id = told.metadata.full_id.clone();
                        self.store.merge(told.metadata);
                        if again {
                            requests.spawn(self.clone().ask(id, kind)).await;
                        }
                    }
                },
                wanted = requests.next() => match wanted {
                    None => return Ok(Served::Ended),
                    Some(wanted) => requests.spawn(self.clone().ask(wanted.full_id, kind)).await,
                },
            }
        }
    }

    /// Asks for one container. One that this daemon does not know costs an answer of 404.
    async fn ask(self, id: String, kind: ContainerKind) {
        // Ids come from cgroups; nothing else may become part of the target.
        if !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return;
        }
        let target = format!("/containers/{id}/json");
        let Ok(answer) = http::get(&self.endpoint, &target, http::ONE_MAX).await else { return };
        if let Some(metadata) = json::parse(&answer).and_then(|a| parse::inspect(&a, kind)) {
            self.store.merge(metadata);
        }
    }
}

/// Podman says its name among the components of `/version`.
fn kind_of(version: &Value) -> ContainerKind {
    let components = json::items(version, &["Components"]);
    let is_podman = components.iter().any(|c| json::text(c, &["Name"]).starts_with("Podman"));
    if is_podman { ContainerKind::Podman } else { ContainerKind::Docker }
}
