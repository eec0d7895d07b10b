//! containerd, by the Kubernetes container runtime interface.

use crate::engine::{Engine, count, record, scripts};
use crate::replay;

const SOCKET: (&str, &str) = ("CONTAINERD_SOCK", "/run/containerd/containerd.sock");
/// Python of the distribution, which has its gRPC.
const PYTHON: &str = "/usr/bin/python3";

#[test]
fn pods_are_named_from_their_first_event_on() {
    const TEST: &str = "pods_are_named_from_their_first_event_on";
    let started = Engine::start(TEST, "containerd", "containerd", "containerd-cri-up.sh", SOCKET);
    let Some(engine) = started else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("containerd.scap");
    let client = scripts().join("cri.py");
    let cri = |method: &str, json: serde_json::Value| {
        let client = client.to_str().expect("text");
        let out = engine.run(PYTHON, &[client, SOCKET.1, method, &json.to_string()]);
        serde_json::from_str::<serde_json::Value>(&out).expect("JSON")
    };
    let pod = serde_json::json!({
        "metadata": {"name": "late-pod", "uid": "77aa2a9e-7b3d-4c88-9a51-0d6e2f8b4c18", "namespace": "batch", "attempt": 0},
        "hostname": "late-pod",
        "labels": {"app": "late", "io.kubernetes.pod.name": "late-pod", "io.kubernetes.pod.namespace": "batch",
                   "io.kubernetes.pod.uid": "77aa2a9e-7b3d-4c88-9a51-0d6e2f8b4c18"},
        "linux": {"cgroup_parent": "/kubepods/besteffort/pod77aa2a9e-7b3d-4c88-9a51-0d6e2f8b4c18"},
    });
    record(&file, || {
        let sandbox = cri("RunPodSandbox", serde_json::json!({ "config": pod }))["podSandboxId"].clone();
        for n in 0..count() {
            let name = format!("short-{n}");
            let made = cri(
                "CreateContainer",
                serde_json::json!({
                    "pod_sandbox_id": sandbox, "sandbox_config": pod,
                    "config": {
                        "metadata": {"name": name}, "image": {"image": engine.fact("IMAGE")},
                        "command": ["/bin/sleep", "0.02"],
                        "labels": {"io.kubernetes.container.name": name, "io.kubernetes.pod.name": "late-pod",
                                   "io.kubernetes.pod.namespace": "batch",
                                   "io.kubernetes.pod.uid": "77aa2a9e-7b3d-4c88-9a51-0d6e2f8b4c18"},
                        "envs": [{"key": "TOKEN", "value": "hunter2"}],
                    },
                }),
            );
            cri("StartContainer", serde_json::json!({ "container_id": made["containerId"] }));
            // Waits for its end, which comes by itself.
            cri("StopContainer", serde_json::json!({ "container_id": made["containerId"], "timeout": 5 }));
            cri("RemoveContainer", serde_json::json!({ "container_id": made["containerId"] }));
        }
    });
    drop(engine);

    let found = replay::containers(&file);
    for n in 0..count() {
        assert_eq!(found[&format!("short-{n}")].3, "containerd");
    }
    assert!(found.contains_key("late-pod") && found.contains_key("side"), "{:?}", found.keys());
    let format = "%container.name|%k8s.pod.name|%k8s.ns.name|%k8s.pod.label[app]|%evt.type%evt.dir";
    for line in replay::lines(&file, format, "container.id != host and evt.type = execve") {
        let mut parts = line.split('|');
        let name = parts.next().expect("a name");
        let pod: Vec<&str> = parts.take(3).collect();
        match name.starts_with("short-") || name == "late-pod" {
            true => assert_eq!(pod, ["late-pod", "batch", "late"], "{line}"),
            false => assert_eq!(pod, ["shop-6c8f9d7b54-x2x7k", "store", "shop"], "{line}"),
        }
    }
    let kubernetes = replay::lines(&file, "k", "container.name = side and evt.type = execve");
    assert!(kubernetes.iter().all(|line| line.contains("shop-6c8f9d7b54-x2x7k")), "{kubernetes:?}");
    replay::check_stock(TEST, &file, &found);
}
