//! Lists, watches, and what happens when they break off.

use super::relations::sample;
use crate::enrich::kubernetes::{Cluster, Kubernetes, KubernetesOptions, Running, start};
use crate::enrich::metadata::{Metadata, Pod};
use crate::enrich::store::Store;
use capture_engine::state::k8s::Kind;
use capture_fakes::Fault;
use capture_fakes::kubernetes::Server;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const PODS: &str = "/api/v1/pods";
const SETS: &str = "/apis/apps/v1/replicasets";
const ID: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de487c3601e";
const WAIT: Duration = Duration::from_secs(30);
/// The lists of a real server, and where it has them.
const LISTS: [(&str, &str); 10] = [
    ("pods", PODS),
    ("namespaces", "/api/v1/namespaces"),
    ("nodes", "/api/v1/nodes"),
    ("services", "/api/v1/services"),
    ("replicationcontrollers", "/api/v1/replicationcontrollers"),
    ("replicasets", SETS),
    ("deployments", "/apis/apps/v1/deployments"),
    ("daemonsets", "/apis/apps/v1/daemonsets"),
    ("statefulsets", "/apis/apps/v1/statefulsets"),
    ("jobs", "/apis/batch/v1/jobs"),
];

/// A client and what it feeds.
pub(super) struct Client {
    pub(super) cluster: Arc<Cluster>,
    pub(super) store: Arc<Store>,
    running: Running,
}

impl Client {
    pub(super) fn of(options: &KubernetesOptions) -> Client {
        let kubernetes = Kubernetes::find(options, |_| {}).unwrap().unwrap();
        let cluster = Arc::new(Cluster::default());
        let store = Arc::new(Store::of_cluster(cluster.clone()));
        let running = start(&kubernetes, cluster.clone(), store.clone()).unwrap();
        Client { cluster, store, running }
    }

    pub(super) fn said(&self) -> Vec<String> {
        self.running.said.all()
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.cluster.objects().count(kind)
    }

    /// A container of a pod is there.
    pub(super) fn run(&self, pod: &str) {
        let pod = Pod { name: pod.into(), namespace: "store".into(), ..Pod::default() };
        let named =
            Metadata { full_id: ID.into(), name: "web".into(), image: "i".into(), ..Metadata::default() };
        self.store.merge(Metadata { pod: Some(pod), ..named });
    }

    pub(super) fn record(&self, wait: Duration) -> Value {
        let record = self.store.record(&ID[..12], Instant::now() + wait).expect("a record");
        serde_json::from_slice(&record).unwrap()
    }

    /// The last of the records that follow, once it is as wanted.
    pub(super) fn updated(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        until(|| {
            if let Some(record) = self.store.updates().pop() {
                last = serde_json::from_slice(&record).unwrap();
            }
            wanted(&last)
        });
        last
    }
}

pub(super) fn options(server: &Server) -> KubernetesOptions {
    KubernetesOptions {
        url: Some(server.url.clone()),
        node: Some("node-1".into()),
        ..KubernetesOptions::default()
    }
}

#[track_caller]
pub(super) fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < WAIT, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn real(version: &str) -> Server {
    let server = Server::start();
    for (name, path) in LISTS {
        server.load(path, &sample(&format!("{version}/{name}.json")));
    }
    server
}

pub(super) fn shop_pod(server: &Server) -> String {
    let list: Value = serde_json::from_slice(&sample("1.32/pods.json")).unwrap();
    assert!(!server.url.is_empty());
    let mut names =
        list["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap());
    names.rfind(|name| name.starts_with("shop-")).unwrap().to_owned()
}

fn pod(name: &str, node: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "store", "uid": format!("u-{name}")}, "spec": {"nodeName": node}})
}

#[test]
fn the_first_record_has_everything_and_changes_follow() {
    let server = real("1.32");
    let name = shop_pod(&server);
    let client = Client::of(&options(&server));
    client.run(&name);
    let record = client.record(WAIT);
    let k8s = &record["k8s"];
    assert_eq!((&k8s["deployment"]["name"], &k8s["svc"][0]["name"]), (&json!("shop"), &json!("shop")));
    assert_eq!((&k8s["ns"]["labels"]["team"], &k8s["node"]["name"]), (&json!("core"), &json!("node-1")));
    assert_eq!(k8s["deployment"]["labels"]["app"], "shop");
    // The label of the namespace changes, the service goes.
    {
        let mut state = server.state();
        let namespace = json!({"metadata": {"name": "store", "uid": "u", "labels": {"team": "shop"}}});
        state.put("/api/v1/namespaces", namespace);
        state.delete("/api/v1/services", "shop");
    }
    let record = client.updated(|r| r["k8s"]["ns"]["labels"]["team"] == "shop" && r["k8s"]["svc"].is_null());
    assert!(record["container"]["capture"]["late"].is_null());
    // What the pod was stays known when it is gone; nothing is told anew.
    server.state().delete(PODS, &name);
    until(|| !server.state().asked.is_empty() && client.cluster.objects().count(Kind::Pod) < 6);
    std::thread::sleep(Duration::from_millis(200));
    assert!(client.store.updates().is_empty() && client.said().is_empty(), "{:?}", client.said());
}

#[test]
fn pods_of_other_nodes_are_left_out_and_pages_followed() {
    let server = Server::start();
    {
        let mut state = server.state();
        for i in 0..5000 {
            let labels: serde_json::Map<_, _> =
                (0..20).map(|l| (format!("label-{l}"), "v".repeat(60).into())).collect();
            let mut pod = pod(&format!("p{i}"), if i % 50 == 0 { "node-1" } else { "node-2" });
            pod["metadata"]["labels"] = labels.into();
            pod["spec"]["containers"] =
                json!([{"name": "web", "image": "i", "env": vec![json!({"name": "A"}); 20]}]);
            state.put(PODS, pod);
        }
    }
    let client = Client::of(&options(&server));
    until(|| client.count(Kind::Pod) == 100);
    // The same without a node: all of them, ten pages, in a bounded room.
    let all = Client::of(&KubernetesOptions { node: None, ..options(&server) });
    until(|| all.count(Kind::Pod) == 5000);
    assert!(server.state().count(&format!("{PODS}?limit=500&continue=")) >= 9);
    let bytes = all.cluster.objects().bytes();
    assert!(bytes < 5000 * 5000, "{bytes}");
}

/// The node is known as soon as a pod of this machine is; then its pods are enough.
#[test]
fn the_node_of_a_pod_narrows_what_is_asked_for() {
    let server = Server::start();
    for i in 0..5000 {
        server.state().put(PODS, pod(&format!("p{i}"), if i % 50 == 0 { "node-1" } else { "node-2" }));
    }
    let all = Client::of(&KubernetesOptions { node: None, ..options(&server) });
    until(|| all.count(Kind::Pod) == 5000);
    all.run("p50");
    until(|| {
        server
            .state()
            .put("/api/v1/namespaces", json!({"metadata": {"name": "store", "labels": {"n": "1"}}}));
        all.count(Kind::Pod) == 100
    });
}

#[test]
fn a_list_that_expires_in_the_middle_begins_again() {
    let server = Server::start();
    {
        let mut state = server.state();
        (0..1200).for_each(|i| state.put(PODS, pod(&format!("p{i}"), "node-1")));
        state.pages_to_refuse = 1;
    }
    let client = Client::of(&options(&server));
    until(|| client.count(Kind::Pod) == 1200 && server.state().count(&format!("{PODS}?watch=1")) == 1);
    assert!(client.said().is_empty(), "{:?}", client.said());
}

#[test]
fn a_version_that_is_too_old_leads_to_a_new_list() {
    let server = Server::start();
    server.state().put(PODS, pod("old", "node-1"));
    let client = Client::of(&options(&server));
    let watches = |n| until(|| server.state().count(&format!("{PODS}?watch=1")) >= n);
    watches(1);
    assert_eq!(client.count(Kind::Pod), 1);
    // Everything happens while the watch is away, and its version is gone when it comes back.
    {
        let mut state = server.state();
        state.delete(PODS, "old");
        state.put(PODS, pod("new", "node-1"));
        state.put(PODS, pod("newer", "node-1"));
        state.version += 5;
        state.oldest = state.version;
        state.connections += 1;
        // As if compacted.
        state.forget();
    }
    until(|| client.count(Kind::Pod) == 2);
    assert!(server.state().count(&format!("{PODS}?limit")) >= 2);
    assert!(client.said().is_empty(), "{:?}", client.said());
}

#[test]
fn a_broken_watch_goes_on_from_its_last_version() {
    let server = Server::start();
    server.state().put(PODS, pod("p0", "node-1"));
    let client = Client::of(&options(&server));
    until(|| server.state().count(&format!("{PODS}?watch=1")) == 1);
    for i in 1..4 {
        server.state().put(PODS, pod(&format!("p{i}"), "node-1"));
        until(|| client.count(Kind::Pod) == i + 1);
        server.disconnect();
        until(|| server.state().count(&format!("{PODS}?watch=1")) > i);
    }
    // Nothing was listed twice.
    assert_eq!(server.state().count(&format!("{PODS}?limit")), 1);
    let state = server.state();
    let last = state.asked.iter().rfind(|target| target.starts_with(&format!("{PODS}?watch=1"))).unwrap();
    assert!(last.contains(&format!("resourceVersion={}&", state.version)), "{last} of {}", state.version);
}

#[test]
fn a_server_that_is_away_is_told_once_and_found_again() {
    // A port where nobody listens, for a while.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let options = KubernetesOptions {
        url: Some(format!("http://{address}")),
        node: Some("node-1".into()),
        ..KubernetesOptions::default()
    };
    let client = Client::of(&options);
    client.run("shop-1");
    let begin = Instant::now();
    let record = client.record(WAIT);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(record["k8s"]["pod"]["name"], "shop-1");
    assert!(record["k8s"]["rs"].is_null());
    until(|| client.said().len() == 1);
    assert!(client.said()[0].contains("does not answer"), "{:?}", client.said());
    let server = Server::on(std::net::TcpListener::bind(address).unwrap());
    let mut shop = pod("shop-1", "node-1");
    shop["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop", "uid": "u", "controller": true}]);
    server.state().put(PODS, shop);
    client.updated(|record| record["k8s"]["rs"]["name"] == "shop");
    until(|| client.said().len() == 2);
    assert!(client.said()[1].contains("answers again"), "{:?}", client.said());
}

#[test]
fn kinds_that_may_not_be_seen_are_told_once_and_done_without() {
    let server = real("1.32");
    let name = shop_pod(&server);
    for path in [SETS, "/api/v1/nodes", "/api/v1/services"] {
        server.state().faults.insert(path.into(), Fault::Status(403));
    }
    server.state().faults.insert("/apis/batch/v1/cronjobs".into(), Fault::Status(404));
    let begin = Instant::now();
    let client = Client::of(&options(&server));
    client.run(&name);
    let record = client.record(WAIT);
    // The replica set is known by name, from the pod; the deployment is behind it.
    let k8s = &record["k8s"];
    assert!(name.starts_with(k8s["rs"]["name"].as_str().unwrap()) && k8s["rs"]["labels"].is_null(), "{k8s}");
    assert!(k8s["deployment"].is_null() && k8s["svc"].is_null() && k8s["ns"]["labels"]["team"] == "core");
    assert_eq!(k8s["node"], json!({"name": "node-1"}));
    let mut said = client.said();
    said.sort();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("no right to list nodes") && said[2].contains("services"), "{said:?}");
    // An older server has cron jobs elsewhere.
    assert_eq!(server.state().count("/apis/batch/v1beta1/cronjobs?limit"), 1);
    // Asked again, but not in a hurry: after 1, 2, 4 s and so on.
    let seconds = begin.elapsed().as_secs_f64();
    assert!((server.state().count(SETS) as f64) < 2.0 + (seconds + 1.0).log2(), "in {seconds} s");
}

#[test]
fn a_server_that_refuses_after_its_return_is_asked_again_soon() {
    const NAMESPACES: &str = "/api/v1/namespaces";
    let server = real("1.32");
    let name = shop_pod(&server);
    let client = Client::of(&options(&server));
    client.run(&name);
    client.record(WAIT);
    until(|| server.state().count(&format!("{NAMESPACES}?watch=1")) == 1);
    server.state().faults.insert(NAMESPACES.into(), Fault::Status(403));
    server.disconnect();
    let asked = server.state().count(NAMESPACES);
    // The watch, then a list.
    until(|| server.state().count(NAMESPACES) >= asked + 2);
    server.state().faults.remove(NAMESPACES);
    let namespace = json!({"metadata": {"name": "store", "uid": "u", "labels": {"team": "again"}}});
    server.state().put(NAMESPACES, namespace);
    client.updated(|r| r["k8s"]["ns"]["labels"]["team"] == "again");
    assert!(client.said().is_empty(), "{:?}", client.said());
}

#[test]
fn a_token_that_is_replaced_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let server = Server::start();
    server.state().token = Some("new".into());
    server.state().put(PODS, pod("p", "node-1"));
    let credentials = Some(file.display().to_string());
    let client = Client::of(&KubernetesOptions { credentials, ..options(&server) });
    until(|| client.said().iter().any(|said| said.contains("does not accept the credentials")));
    std::fs::write(&file, "new\n").unwrap();
    until(|| client.count(Kind::Pod) == 1);
    assert_eq!(client.said().len(), 1, "{:?}", client.said());
}

#[test]
fn a_server_that_cannot_choose_by_node_gives_all() {
    let server = Server::start();
    server.state().put(PODS, pod("p", "node-1"));
    server.state().put(PODS, pod("q", "node-2"));
    server.state().refuse_selectors = true;
    let client = Client::of(&options(&server));
    until(|| client.count(Kind::Pod) == 2);
    assert!(
        client.said().iter().any(|said| said.contains("cannot be chosen by node")),
        "{:?}",
        client.said()
    );
}
