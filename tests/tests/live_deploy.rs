//! What `deploy/` holds: the manifests against a real API server, the helper script, and capture with the
//! capabilities that they give it and no others.

use capture_tests::live;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Name under which the scripts keep their files.
const NAME: &str = "capdep";

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The capabilities in a manifest, as `setpriv` names them.
fn capabilities() -> Vec<String> {
    let manifest =
        std::fs::read_to_string(top().join("deploy/kubernetes/capture.yaml")).expect("the manifest");
    let list = manifest.lines().find_map(|line| line.trim().strip_prefix("add: [")).expect("a list");
    list.trim_end_matches(']').split(", ").map(str::to_lowercase).collect()
}

#[test]
fn the_manifests_capabilities_are_enough() {
    const TEST: &str = "the_manifests_capabilities_are_enough";
    if !live::can_record(TEST) {
        return;
    }
    let Some(setpriv) = capture_tests::installed("setpriv", TEST) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("few.scap");
    let file = file.to_str().expect("text");
    let capture = env!("CARGO_BIN_EXE_capture-test");
    let record = |bounds: &str| -> Output {
        let mut command = Command::new(&setpriv);
        command.args(["--inh-caps=-all", &format!("--bounding-set={bounds}"), "--no-new-privs"]);
        command.args([capture, "-w", file, "-M", "1"]).output().expect("setpriv starts")
    };
    let all: Vec<String> = capabilities().iter().map(|name| format!("+{name}")).collect();
    let out = record(&format!("-all,{}", all.join(",")));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut events = 0;
    live::read_events(Path::new(file), |_| events += 1).expect("the file reads");
    assert!(events > 0);
    // The two that nothing goes without.
    for needed in ["+bpf", "+perfmon"] {
        let others: Vec<&str> = all.iter().map(String::as_str).filter(|name| *name != needed).collect();
        let out = record(&format!("-all,{}", others.join(",")));
        assert!(!out.status.success(), "without {needed}");
    }
}

/// What helm prints; it must go well.
fn helm(program: &Path, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().expect("helm starts");
    assert!(out.status.success(), "helm {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The objects of a YAML text, in the order of their kinds: helm reads it.
fn objects(program: &Path, yaml: &str) -> Vec<Value> {
    const TEMPLATE: &str = r#"{{- range splitList "\n---\n" (.Files.Get "objects.yaml") }}
{{ fromYaml . | toJson }}
{{- end }}"#;
    let chart = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| std::fs::write(chart.path().join(name), text).expect("a file");
    std::fs::create_dir(chart.path().join("templates")).expect("a folder");
    put("Chart.yaml", "apiVersion: v2\nname: reader\nversion: 0.1.0\n");
    put("templates/all.txt", TEMPLATE);
    put("objects.yaml", yaml);
    let read = helm(program, &["template", "reader", chart.path().to_str().expect("text")]);
    let lines = read.lines().filter(|line| line.starts_with('{'));
    let mut objects: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|object| *object != json!({}))
        .collect();
    objects.sort_by_key(|object| object["kind"].to_string());
    objects
}

#[test]
fn the_manifests_are_what_the_chart_makes_of_its_defaults() {
    const TEST: &str = "the_manifests_are_what_the_chart_makes_of_its_defaults";
    let Some(program) = capture_tests::installed("helm", TEST) else { return };
    let chart = top().join("deploy/helm/capture");
    let chart = chart.to_str().expect("text");
    assert!(helm(&program, &["lint", "--strict", chart]).contains("0 chart(s) failed"));
    let made = objects(&program, &helm(&program, &["template", "capture", chart, "-n", "capture-system"]));
    let text = std::fs::read_to_string(top().join("deploy/kubernetes/capture.yaml")).expect("the manifest");
    let mut written = objects(&program, &text);
    // The chart leaves the namespace to `--create-namespace`.
    written.retain(|object| object["kind"] != "Namespace");
    assert_eq!(written.len(), 4, "{written:#?}");
    assert_eq!(made, written);
    // Each engine has its folders, and one that is not known is refused.
    for (engine, folder) in [("crio", "/run/crio"), ("docker", "/run/docker.sock")] {
        let of = format!("engine={engine}");
        let made = helm(&program, &["template", "capture", chart, "--set", &of]);
        assert!(made.contains(folder) && made.contains("kind: ClusterRole"), "{made}");
    }
    let without = helm(&program, &["template", "capture", chart, "--set", "kubernetes=false"]);
    assert!(
        !without.contains("ClusterRole") && without.contains("automountServiceAccountToken: false"),
        "{without}"
    );
    let out = Command::new(&program).args(["template", "capture", chart, "--set", "engine=lxd"]).output();
    let said = String::from_utf8_lossy(&out.expect("helm starts").stderr).into_owned();
    assert!(said.contains("engine \"lxd\" is not known: containerd, crio or docker"), "{said}");
}

/// A Kubernetes API server of this test's own.
struct Cluster {
    kubeconfig: String,
}

impl Cluster {
    fn start(test: &str) -> Option<Cluster> {
        let script = scripts().join("k8s-up.sh");
        if !script.is_file() {
            capture_tests::skip(test, "the script that starts Kubernetes is not here");
            return None;
        }
        capture_tests::installed("kubectl", test)?;
        let built = Command::new("sh").arg(&script).arg("built").output().expect("the script starts");
        if !built.status.success() && std::env::var_os("CAPTURE_K8S").is_none() {
            capture_tests::skip(
                test,
                "Kubernetes is not built (5 to 10 min): set CAPTURE_K8S=1, or run k8s-up.sh build",
            );
            return None;
        }
        let out =
            Command::new("sh").arg(&script).arg("api").env("ENGINES_NAME", NAME).output().expect("it starts");
        let cluster = Cluster { kubeconfig: String::new() };
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let config = text.lines().find_map(|line| line.strip_prefix("KUBECONFIG=")).expect("a kubeconfig");
        let mut cluster = cluster;
        cluster.kubeconfig = config.trim_matches('\'').to_owned();
        Some(cluster)
    }

    /// Runs a program of the cluster's administrator; what it printed.
    fn run(&self, program: &str, words: &[&str]) -> Output {
        Command::new(program).args(words).env("KUBECONFIG", &self.kubeconfig).output().expect("it starts")
    }

    fn must(&self, program: &str, words: &[&str]) -> String {
        let out = self.run(program, words);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program} {words:?}: {said}");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A failed test has its own message; this one cannot do more than try.
        let _ =
            Command::new("sh").arg(scripts().join("down.sh")).arg("k8s").env("ENGINES_NAME", NAME).output();
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engines")
}

#[test]
fn an_api_server_takes_the_manifests_and_the_helper_works() {
    const TEST: &str = "an_api_server_takes_the_manifests_and_the_helper_works";
    let _turn = live::turn();
    let Some(cluster) = Cluster::start(TEST) else { return };
    let manifest = top().join("deploy/kubernetes/capture.yaml");
    let manifest = manifest.to_str().expect("text");
    let kubectl = |words: &[&str]| cluster.must("kubectl", words);
    // The namespace may be there: the scripts' own objects use the same.
    cluster.run("kubectl", &["create", "namespace", "capture-system"]);
    kubectl(&["apply", "--dry-run=server", "-f", manifest]);
    if let Some(helm) = capture_tests::installed("helm", TEST) {
        let chart = top().join("deploy/helm/capture");
        let chart = chart.to_str().expect("text");
        for engine in ["containerd", "crio", "docker"] {
            let of = format!("engine={engine}");
            let helm = helm.to_str().expect("text");
            let made =
                cluster.must(helm, &["template", "capture", chart, "-n", "capture-system", "--set", &of]);
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), made).expect("it is written");
            kubectl(&["apply", "--dry-run=server", "-f", file.path().to_str().expect("text")]);
        }
    }
    kubectl(&["apply", "-f", manifest]);
    // Read-only rights, and not even those on what is secret.
    let may = |verb: &str, kind: &str| {
        let account = "--as=system:serviceaccount:capture-system:capture";
        let out = cluster.run("kubectl", &["auth", "can-i", verb, kind, "-A", account]);
        String::from_utf8_lossy(&out.stdout).starts_with("yes")
    };
    for kind in ["pods", "namespaces", "nodes", "services", "deployments.apps", "jobs.batch"] {
        assert!(may("list", kind) && may("watch", kind), "{kind}");
        assert!(!may("create", kind) && !may("delete", kind) && !may("update", kind), "{kind}");
    }
    assert!(!may("get", "secrets") && !may("get", "configmaps") && !may("create", "pods/exec"));

    let helper = top().join("deploy/kubectl-capture");
    let helper = |words: &[&str]| cluster.must(helper.to_str().expect("text"), words);
    let nodes = kubectl(&["get", "nodes", "-o", "name"]);
    let node = nodes.lines().next().and_then(|line| line.strip_prefix("node/")).expect("a node").to_owned();
    let chosen = || kubectl(&["get", "nodes", "-l", "capture-record=yes", "-o", "name"]);
    assert_eq!(chosen(), "");
    helper(&["start", &node, "--", "-s", "200", "proc.name=\"a b\""]);
    assert_eq!(chosen(), format!("node/{node}"));
    let args = "jsonpath={.spec.template.spec.containers[0].args}";
    let args = kubectl(&["get", "daemonset", "capture", "-n", "capture-system", "-o", args]);
    let args: Vec<String> = serde_json::from_str(&args).expect("a list");
    assert_eq!(args[..2], ["-w", "/captures/trace.scap"]);
    assert_eq!(args[args.len() - 3..], ["-s", "200", "proc.name=\"a b\""]);
    assert!(helper(&["status"]).contains(&node));
    helper(&["stop"]);
    assert_eq!(chosen(), "");
    assert!(helper(&["stop"]).contains("no node records"));
}
