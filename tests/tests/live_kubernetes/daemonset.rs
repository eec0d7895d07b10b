//! capture as `deploy/` brings it to a cluster: its image, its DaemonSet with the rights of the manifest, and
//! the script that starts and stops it and fetches the files.

use crate::server::{CAPTURE, Kubernetes, folder, replay, text};
use capture_tests::live::within;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Events of the application's pods.
const OF_APP: &str = "k8s.ns.name = critical-app and evt.type in (execve, connect) and evt.dir = <";
const AROUND: &str =
    "*%k8s.pod.name|%k8s.deployment.name|%k8s.svc.name|%k8s.node.name|%container.name|%proc.name";

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

/// Makes the image by its recipe, with storage of its own, and gives it to the cluster's engine; its name.
fn image(kubernetes: &Kubernetes, dir: &Path) -> String {
    let storage = dir.join("storage.conf");
    let settings = format!(
        "[storage]\ndriver = \"vfs\"\nrunroot = \"{0}/run\"\ngraphroot = \"{0}/storage\"\n",
        dir.display()
    );
    std::fs::write(&storage, settings).expect("a file");
    let tar = dir.join("capture.tar");
    let mut build = Command::new("sh");
    build.arg(deploy("image/build.sh")).args(["localhost/capture:0.1.0", CAPTURE]);
    build.env("CAPTURE_IMAGE_TAR", &tar).env("CONTAINERS_STORAGE_CONF", &storage).env("TMPDIR", dir);
    let name = text(&build.output().expect("the recipe starts"), "build.sh");
    let mut import = Command::new("ctr");
    import.args(["--address", kubernetes.fact("CRI_SOCK"), "--namespace", "k8s.io", "images", "import"]);
    text(&import.arg(&tar).output().expect("ctr starts"), "ctr import");
    name
}

/// The manifest for this node: its containerd and the files are in folders of this test's own.
fn manifest(kubernetes: &Kubernetes, files: &Path) -> String {
    let text = std::fs::read_to_string(deploy("kubernetes/capture.yaml")).expect("the manifest");
    let engine = Path::new(kubernetes.fact("CRI_SOCK")).parent().expect("a folder").display().to_string();
    let changed = text
        .replace("mountPath: /run/containerd,", &format!("mountPath: {engine},"))
        .replace("path: /run/containerd}", &format!("path: {engine}}}"))
        .replace("path: /var/lib/capture,", &format!("path: {},", files.display()));
    assert_eq!(changed.matches(&engine).count(), 2, "{changed}");
    assert_eq!(changed.matches(&files.display().to_string()).count(), 1, "{changed}");
    changed
}

/// The service of the API server leads to it, as a real cluster's does; here nothing keeps it up to date.
fn lead_to_server(kubernetes: &Kubernetes, dir: &Path) {
    let port = kubernetes.fact("KUBE_API").rsplit(':').next().expect("a port");
    let port: u16 = port.parse().expect("a number");
    let endpoints = serde_json::json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "kubernetes", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": "10.250.0.1"}], "ports": [{"name": "https", "port": port}]}],
    });
    let file = dir.join("endpoints.json");
    std::fs::write(&file, endpoints.to_string()).expect("a file");
    kubernetes.kubectl(&["apply", "-f", &file.display().to_string()]);
}

/// Runs `kubectl-capture` as administrator.
fn helper(kubernetes: &Kubernetes, args: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.arg(deploy("kubectl-capture")).args(args).env("KUBECONFIG", kubernetes.fact("KUBECONFIG"));
    command.output().expect("kubectl-capture starts")
}

/// The same, where it must go well; what it printed.
fn helped(kubernetes: &Kubernetes, args: &[&str]) -> String {
    text(&helper(kubernetes, args), &format!("kubectl-capture {args:?}"))
}

/// The only file in a folder, if there is one.
fn only_file(folder: &Path) -> Option<PathBuf> {
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert!(files.len() < 2, "{files:?}");
    files.into_iter().next()
}

#[test]
fn a_daemonset_records_chosen_nodes_and_its_files_are_fetched() {
    const TEST: &str = "a_daemonset_records_chosen_nodes_and_its_files_are_fetched";
    let Some(_podman) = capture_tests::installed("podman", TEST) else { return };
    let Some(kubernetes) = Kubernetes::start_shared(TEST, "cluster") else { return };
    let (dir, _) = folder();
    let files = dir.path().join("captures");
    let node = kubernetes.fact("NODE_NAME").to_owned();
    let image = image(&kubernetes, dir.path());
    lead_to_server(&kubernetes, dir.path());
    let yaml = dir.path().join("capture.yaml");
    let manifest = manifest(&kubernetes, &files);
    assert!(manifest.contains(&format!("image: {image}\n")), "{image}");
    std::fs::write(&yaml, manifest).expect("a file");
    kubernetes.kubectl(&["apply", "-f", &yaml.display().to_string()]);
    let daemonset = |field: &str| {
        let path = format!("jsonpath={{.status.{field}}}");
        kubernetes.kubectl(&["-n", "capture-system", "get", "daemonset", "capture", "-o", &path])
    };
    // Nobody has chosen the node.
    assert_eq!(daemonset("desiredNumberScheduled"), "0");

    let socket = kubernetes.fact("CRI_SOCK").to_owned();
    helped(&kubernetes, &["start", &node, "--", "--cri", &socket, "-s", "200"]);
    let is_up = within(Duration::from_secs(60), || daemonset("numberReady") == "1");
    let pods = ["-n", "capture-system", "describe", "pods"];
    assert!(is_up, "{}\n{}", helped(&kubernetes, &["status"]), kubernetes.kubectl(&pods));
    let fetched = |name: &str| {
        let to = dir.path().join(name);
        helped(&kubernetes, &["fetch", &node, &to.display().to_string()]);
        only_file(&to)
    };
    // A file that is still written to: what is in it is read. The client asks once a second.
    let mut said = String::new();
    let is_told = within(Duration::from_secs(60), || {
        let Some(file) = fetched("early") else { return false };
        let mut early = Command::new(CAPTURE);
        early.arg("-r").arg(file).args(["-p", AROUND, OF_APP]);
        let out = early.output().expect("capture starts");
        said = format!("{out:?}");
        String::from_utf8_lossy(&out.stdout).contains("client|")
    });
    assert!(is_told, "{said}");
    // Not beside a pod that writes.
    let refused = helper(&kubernetes, &["clear", &node]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stop it first"), "{refused:?}");
    let log = ["-n", "capture-system", "logs", "daemonset/capture"];
    let log = kubernetes.kubectl(&log);
    for bad in ["Kubernetes:", "CRI", "containerd:", "refused", "no right"] {
        assert!(!log.contains(bad), "{log}");
    }
    helped(&kubernetes, &["stop"]);
    assert_eq!(daemonset("desiredNumberScheduled"), "0");

    // Complete now; fetched by a pod that is made for it.
    let file = fetched("whole").expect("a file");
    let lines = replay(&file, &["-p", AROUND, OF_APP]);
    let of_client = format!("client|<NA>|<NA>|{node}|client|curl");
    assert!(lines.contains(&of_client), "no {of_client} in {lines:#?}");
    let nameless = replay(
        &file,
        &["-p", "*%container.id %proc.name %evt.type", "container.id != host and not k8s.pod.name exists"],
    );
    assert!(nameless.is_empty(), "{} events without a pod: {:?}", nameless.len(), nameless.first());
    let backends = "*%k8s.pod.name|%k8s.deployment.name|%k8s.svc.name|%k8s.ns.label[team]|%proc.name";
    let backends = replay(&file, &["-p", backends, "k8s.pod.name startswith backend- and proc.name = httpd"]);
    assert!(!backends.is_empty());
    for line in &backends {
        assert!(line.ends_with("|backend|backend|core|httpd"), "{line}");
    }
    helped(&kubernetes, &["clear", &node]);
    assert_eq!(fetched("left"), None);
}
