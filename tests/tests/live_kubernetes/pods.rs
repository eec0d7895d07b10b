//! Containers of the pods that an API server without a kubelet tells of: a control group, and a bundle
//! such as containerd's that names the pod. What the program does with them is what it does with
//! containers of real engines.

use crate::server::Kubernetes;
use capture_tests::cgroup::Cgroup;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A made-up container.
pub(crate) struct Container {
    bundle: PathBuf,
    cgroup: Cgroup,
}

impl Container {
    /// A container of a pod, which is known to the server by name and id.
    pub(crate) fn of(dir: &Path, pod: &Value, number: usize) -> Container {
        let cgroup = Cgroup::numbered(number);
        let bundle = dir.join(&cgroup.id);
        std::fs::create_dir(&bundle).expect("the bundle's folder");
        let meta = &pod["metadata"];
        let config = json!({
            "process": {"args": ["true"]},
            "annotations": {
                "io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.container-name": "web",
                "io.kubernetes.cri.image-name": "registry.example.test/team/busybox:1.35",
                "io.kubernetes.cri.sandbox-id": "0".repeat(64),
                "io.kubernetes.cri.sandbox-name": meta["name"],
                "io.kubernetes.cri.sandbox-namespace": meta["namespace"],
                "io.kubernetes.cri.sandbox-uid": meta["uid"],
            },
        });
        std::fs::write(bundle.join("config.json"), config.to_string()).expect("the bundle");
        Container { cgroup, bundle }
    }

    /// The id that events have.
    pub(crate) fn short_id(&self) -> &str {
        self.cgroup.short_id()
    }

    /// Runs commands of a shell in it; each word of a runtime comes before, as with a real one.
    pub(crate) fn run(&self, commands: &str) {
        let mut inside = self.cgroup.enter(Path::new("/bin/sh"));
        inside.args(["-c", commands]);
        let out = Command::new("/bin/true").arg("--bundle").arg(&self.bundle).status();
        assert!(out.is_ok_and(|status| status.success()), "true starts");
        let out = inside.output().expect("a shell starts");
        // The group stays for as long as a runtime takes to notice the end.
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(out.status.success(), "{inside:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

/// The pods of the server's first node.
pub(crate) fn of_node(kubernetes: &Kubernetes) -> Vec<Value> {
    let selector = format!("spec.nodeName={}", kubernetes.fact("NODE_NAME"));
    let list = kubernetes.kubectl(&["get", "pods", "-A", "-o", "json", "--field-selector", &selector]);
    let mut list: Value = serde_json::from_str(&list).expect("JSON");
    match list["items"].take() {
        Value::Array(pods) => pods,
        other => panic!("no list of pods: {other}"),
    }
}
