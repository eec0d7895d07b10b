//! The client against a real API server: accounts with all the rights it needs and with few, and the
//! server's death.

use crate::pods::{Container, of_node};
use crate::server::{CAPTURE, Kubernetes, folder, record, replay};
use capture_tests::live::{Capture, Ended};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The fields of what is around a pod.
const AROUND: &str = "*%container.id|%k8s.pod.name|%k8s.ns.name|%k8s.ns.label[team]|%k8s.rs.name|%k8s.deployment.name|\
                      %k8s.deployment.label[app]|%k8s.svc.name|%k8s.ds.name|%k8s.sts.name|%k8s.job.name|%k8s.rc.name|\
                      %k8s.node.label[kubernetes.io/hostname]|%k8s.pod.label[app]";
const FROM_INSIDE: &str = "container.id != host and evt.type = execve";
/// Longest that a line may be late because a server dies.
const STALL_MAX: Duration = Duration::from_millis(250);

/// Runs a container of each pod of the node while `args` record; the fields, by pod.
fn around_all(kubernetes: &Kubernetes, file: &Path, args: &[&str]) -> (Vec<Vec<String>>, String) {
    let pods = of_node(kubernetes);
    assert!(pods.len() >= 6, "{pods:?}");
    let dir = tempfile::tempdir().expect("a folder");
    let made: Vec<Container> = (0..).zip(&pods).map(|(i, pod)| Container::of(dir.path(), pod, i)).collect();
    let ended =
        record(file, args, || made.iter().for_each(|container| container.run("/bin/true; /bin/true")));
    let lines = replay(file, &["-p", AROUND, FROM_INSIDE]);
    for (container, pod) in made.iter().zip(&pods) {
        let of_it: Vec<_> = lines.iter().filter(|line| line.starts_with(container.short_id())).collect();
        let of = &pod["metadata"]["name"];
        assert!(!of_it.is_empty(), "no event of {of} ({}): {lines:#?}", container.short_id());
        let name = pod["metadata"]["name"].as_str().expect("a name");
        assert!(of_it.iter().all(|line| line.split('|').nth(1) == Some(name)), "{name}: {of_it:?}");
    }
    (lines.iter().map(|line| line.split('|').map(str::to_owned).collect()).collect(), ended.stderr)
}

/// Every line of pods whose name begins so has these fields.
fn check(lines: &[Vec<String>], pod: &str, expected: &[(usize, &str)]) {
    let mut of_pod = lines.iter().filter(|line| line[1].starts_with(pod)).peekable();
    assert!(of_pod.peek().is_some(), "no event of {pod}");
    for line in of_pod {
        for (at, text) in expected {
            let is_same = line[*at] == *text || (*text == "*" && line[*at] != "<NA>");
            assert!(is_same, "{pod}: field {at} is not {text}: {line:?}");
        }
    }
}

fn check_whole(lines: &[Vec<String>]) {
    let app = [(2, "critical-app"), (3, "core"), (12, "node-1")];
    check(lines, "backend-", &app);
    check(
        lines,
        "backend-",
        &[(4, "*"), (5, "backend"), (6, "backend"), (7, "backend"), (13, "backend"), (8, "<NA>")],
    );
    check(lines, "client", &[(4, "<NA>"), (5, "<NA>"), (7, "<NA>"), (13, "client")]);
    check(lines, "agent-", &[(2, "kube-system"), (3, "<NA>"), (8, "agent"), (12, "node-1")]);
    check(lines, "db-0", &[(9, "db")]);
    check(lines, "once-", &[(10, "once")]);
    check(lines, "legacy-", &[(11, "legacy")]);
    check(lines, "kube-dns-", &[(5, "kube-dns"), (7, "kube-dns")]);
}

#[test]
fn relations_of_pods_are_those_that_the_server_tells() {
    const TEST: &str = "relations_of_pods_are_those_that_the_server_tells";
    let Some(kubernetes) = Kubernetes::start(TEST, "api") else { return };
    let fact = |name: &str| kubernetes.fact(name);
    let (_dir, file) = folder();
    let node = ["--node-name", fact("NODE_NAME")];
    // By token, with the certificate of the server's authority.
    let by_token = [
        "-k",
        fact("KUBE_API"),
        "-K",
        fact("KUBE_TOKEN_FILE"),
        "--k8s-ca",
        fact("KUBE_CA"),
        node[0],
        node[1],
    ];
    let (lines, said) = around_all(&kubernetes, &file, &by_token);
    check_whole(&lines);
    assert!(!said.contains("Kubernetes:"), "{said}");
    // By the certificate of an administrator.
    let pki = Path::new(fact("KUBE_CA")).parent().expect("a folder");
    let of_admin = format!("{0}/admin.crt:{0}/admin.key:{0}/ca.crt", pki.display());
    let (lines, said) = around_all(&kubernetes, &file, &["-k", fact("KUBE_API"), "-K", &of_admin]);
    check_whole(&lines);
    assert!(!said.contains("Kubernetes:"), "{said}");
    // By kubeconfig, with the account that may only look, and no name of the node.
    let (lines, said) = around_all(&kubernetes, &file, &["--kubeconfig", fact("KUBECONFIG_READER")]);
    check_whole(&lines);
    assert!(!said.contains("Kubernetes:"), "{said}");
    // The server's certificate is not that of an authority which the machine knows.
    let (lines, said) =
        around_all(&kubernetes, &file, &["-k", fact("KUBE_API"), "-K", fact("KUBE_TOKEN_FILE")]);
    check(&lines, "backend-", &[(2, "critical-app"), (5, "<NA>")]);
    assert_eq!(said.matches("capture: Kubernetes:").count(), 1, "{said}");
    assert!(said.contains("does not answer") && said.contains("ertificate"), "{said}");
}

/// An account that may see pods and namespaces only.
const POOR: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: poor, namespace: capture-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: poor}
rules: [{apiGroups: [""], resources: [pods, namespaces], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: poor}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: poor}
subjects: [{kind: ServiceAccount, name: poor, namespace: capture-system}]
"#;

#[test]
fn an_account_with_few_rights_is_told_what_it_may_not_see() {
    const TEST: &str = "an_account_with_few_rights_is_told_what_it_may_not_see";
    let Some(kubernetes) = Kubernetes::start(TEST, "api") else { return };
    let (dir, file) = folder();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("poor.yaml"), POOR).expect("a file");
    std::fs::write(
        path("request.json"),
        r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}"#,
    )
    .expect("a file");
    kubernetes.kubectl(&["apply", "--validate=false", "-f", &path("poor.yaml")]);
    let target = "/api/v1/namespaces/capture-system/serviceaccounts/poor/token";
    let answer = kubernetes.kubectl(&["create", "--raw", target, "-f", &path("request.json")]);
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    std::fs::write(path("token"), answer["status"]["token"].as_str().expect("a token")).expect("a file");
    let args =
        ["-k", kubernetes.fact("KUBE_API"), "-K", &path("token"), "--k8s-ca", kubernetes.fact("KUBE_CA")];
    let args = [&args[..], &["--node-name", kubernetes.fact("NODE_NAME")]].concat();
    let (lines, said) = around_all(&kubernetes, &file, &args);
    // The owner is known by name from the pod; what is behind it, and its labels, are not.
    check(
        &lines,
        "backend-",
        &[(3, "core"), (4, "*"), (5, "<NA>"), (7, "<NA>"), (12, "<NA>"), (13, "backend")],
    );
    check(&lines, "agent-", &[(8, "agent")]);
    for kind in
        ["services", "nodes", "replicasets", "deployments", "jobs", "cronjobs", "replicationcontrollers"]
    {
        assert_eq!(said.matches(&format!("no right to list {kind}:")).count(), 1, "{kind}: {said}");
    }
    assert_eq!(said.matches("capture: Kubernetes:").count(), 9, "{said}");
}

/// A process that writes every 10 ms, and how long after each write its line is there.
struct Ticks {
    process: Child,
    capture: Capture,
    /// When a line came, and how old its event was then.
    latencies: Arc<Mutex<Vec<(Instant, Duration)>>>,
}

impl Ticks {
    fn start(dir: &Path, config: &str) -> Ticks {
        let name = dir.join("ticks");
        std::os::unix::fs::symlink("/bin/sh", &name).expect("a link");
        let mut process = Command::new(name);
        process.args(["-c", "while :; do echo; sleep 0.01; done"]).stdout(Stdio::null());
        let mut command = Command::new(CAPTURE);
        command.args(["--kubeconfig", config, "--unbuffered", "-p", "%evt.rawtime"]);
        command.arg("proc.name = ticks and evt.type = write and evt.dir = <");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut capture = Capture::spawn(&mut command);
        let lines = BufReader::new(capture.child().stdout.take().expect("its output")).lines();
        let latencies = Arc::new(Mutex::new(Vec::new()));
        let seen = latencies.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time");
                let at = Duration::from_nanos(line.parse().expect("a time"));
                seen.lock().expect("whole").push((Instant::now(), now.saturating_sub(at)));
            }
        });
        Ticks { process: process.spawn().expect("a shell starts"), capture, latencies }
    }

    /// The number of lines in a span, and the oldest event among them.
    fn between(&self, begin: Instant, end: Instant) -> (usize, Duration) {
        let all = self.latencies.lock().expect("whole");
        let of_span = all.iter().filter(|(at, _)| (begin..end).contains(at)).map(|(_, latency)| *latency);
        (of_span.clone().count(), of_span.max().unwrap_or_default())
    }

    /// What capture said.
    fn end(mut self) -> Ended {
        self.process.kill().expect("the ticks end");
        self.process.wait().expect("the ticks end");
        self.capture.end(libc::SIGINT)
    }
}

#[test]
fn the_death_of_the_server_stalls_nothing_and_its_return_is_noticed() {
    const TEST: &str = "the_death_of_the_server_stalls_nothing_and_its_return_is_noticed";
    let Some(mut kubernetes) = Kubernetes::start(TEST, "api") else { return };
    let (dir, file) = folder();
    let pods = of_node(&kubernetes);
    let pod =
        pods.iter().find(|pod| pod["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("backend-")));
    let pod = pod.expect("a pod of the deployment");
    let made: Vec<Container> = (0..60).map(|i| Container::of(dir.path(), pod, i)).collect();
    let config = kubernetes.fact("KUBECONFIG_READER").to_owned();
    let ticks = Ticks::start(dir.path(), &config);
    let (mut begin, mut outage, mut end) = (Instant::now(), Instant::now(), Instant::now());
    let ended = record(&file, &["--kubeconfig", &config], || {
        std::thread::sleep(Duration::from_secs(2));
        begin = Instant::now();
        made[..20].iter().for_each(|container| container.run("/bin/true"));
        outage = Instant::now();
        kubernetes.kill_server();
        made[20..40].iter().for_each(|container| container.run("/bin/true"));
        std::thread::sleep(Duration::from_secs(2));
        end = Instant::now();
        kubernetes.up();
        kubernetes.kubectl(&["label", "--overwrite", "namespace", "critical-app", "team=again"]);
        // The clients look again after a pause that has grown to 15 s meanwhile, and list then.
        std::thread::sleep(Duration::from_secs(45));
        made[40..].iter().for_each(|container| container.run("/bin/true"));
    });
    let (before, during) = (ticks.between(begin, outage), ticks.between(outage, end));
    let seen = ticks.end();
    assert!(seen.status.success(), "{seen:?}");
    let found =
        replay(&file, &["-p", "*%container.id|%k8s.deployment.name|%k8s.ns.label[team]", FROM_INSIDE]);
    for (i, container) in made.iter().enumerate() {
        let team = if i < 40 { "core" } else { "again" };
        let expected = format!("{}|backend|{team}", container.short_id());
        assert!(found.contains(&expected), "container {i}: no {expected} in {found:#?}");
    }
    for said in [&ended.stderr, &seen.stderr] {
        assert_eq!(said.matches("does not answer").count(), 1, "{said}");
        assert_eq!(said.matches("answers again").count(), 1, "{said}");
    }
    eprintln!(
        "oldest line: {:?} of {} before, {:?} of {} while the server was dead",
        before.1, before.0, during.1, during.0
    );
    assert!(before.0 > 20 && during.0 > 20);
    // The machine may be busy: what counts is what the outage adds.
    assert!(during.1 < 2 * before.1 + STALL_MAX, "{during:?} after {before:?}");
}
