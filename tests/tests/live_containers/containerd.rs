//! containerd, by the Kubernetes container runtime interface and by its own client.

use crate::engine::{Engine, record, scripts};
use crate::replay;
use crate::run::{LIFE, Run, name};
use capture_tests::live;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SOCKET: (&str, &str) = ("CONTAINERD_SOCK", "/run/containerd/containerd.sock");
/// Python of the distribution, which has its gRPC.
const PYTHON: &str = "/usr/bin/python3";

/// The client, for calls one after another.
struct Cri {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Cri {
    fn start() -> Cri {
        let mut command = Command::new(PYTHON);
        command.arg(scripts().join("cri.py")).args([SOCKET.1, "-"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let questions = child.stdin.take().expect("its input");
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        Cri { child, questions, answers }
    }

    fn call(&mut self, method: &str, question: &Value) -> Value {
        writeln!(self.questions, "{method} {question}").expect("the client reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the client answers");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{method} {question}: {line:?}"))
    }

    /// A call that must go well; engines that are still busy with the end of a container say so for a while.
    fn must(&mut self, method: &str, question: &Value) -> Value {
        let mut answer = Value::Null;
        let is_done = live::within(live::PATIENCE, || {
            answer = self.call(method, question);
            answer.get("error").is_none()
        });
        assert!(is_done, "{method} {question}: {answer}");
        answer
    }

    /// Runs a short container in a pod from its making to its removal.
    fn run_short(&mut self, image: &str, sandbox: &Value, pod: &Value, name: &str) {
        let config = json!({
            "metadata": {"name": name}, "image": {"image": image}, "command": ["/bin/sleep", LIFE],
            "labels": {"io.kubernetes.container.name": name, "io.kubernetes.pod.name": "late-pod",
                       "io.kubernetes.pod.namespace": "batch", "io.kubernetes.pod.uid": POD_UID},
            "envs": [{"key": "TOKEN", "value": "hunter2"}],
        });
        let question = json!({ "pod_sandbox_id": sandbox, "sandbox_config": pod, "config": config });
        let id = self.must("CreateContainer", &question)["containerId"].clone();
        self.must("StartContainer", &json!({ "container_id": id }));
        // Its end comes by itself. (Stopping it could end it before its program begins.)
        let mut status = Value::Null;
        let is_over = live::within(live::PATIENCE, || {
            status = self.must("ContainerStatus", &json!({ "id": id }))["status"].take();
            status["state"] == "CONTAINER_EXITED"
        });
        assert!(is_over && status["exitCode"].as_i64().unwrap_or(0) == 0, "{name}: {status}");
        self.must("RemoveContainer", &json!({ "container_id": id }));
    }
}

impl Drop for Cri {
    fn drop(&mut self) {
        // It is of no more use.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const POD_UID: &str = "77aa2a9e-7b3d-4c88-9a51-0d6e2f8b4c18";

fn late_pod() -> Value {
    json!({
        "metadata": {"name": "late-pod", "uid": POD_UID, "namespace": "batch", "attempt": 0},
        "hostname": "late-pod",
        "labels": {"app": "late", "io.kubernetes.pod.name": "late-pod", "io.kubernetes.pod.namespace": "batch",
                   "io.kubernetes.pod.uid": POD_UID},
        "linux": {"cgroup_parent": format!("/kubepods/besteffort/pod{POD_UID}")},
    })
}

fn start(test: &str) -> Option<Engine> {
    Engine::start(test, "containerd", "containerd", "containerd-cri-up.sh", SOCKET)
}

#[test]
fn short_containers_of_a_pod_in_a_row_are_named() {
    const TEST: &str = "short_containers_of_a_pod_in_a_row_are_named";
    let Some(engine) = start(TEST) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let mut cri = Cri::start();
    let pod = late_pod();
    let image = engine.fact("IMAGE").to_owned();
    let mut run = Run::start("containerd (CRI)", dir.path());
    let sandbox = cri.must("RunPodSandbox", &json!({ "config": pod }))["podSandboxId"].clone();
    run.row(|name| cri.run_short(&image, &sandbox, &pod, name));
    let file = run.end();
    drop(cri);
    engine.take_away(&file);

    replay::check_row(TEST, &file, "containerd");
    let found = replay::containers(&file);
    assert!(found.contains_key("late-pod") && found.contains_key("side"), "{:?}", found.keys());
    let format = "%container.name|%k8s.pod.name|%k8s.ns.name|%k8s.pod.label[app]|%evt.type%evt.dir";
    for line in replay::lines(&file, format, "container.id != host") {
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
    let has = replay::holds(&file);
    assert!(has("TOKEN=[redacted]"));
    replay::check_stock_pods(TEST, &file, |name| match name.starts_with("short-") || name == "late-pod" {
        true => "late-pod",
        false => "shop-6c8f9d7b54-x2x7k",
    });
}

/// Containers that `ctr` makes have no engine above containerd that could be asked: its own database
/// tells image and labels.
#[test]
fn containers_of_containerd_itself_have_images_and_labels() {
    const TEST: &str = "containers_of_containerd_itself_have_images_and_labels";
    let Some(engine) = start(TEST) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ctr.scap");
    let image = engine.fact("IMAGE").to_owned();
    let ctr = |words: &[&str]| {
        let all = [&["--address", SOCKET.1][..], words].concat();
        engine.run("ctr", &all)
    };
    let archive = dir.path().join("image.tar");
    let archive = archive.to_str().expect("text");
    ctr(&["--namespace", "k8s.io", "images", "export", archive, &image]);
    ctr(&["images", "import", archive]);
    record(&file, || {
        for n in 0..5 {
            // A thread of the host's network needs no plugins.
            ctr(&["run", "--rm", "--net-host", "--label", "row=yes", &image, &name(n), "sleep", LIFE]);
        }
    });
    engine.take_away(&file);

    let found = replay::containers(&file);
    for n in 0..5 {
        let (_, id, of, kind) = &found[&name(n)];
        assert_eq!((id, of, kind.as_str()), (&name(n), &image, "containerd"));
    }
    let entered = replay::programs(&file, ">");
    assert!(entered.contains("short-0 /bin/sleep") || entered.contains("short-0 sleep"), "{entered:?}");
    let unlabelled = "container.name startswith short- and not container.label.row = yes";
    assert_eq!(replay::lines(&file, "%evt.type", unlabelled), [""; 0]);
    replay::check_stock(TEST, &file, &found);
}
