//! The kinds of objects that are asked for: one row each.

use capture_engine::state::k8s::Kind;

/// Whole objects.
const WHOLE: &str = "application/json";
/// Metadata alone, which all servers since Kubernetes 1.15 give: a tenth of the bytes.
const META_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const META_WATCH: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Which objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// All of the cluster.
    All,
    /// The pods of this node.
    OnNode,
    /// This node.
    Node,
}

/// A kind of objects, and how to ask for it.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) kind: Kind,
    /// Its name in messages and in roles.
    pub(super) name: &'static str,
    /// Where it is, in newer and in older servers.
    pub(super) paths: &'static [&'static str],
    pub(super) which: Which,
    /// `Accept` for lists and for watches.
    pub(super) accept: [&'static str; 2],
}

impl Resource {
    const fn whole(kind: Kind, name: &'static str, path: &'static [&'static str], which: Which) -> Resource {
        Resource { kind, name, paths: path, which, accept: [WHOLE, WHOLE] }
    }

    const fn metadata(kind: Kind, name: &'static str, path: &'static [&'static str]) -> Resource {
        Resource { kind, name, paths: path, which: Which::All, accept: [META_LIST, META_WATCH] }
    }

    /// The field selector for what is wanted on a node, in the form that URLs have.
    pub(super) fn selector(&self, node: Option<&str>) -> Option<String> {
        let field = match self.which {
            Which::All => return None,
            Which::OnNode => "spec.nodeName",
            Which::Node => "metadata.name",
        };
        Some(format!("&fieldSelector={field}%3D{}", escaped(node?)))
    }
}

#[rustfmt::skip]
pub(super) const RESOURCES: [Resource; 11] = [
    Resource::whole(Kind::Pod, "pods", &["/api/v1/pods"], Which::OnNode),
    Resource::metadata(Kind::Namespace, "namespaces", &["/api/v1/namespaces"]),
    Resource { which: Which::Node, ..Resource::metadata(Kind::Node, "nodes", &["/api/v1/nodes"]) },
    Resource::whole(Kind::Service, "services", &["/api/v1/services"], Which::All),
    Resource::metadata(Kind::ReplicationController, "replicationcontrollers", &["/api/v1/replicationcontrollers"]),
    Resource::metadata(Kind::ReplicaSet, "replicasets", &["/apis/apps/v1/replicasets"]),
    Resource::metadata(Kind::Deployment, "deployments", &["/apis/apps/v1/deployments"]),
    Resource::metadata(Kind::DaemonSet, "daemonsets", &["/apis/apps/v1/daemonsets"]),
    Resource::metadata(Kind::StatefulSet, "statefulsets", &["/apis/apps/v1/statefulsets"]),
    Resource::metadata(Kind::Job, "jobs", &["/apis/batch/v1/jobs"]),
    Resource::metadata(Kind::CronJob, "cronjobs", &["/apis/batch/v1/cronjobs", "/apis/batch/v1beta1/cronjobs"]),
];

/// Text as it may stand in a URL's query.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
