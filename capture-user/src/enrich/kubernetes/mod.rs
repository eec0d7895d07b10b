//! What Kubernetes knows of the pods of this machine: who made them, and what is around them.
//!
//! ```text
//! API server <--list, watch-- follow (one per kind) --+
//! dump of kubectl ------------------------------------+--> objects --around a pod--> surroundings
//!                                                                                         |
//!                                               container's record in the stream <--store-+
//! ```
//!
//! A thread of its own asks; the store of containers looks up what is around a pod when a record is
//! made, and makes it anew when the cluster says something else.
//!
//! Invariant: objects are small records of bounded size, whatever a server says; and nothing waits for
//! the server but, once, for a moment, the first records of a capture.

mod access;
mod client;
mod dump;
mod follow;
mod kubeconfig;
mod lenient;
mod object;
mod objects;
mod pause;
mod resources;
mod said;
mod surroundings;
#[cfg(test)]
mod tests;
mod tls;
mod yaml;

pub use access::{AccessError, KubernetesOptions};
pub use dump::DumpError;
pub(crate) use dump::Dumped;
pub(crate) use objects::Objects;
pub(crate) use surroundings::{PodName, Surroundings};

use super::store::Store;
use access::Access;
use capture_engine::state::k8s::Kind;
use client::{Client, ClientError};
use follow::Follower;
use object::Document;
use resources::{RESOURCES, escaped};
use said::Said;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};

/// How long the first records of a capture wait for the first lists, at most.
const OPENING_MAX: Duration = Duration::from_secs(1);
/// Changes are gathered for so long before records are made anew.
const GATHER: Duration = Duration::from_millis(50);
/// Looking through the containers for what a change means takes at most one part in so many.
const REST: u32 = 20;

/// An API server to ask.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    /// What was found by itself need not be of use: then the reason.
    access: Result<Access, String>,
    node: Option<String>,
    say: fn(&str),
}

impl Kubernetes {
    /// The server that the options, else the environment, name; `None` where they name none.
    /// `say` tells the user, one message at a time, what cannot be found out, and why.
    ///
    /// # Errors
    /// When the options do not lead to a server, or files that they name cannot be read.
    pub fn find(options: &KubernetesOptions, say: fn(&str)) -> Result<Option<Kubernetes>, AccessError> {
        let is_asked = options.url.is_some() || options.kubeconfig.is_some() || options.credentials.is_some();
        let access = match Access::find(options) {
            // It need not be for this machine: told when a pod is seen.
            Err(error) if !is_asked => Some(Err(error.to_string())),
            found => found?.map(Ok),
        };
        Ok(access.map(|access| Kubernetes { access, node: access::node_told(options), say }))
    }

    /// The server and where its credentials are from, for people; or why it cannot be asked.
    pub fn describe(&self) -> Result<String, &str> {
        match &self.access {
            Ok(access) => Ok(format!("{} ({})", access.server, access.source)),
            Err(reason) => Err(reason),
        }
    }
}

/// The cluster of this machine, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    objects: Mutex<Objects>,
    /// The first lists are under way.
    is_opening: AtomicBool,
    /// A pod was seen on this machine.
    pod_seen: Notify,
}

impl Cluster {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        // A panic elsewhere leaves whole objects.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is worth a wait: the first lists will be there in a moment.
    pub(super) fn is_opening(&self) -> bool {
        self.is_opening.load(Ordering::Acquire)
    }

    /// What is known around a pod.
    pub(super) fn around(&self, pod: &PodName) -> Surroundings {
        self.objects().around(pod)
    }

    /// There is a pod on this machine.
    pub(super) fn pod_seen(&self) {
        self.pod_seen.notify_one();
    }
}

/// The client, running until this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    _end: mpsc::Sender<()>,
    #[cfg(test)]
    said: Arc<Said>,
}

/// Starts the client on a thread of its own.
pub(super) fn start(
    kubernetes: &Kubernetes,
    cluster: Arc<Cluster>,
    store: Arc<Store>,
) -> std::io::Result<Running> {
    let (end, mut ended) = mpsc::channel(1);
    let Kubernetes { access, node, say } = kubernetes.clone();
    let said = Arc::new(Said::new(say));
    let running = Running {
        _end: end,
        #[cfg(test)]
        said: said.clone(),
    };
    cluster.is_opening.store(access.as_ref().is_ok_and(|access| !access.is_guess), Ordering::Release);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    std::thread::Builder::new().name("capture-k8s".into()).spawn(move || {
        let serving = async {
            match access {
                Ok(access) => serve(access, node, said, cluster, store).await,
                Err(reason) => {
                    cluster.pod_seen.notified().await;
                    said.once(format!("no API server is asked: {reason}"));
                }
            }
        };
        runtime.block_on(async {
            tokio::select! {
                _ = ended.recv() => {}
                () = serving => {}
            }
        });
        // A look-up of a name that hangs is not waited for.
        runtime.shutdown_background();
    })?;
    Ok(running)
}

async fn serve(
    access: Access,
    node: Option<String>,
    said: Arc<Said>,
    cluster: Arc<Cluster>,
    store: Arc<Store>,
) {
    let is_guess = access.is_guess;
    let shared = Arc::new(Shared {
        client: Client::new(access),
        cluster,
        store,
        said,
        node: watch::Sender::new(node),
        unsettled: Mutex::new(RESOURCES.iter().map(|resource| resource.kind).collect()),
        changed: Notify::new(),
    });
    if is_guess {
        // A kubeconfig may lead anywhere: it is used where there are pods.
        shared.cluster.pod_seen.notified().await;
        shared.cluster.is_opening.store(true, Ordering::Release);
    }
    let opening = async {
        tokio::time::sleep(OPENING_MAX).await;
        shared.end_opening();
        std::future::pending::<()>().await
    };
    let following = async {
        if shared.node().is_none() {
            shared.find_node().await;
        }
        let mut all = tokio::task::JoinSet::new();
        for resource in &RESOURCES {
            all.spawn(Follower::new(shared.clone(), resource).run());
        }
        while all.join_next().await.is_some() {}
    };
    tokio::select! {
        () = opening => {}
        () = following => {}
        () = shared.tell_changes() => {}
    }
}

/// What the followers of all kinds share.
#[derive(Debug)]
struct Shared {
    client: Client,
    cluster: Arc<Cluster>,
    store: Arc<Store>,
    said: Arc<Said>,
    /// The name of this machine's node, once it is known.
    node: watch::Sender<Option<String>>,
    /// Kinds whose first list is not there yet.
    unsettled: Mutex<HashSet<Kind>>,
    changed: Notify,
}

impl Shared {
    fn node(&self) -> Option<String> {
        self.node.borrow().clone()
    }

    /// A kubelet calls its node by the host's name, if nobody says otherwise; asks whether there is a
    /// node of that name.
    async fn find_node(&self) {
        let Ok(name) = std::fs::read_to_string("/proc/sys/kernel/hostname") else { return };
        let name = name.trim().to_lowercase();
        let target = format!("/api/v1/nodes/{}", escaped(&name));
        let found = async {
            let answer = self.client.get(&target, "application/json").await?;
            let is_good = answer.status == 200;
            let node = Document::read(&answer.whole().await?).unwrap_or_default().object.name;
            Ok(is_good && *node == *name)
        };
        match found.await {
            Ok(true) => self.set_node(name),
            // Then a pod of this machine tells, or all pods are kept.
            Ok(false) => {}
            Err(error) => self.is_unreachable(&error),
        }
    }

    fn set_node(&self, name: String) {
        self.node.send_replace(Some(name));
    }

    fn say(&self, message: String) {
        self.said.once(message);
    }

    fn is_reached(&self) {
        self.said.up(|| format!("the API server {} answers again", self.client.access().server));
    }

    fn is_unreachable(&self, error: &ClientError) {
        let Access { server, source, .. } = self.client.access();
        self.said.down(format!(
            "the API server {server} ({source}) does not answer: {error}; pods have the names that their \
             containers tell, and it is asked again"
        ));
        self.end_opening();
    }

    fn is_unauthorized(&self, message: &str) {
        let Access { server, source, .. } = self.client.access();
        self.say(format!("the API server {server} does not accept the credentials ({source}): {message}"));
    }

    /// The first list of a kind is there, or will not be.
    fn is_settled(&self, kind: Kind) {
        let mut unsettled = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        if unsettled.remove(&kind) && unsettled.is_empty() {
            drop(unsettled);
            self.end_opening();
        }
    }

    fn end_opening(&self) {
        if self.cluster.is_opening.swap(false, Ordering::AcqRel) {
            self.store.cluster_changed();
        }
    }

    fn changed(&self) {
        self.changed.notify_one();
    }

    /// Has records made anew after changes.
    async fn tell_changes(&self) {
        let mut told = 0;
        let mut took = Duration::ZERO;
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.cluster.pod_seen.notified() => {}
            }
            tokio::time::sleep(GATHER.max(took * REST)).await;
            let version = self.cluster.objects().version();
            if version != told {
                told = version;
                let begun = Instant::now();
                self.store.cluster_changed();
                took = begun.elapsed();
            }
            if self.node().is_none()
                && let Some(node) = self.store.node_of_a_pod()
            {
                self.set_node(node);
            }
        }
    }
}
