//! Metadata of containers for a live capture, from the machine's own engines.
//!
//! ```text
//! drain thread --seen, bundle--> disk thread (bundle) ----------+
//!                          \---> engines (docker, cri), tokio --+--> store --> consumer: record, updates
//!                          kubernetes (API server), tokio ------+
//! ```
//!
//! Threads of their own: one reads what runtimes keep on disk, at once, because a container of
//! 20 ms is gone in 100; one runs the clients of the engines, which complete and correct it; one asks
//! the API server of the cluster what is around the pods.
//!
//! Invariant: nobody who feeds this waits, whatever engines do; a question that finds its queue
//! full is dropped. What a peer may say in a second and what is kept of it are bounded. Nothing here is asked in a replay.

mod bolt;
mod bundle;
mod cri;
mod databases;
mod docker;
mod dump;
mod endpoint;
mod http;
mod json;
pub mod kubernetes;
mod metadata;
mod offline;
mod requests;
mod sockets;
mod store;
#[cfg(test)]
mod tests;
mod throttle;

pub use dump::{Dump, DumpError};
pub use offline::{EnrichStats, Enricher};

use crate::live::containers::{Directory, Sighting};
use crate::live::priority;
use bundle::Bundles;
use endpoint::Endpoint;
use kubernetes::{Cluster, Kubernetes};
use requests::{Requests, Wanted, keep_serving};
use sockets::Protocol;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::mpsc;

/// Notes that may wait for the disk thread.
const DISK_QUEUE: usize = 4096;
/// Looks at the disk for a container whose bundle is not there yet, and the pause between.
const DISK_LOOKS: u32 = 5;
const DISK_PAUSE: Duration = Duration::from_millis(10);

/// Where to ask.
#[derive(Clone, Debug, Default)]
pub struct EnrichOptions {
    /// Sockets of CRI engines beside the usual ones.
    pub cri: Vec<PathBuf>,
    /// The API server of the cluster that this machine is in.
    pub kubernetes: Option<Kubernetes>,
}

/// The usual and the named sockets of engines that are there: those that can be connected to, and
/// the others.
pub fn sockets_here() -> (Vec<String>, Vec<String>) {
    let all = sockets::all(&[], |name| std::env::var(name).ok());
    let here = all.into_iter().filter(|(path, _)| path.exists());
    let connects = |path: &PathBuf| std::os::unix::net::UnixStream::connect(path).is_ok();
    let (open, closed): (Vec<_>, Vec<_>) = here.map(|(path, _)| path).partition(connects);
    let names = |paths: Vec<PathBuf>| paths.iter().map(|path| path.display().to_string()).collect();
    (names(open), names(closed))
}

/// The engines' sockets and the API server, before anybody asks.
#[derive(Debug)]
pub struct Sources {
    engines: Vec<(Endpoint, Protocol)>,
    kubernetes: Option<Kubernetes>,
}

impl Sources {
    /// All that are to be looked at.
    pub fn find(options: &EnrichOptions) -> Sources {
        let sockets = sockets::all(&options.cri, |name| std::env::var(name).ok());
        let engines = sockets.into_iter().map(|(path, of)| (Endpoint::new(path), of)).collect();
        Sources { engines, kubernetes: options.kubernetes.clone() }
    }

    /// Connects to those that are there now, for a capture that may not do so later.
    pub fn connect_ahead(&self) {
        for (endpoint, protocol) in &self.engines {
            endpoint.connect_ahead(protocol.connections());
        }
    }
}

/// The sources of metadata, running until this is dropped.
#[derive(Debug)]
pub struct Enrichment {
    store: Arc<Store>,
    disk: Mutex<SyncSender<Note>>,
    engines: Vec<mpsc::Sender<Wanted>>,
    #[expect(dead_code, reason = "dropping it ends the client")]
    kubernetes: Option<kubernetes::Running>,
}

#[derive(Debug)]
enum Note {
    Bundle(String),
    Seen(String),
}

impl Enrichment {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(sources: Sources) -> std::io::Result<Enrichment> {
        Self::start_with(Bundles::usual(), sources.engines, sources.kubernetes.as_ref())
    }

    fn start_with(
        bundles: Bundles,
        engines: Vec<(Endpoint, Protocol)>,
        kubernetes: Option<&Kubernetes>,
    ) -> std::io::Result<Enrichment> {
        let cluster = Arc::new(Cluster::default());
        let store = match kubernetes {
            Some(_) => Arc::new(Store::of_cluster(cluster.clone())),
            None => Arc::new(Store::default()),
        };
        // First, since it has the longest way.
        let kubernetes = kubernetes.map(|of| kubernetes::start(of, cluster, store.clone())).transpose()?;
        let (disk, notes) = sync_channel(DISK_QUEUE);
        let of_disk = store.clone();
        // Neither is waited for at the end: both end with their queues, and a reader that hangs
        // (a dead file system) must not keep the program.
        std::thread::Builder::new().name("capture-disk".into()).spawn(move || {
            priority::raise(priority::CONSUMER);
            read_disk(bundles, &notes, &of_disk);
        })?;
        let (engines, all): (Vec<_>, Vec<_>) = engines.into_iter().map(with_requests).unzip();
        let of_engines = store.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        std::thread::Builder::new().name("capture-engines".into()).spawn(move || {
            priority::raise(priority::CONSUMER);
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let mut serving = tokio::task::JoinSet::new();
                for (endpoint, protocol, requests) in all {
                    serving.spawn_local(serve(endpoint, protocol, requests, of_engines.clone()));
                }
                while serving.join_next().await.is_some() {}
            });
        })?;
        Ok(Enrichment { store, disk: Mutex::new(disk), engines, kubernetes })
    }

    fn note(&self, note: Note) {
        // Only the drain thread and the start use it: the lock is free.
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        // A full queue: the engines may still tell.
        let _ = disk.try_send(note);
    }
}

fn with_requests(
    (endpoint, protocol): (Endpoint, Protocol),
) -> (mpsc::Sender<Wanted>, (Endpoint, Protocol, Requests)) {
    let (sender, requests) = Requests::new();
    (sender, (endpoint, protocol, requests))
}

async fn serve(endpoint: Endpoint, protocol: Protocol, mut requests: Requests, store: Arc<Store>) {
    match protocol {
        Protocol::Docker => {
            let docker = docker::Docker::new(endpoint, store);
            keep_serving(docker.socket(), &mut requests, async |requests| docker.serve(requests).await).await;
        }
        Protocol::Cri => {
            let cri = cri::Cri::new(endpoint, store);
            keep_serving(cri.socket(), &mut requests, async |requests| cri.serve(requests).await).await;
        }
    }
}

/// The disk thread.
fn read_disk(mut bundles: Bundles, notes: &Receiver<Note>, store: &Store) {
    // Containers whose bundle was not there at the last look, with the number of looks.
    let mut again: Vec<(String, u32)> = Vec::new();
    loop {
        let note = if again.is_empty() {
            match notes.recv() {
                Ok(note) => Some(note),
                Err(_) => return,
            }
        } else {
            match notes.recv_timeout(DISK_PAUSE) {
                Ok(note) => Some(note),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => None,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
            }
        };
        match note {
            Some(Note::Bundle(folder)) => bundles.learn(&folder),
            Some(Note::Seen(full_id)) => match bundles.read(&full_id) {
                Some(metadata) => store.merge(metadata),
                None => again.push((full_id, 1)),
            },
            None => again.retain_mut(|(full_id, looks)| match bundles.read(full_id) {
                Some(metadata) => {
                    store.merge(metadata);
                    false
                }
                None => {
                    *looks += 1;
                    *looks < DISK_LOOKS && !store.is_named(full_id)
                }
            }),
        }
    }
}

impl Directory for Enrichment {
    fn seen(&self, sighting: &Sighting) {
        self.store.see(&sighting.full_id, sighting.kind);
        self.note(Note::Seen(sighting.full_id.to_string()));
        for engine in &self.engines {
            // An engine that hangs has its questions dropped.
            let _ = engine.try_send(Wanted { full_id: sighting.full_id.to_string(), kind: sighting.kind });
        }
    }

    fn bundle(&self, folder: &str) {
        self.note(Note::Bundle(folder.to_owned()));
    }

    fn record(&self, id: &str, until: Instant) -> Option<Vec<u8>> {
        self.store.record(id, until)
    }

    fn updates(&self) -> Vec<Vec<u8>> {
        self.store.updates()
    }
}
