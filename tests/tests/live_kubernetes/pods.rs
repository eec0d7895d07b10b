//! Containers of the pods that an API server without a kubelet tells of: a control group, and a bundle
//! such as containerd's that names the pod. What the program does with them is what it does with
//! containers of real engines.

use crate::server::Kubernetes;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Control groups whose folder is made, the first that is there: v1, else v2.
const HIERARCHIES: [&str; 2] = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];

/// A made-up container.
pub(crate) struct Container {
    id: String,
    bundle: PathBuf,
    cgroup: PathBuf,
}

impl Container {
    /// A container of a pod, which is known to the server by name and id.
    pub(crate) fn of(dir: &Path, pod: &Value, number: usize) -> Container {
        let id = format!("{:08x}{number:04x}{:052x}", std::process::id(), 0);
        let hierarchy = HIERARCHIES.iter().map(Path::new).find(|path| path.is_dir()).expect("control groups");
        let bundle = dir.join(&id);
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
        Container { cgroup: hierarchy.join(&id), id, bundle }
    }

    /// The id that events have.
    pub(crate) fn short_id(&self) -> &str {
        &self.id[..12]
    }

    /// Runs commands of a shell in it; each word of a runtime comes before, as with a real one.
    pub(crate) fn run(&self, commands: &str) {
        let script = format!(
            "/bin/true --bundle {bundle}; mkdir -p {cgroup}; \
             ( echo 0 > {cgroup}/cgroup.procs; exec /bin/sh -c '{commands}' ); sleep 0.05",
            bundle = self.bundle.display(),
            cgroup = self.cgroup.display(),
        );
        let out = Command::new("/bin/sh").args(["-c", &script]).output().expect("a shell starts");
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Whoever ran in it is gone a moment later.
        capture_tests::live::within(std::time::Duration::from_secs(2), || {
            std::fs::remove_dir(&self.cgroup).is_ok() || !self.cgroup.exists()
        });
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
