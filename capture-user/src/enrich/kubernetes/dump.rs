//! Dumps of a cluster: what `kubectl get -o json` prints, or answers of the API server.

use super::object::{Document, NotJson};
use super::objects::Objects;

/// Why a dump was not read.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// It is no JSON.
    #[error("{0}; wanted is what `kubectl get pods,namespaces,... -A -o json` prints")]
    Json(#[from] NotJson),
    /// It is something else.
    #[error(
        "no object of a cluster in it; wanted is what `kubectl get pods,namespaces,nodes,services,replicasets,\
         deployments,daemonsets,statefulsets,jobs,cronjobs,replicationcontrollers -A -o json` prints"
    )]
    Empty,
}

/// A dump that was read, and is in nobody's objects yet.
#[derive(Debug)]
pub(crate) struct Dumped(Document);

impl Dumped {
    /// Reads a dump.
    ///
    /// # Errors
    /// Where it is no JSON.
    pub(crate) fn read(json: &[u8]) -> Result<Dumped, DumpError> {
        Ok(Dumped(Document::read(json)?))
    }
}

impl Objects {
    /// Takes over all objects of a dump; how many those are. Several dumps add up.
    pub(crate) fn put_dump(&mut self, dump: Dumped) -> usize {
        let Dumped(document) = dump;
        let of_list = document.kind;
        let mut count = 0;
        let single = (!document.object.name.is_empty()).then_some((of_list, document.object));
        for (kind, object) in document.items.into_iter().chain(single) {
            // Objects of a list of one kind do not repeat it.
            if let Some(kind) = kind.or(of_list) {
                self.put(kind, object, 0);
                count += 1;
            }
        }
        count
    }
}
