//! What is around a pod, by answers of real servers and by made-up objects.

use crate::enrich::kubernetes::object::{Document, LABELS_MAX, WatchLine};
use crate::enrich::kubernetes::{Dumped, Objects, PodName};
use capture_engine::state::k8s::Kind;
use serde_json::{Value, json};
use std::path::Path;

const LISTS: [&str; 10] = [
    "pods",
    "replicasets",
    "deployments",
    "services",
    "namespaces",
    "nodes",
    "jobs",
    "daemonsets",
    "statefulsets",
    "replicationcontrollers",
];

pub(super) fn sample(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/kubernetes");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn cluster(version: &str) -> Objects {
    let mut objects = Objects::default();
    for list in LISTS {
        objects.put_dump(Dumped::read(&sample(&format!("{version}/{list}.json"))).unwrap());
    }
    objects
}

fn pod(namespace: &str, name: &str) -> PodName {
    PodName { namespace: namespace.into(), name: name.into(), ..PodName::default() }
}

fn around(objects: &Objects, pod: &PodName) -> Value {
    let mut record = json!({"container": {"id": "3ad7b26ded6d"}});
    objects.around(pod).add_to(&mut record);
    record["k8s"].take()
}

fn name_starting(version: &str, start: &str) -> String {
    let list: Value = serde_json::from_slice(&sample(&format!("{version}/pods.json"))).unwrap();
    let mut names =
        list["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap());
    names.rfind(|name| name.starts_with(start)).unwrap().to_owned()
}

#[test]
fn relations_of_real_pods_are_found() {
    for version in ["1.20", "1.32"] {
        let objects = cluster(version);
        let shop = around(&objects, &pod("store", &name_starting(version, "shop-")));
        let set = shop["rs"]["name"].as_str().unwrap();
        assert!(set.starts_with("shop-") && shop["pod"]["name"].as_str().unwrap().starts_with(set), "{shop}");
        assert_eq!(shop["rs"]["labels"]["app"], "shop");
        assert_eq!((&shop["deployment"]["name"], &shop["svc"][0]["name"]), (&json!("shop"), &json!("shop")));
        assert_eq!((&shop["ns"]["name"], &shop["ns"]["labels"]["team"]), (&json!("store"), &json!("core")));
        assert_eq!(shop["node"]["labels"]["kubernetes.io/hostname"], "node-1");
        assert_eq!(shop["pod"]["labels"]["tier"], "front");
        assert!(shop["pod"]["ip"].as_str().unwrap().starts_with("10."), "{shop}");
        for (namespace, start, member, name) in [
            ("kube-system", "agent-", "ds", "agent"),
            ("store", "db-0", "sts", "db"),
            ("store", "once-", "job", "once"),
            ("store", "legacy-", "rc", "legacy"),
        ] {
            let found = around(&objects, &pod(namespace, &name_starting(version, start)));
            assert_eq!(found[member]["name"], name, "{version}: {found}");
            assert!(found[member]["uid"].is_string() && found["svc"].is_null() && found["rs"].is_null());
        }
    }
}

#[test]
fn metadata_alone_says_all_but_selectors_and_addresses() {
    let list = Document::read(&sample("1.32/replicasets-partial-metadata.json")).unwrap();
    let whole = Document::read(&sample("1.32/replicasets.json")).unwrap();
    assert!(!list.items.is_empty());
    for (kind, object) in &list.items {
        assert!(kind.is_none() && object.owner.as_ref().is_some_and(|owner| owner.kind == Kind::Deployment));
    }
    assert!(whole.kind == Some(Kind::ReplicaSet) && list.kind.is_none());
    assert!(list.items.iter().all(|(_, object)| object.label("app") == Some("shop")));
}

/// An object of a made-up cluster.
fn object(kind: &str, name: &str, rest: Value) -> Value {
    let api = match kind {
        "ReplicaSet" | "Deployment" => "apps/v1",
        "Job" => "batch/v1",
        "CronJob" => "batch/v1beta1",
        _ => "v1",
    };
    let mut object =
        json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "uid": format!("u-{name}")}});
    for (member, value) in rest.as_object().into_iter().flatten() {
        match (member.as_str(), value.as_object()) {
            ("metadata", Some(more)) => object["metadata"].as_object_mut().unwrap().extend(more.clone()),
            _ => object[member] = value.clone(),
        }
    }
    object
}

fn owned_by(api: &str, kind: &str, name: &str) -> Value {
    json!({"namespace": "n", "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u-x"},
        {"apiVersion": api, "kind": kind, "name": name, "uid": format!("u-{name}"), "controller": true},
    ]})
}

fn read(objects: &mut Objects, items: Vec<Value>) {
    let count = items.len();
    let dump = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    assert_eq!(objects.put_dump(Dumped::read(dump.as_bytes()).unwrap()), count);
}

#[test]
fn owners_are_followed_and_known_by_name_where_nothing_else_is() {
    let mut objects = Objects::default();
    read(
        &mut objects,
        vec![
            object(
                "Pod",
                "run-1-x",
                json!({"metadata": owned_by("batch/v1", "Job", "run-1"), "spec": {"nodeName": "far"}}),
            ),
            object("Job", "run-1", json!({"metadata": owned_by("batch/v1", "CronJob", "run")})),
            object("Pod", "web-x", json!({"metadata": owned_by("apps/v1", "ReplicaSet", "web")})),
            object("Pod", "roll-x", json!({"metadata": owned_by("argoproj.io/v1", "Deployment", "roll")})),
        ],
    );
    let job = around(&objects, &pod("n", "run-1-x"));
    assert_eq!(
        (&job["job"]["name"], &job["cronjob"]),
        (&json!("run-1"), &json!({"name": "run", "uid": "u-run"}))
    );
    assert_eq!(job["node"], json!({"name": "far"}));
    assert_eq!(around(&objects, &pod("n", "web-x"))["rs"], json!({"name": "web", "uid": "u-web"}));
    // A kind of another's API is not that of Kubernetes.
    assert!(around(&objects, &pod("n", "roll-x"))["deployment"].is_null());
}

#[test]
fn a_pod_is_another_than_its_namesake_and_the_same_as_its_configuration() {
    let mut objects = Objects::default();
    let mirror = json!({"metadata": {"namespace": "n", "annotations": {"kubernetes.io/config.hash": "c0ffee"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "u", "controller": true}]},
        "spec": {"nodeName": "node-1"}});
    read(
        &mut objects,
        vec![object("Pod", "db-0", json!({"metadata": {"namespace": "n"}})), object("Pod", "etcd", mirror)],
    );
    let with_uid = |name: &str, uid: &str| PodName { uid: uid.into(), ..pod("n", name) };
    assert_eq!(around(&objects, &with_uid("db-0", "u-db-0"))["pod"]["uid"], "u-db-0");
    assert!(objects.around(&with_uid("db-0", "older")).is_empty());
    let mirror = around(&objects, &with_uid("etcd", "c0ffee"));
    assert_eq!((&mirror["pod"]["uid"], &mirror["node"]["name"]), (&json!("u-etcd"), &json!("node-1")));
}

#[test]
fn services_choose_by_all_labels_of_their_namespace() {
    let mut objects = Objects::default();
    let service = |name: &str, namespace: &str, spec: Value| {
        object("Service", name, json!({"metadata": {"namespace": namespace}, "spec": spec}))
    };
    read(
        &mut objects,
        vec![
            service("both", "n", json!({"selector": {"app": "web", "tier": "front"}})),
            service("app", "n", json!({"selector": {"app": "web"}})),
            service("other", "n", json!({"selector": {"app": "web", "tier": "back"}})),
            service("elsewhere", "m", json!({"selector": {"app": "web"}})),
            service("none", "n", json!({})),
            service("empty", "n", json!({"selector": null})),
            service("name", "n", json!({"selector": {"app": "web"}, "type": "ExternalName"})),
        ],
    );
    // The pod is not known to the cluster (no right to see pods): its container tells its labels.
    let labels = [("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())];
    let web = PodName { labels: labels.into(), ..pod("n", "web-x") };
    let found = around(&objects, &web);
    let names: Vec<_> =
        found["svc"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["app", "both"]);
}

#[test]
fn what_a_list_does_not_have_is_gone_and_changes_are_counted() {
    let mut objects = Objects::default();
    let put = |objects: &mut Objects, name: &str, round| {
        let text = object("Pod", name, json!({"metadata": {"namespace": "n"}})).to_string();
        objects.put(Kind::Pod, Document::read(text.as_bytes()).unwrap().object, round);
    };
    let round = objects.begin_list();
    put(&mut objects, "a", round);
    put(&mut objects, "b", round);
    objects.end_list(Kind::Pod, round);
    let before = objects.version();
    put(&mut objects, "a", 0);
    assert_eq!((objects.version(), objects.count(Kind::Pod)), (before, 2));
    let round = objects.begin_list();
    put(&mut objects, "b", round);
    objects.end_list(Kind::Pod, round);
    assert_eq!(objects.count(Kind::Pod), 1);
    assert_ne!(objects.version(), before);
    objects.remove(Kind::Pod, "n", "b");
    assert_eq!(objects.count(Kind::Pod), 0);
}

#[test]
fn objects_have_bounds() {
    let mut labels = serde_json::Map::new();
    for i in 0..10_000 {
        labels.insert(format!("label{i}"), "v".repeat(1000).into());
    }
    labels.insert("x".repeat(1 << 20), "y".into());
    let huge = object("Pod", &"p".repeat(100_000), json!({"metadata": {"namespace": "n", "labels": labels}}));
    let read = Document::read(huge.to_string().as_bytes()).unwrap().object;
    let kept: usize = read.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(kept > LABELS_MAX / 2 && kept <= LABELS_MAX && read.name.len() <= 256, "{kept}");
    // A cluster beyond the limit: counted, and room again when something goes.
    let mut objects = Objects::with_limit(100_000);
    let named = |i: usize| {
        let text = object("Pod", &format!("p{i}"), json!({"metadata": {"namespace": "n"}})).to_string();
        Document::read(text.as_bytes()).unwrap().object
    };
    (0..1000).for_each(|i| objects.put(Kind::Pod, named(i), 0));
    let count = objects.count(Kind::Pod);
    assert!(count > 50 && count + objects.refused() as usize == 1000, "{count}");
    objects.remove(Kind::Pod, "n", "p0");
    objects.put(Kind::Pod, named(999), 0);
    assert_eq!(objects.count(Kind::Pod), count);
}

#[test]
fn wrong_types_are_absent_members_and_bad_bytes_are_replaced() {
    let text =
        b"{\"kind\":5,\"metadata\":{\"name\":\"a\xff\",\"namespace\":[1],\"labels\":{\"a\":1,\"b\":\"c\"},\
        \"ownerReferences\":null},\"spec\":[{}],\"status\":true,\"items\":null}";
    let document = Document::read(text).unwrap();
    assert_eq!((&*document.object.name, &*document.object.namespace), ("a\u{fffd}", ""));
    assert_eq!(document.object.label("b"), Some("c"));
    assert!(document.items.is_empty() && document.kind.is_none());
    for text in ["", "{", "[", "nul", "{\"metadata\":{\"name\":\"a\"}"] {
        assert!(Document::read(text.as_bytes()).is_err(), "{text}");
    }
    assert!(Document::read(&[b'['; 100_000]).is_err());
    let line = WatchLine::read(&sample("1.20/watch-410-expired.ndjson")).unwrap();
    assert_eq!((&*line.kind, line.document.code, &*line.document.reason), ("ERROR", 410, "Expired"));
}

#[test]
fn dumps_that_are_none_say_what_is_wanted() {
    let mut objects = Objects::default();
    let empty = Dumped::read(b"{\"kind\":\"List\",\"items\":[]}").unwrap();
    assert_eq!(objects.put_dump(empty), 0);
    assert!(Dumped::read(b"apiVersion: v1").unwrap_err().to_string().contains("no JSON"));
    let single = Dumped::read(object("Pod", "a", json!({})).to_string().as_bytes()).unwrap();
    assert_eq!(objects.put_dump(single), 1);
}

#[test]
fn a_record_tells_its_pod() {
    let record = json!({"container": {"id": "3ad7", "labels": {"io.kubernetes.pod.name": "p",
        "io.kubernetes.pod.namespace": "n", "io.kubernetes.pod.uid": "u"}, "pod_sandbox_labels": {"app": "web"}}});
    let pod = PodName::of_record(&record).unwrap();
    assert_eq!((pod.name.as_str(), pod.namespace.as_str(), pod.uid.as_str()), ("p", "n", "u"));
    assert_eq!(pod.labels["app"], "web");
    assert_eq!(PodName::of_record(&json!({"container": {"id": "3ad7", "labels": {}}})), None);
}
