//! A Kubernetes of this test's own.

use capture_tests::live::{self, Capture, Ended, Turn};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Name under which the scripts keep their files.
const NAME: &str = "capk8s";
/// Name under which those of a cluster's engine are.
const ENGINE: &str = "capk8s-k8s";

/// The program under test.
pub(crate) const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// A running Kubernetes; taken away with all it left when this ends.
pub(crate) struct Kubernetes {
    mode: &'static str,
    facts: HashMap<String, String>,
    // Taken away when all of it is down, and before the next one's turn.
    _shared: Option<Shared>,
    _turn: Turn,
}

impl Kubernetes {
    /// Starts it; reports a skip of `test` where that cannot be.
    pub(crate) fn start(test: &str, mode: &'static str) -> Option<Kubernetes> {
        Kubernetes::start_on(test, mode, false)
    }

    /// The same with the engine's containers on a shared mount, as under a service manager.
    pub(crate) fn start_shared(test: &str, mode: &'static str) -> Option<Kubernetes> {
        Kubernetes::start_on(test, mode, true)
    }

    fn start_on(test: &str, mode: &'static str, is_shared: bool) -> Option<Kubernetes> {
        if !live::can_record(test) || !live::has_host_ids(test) {
            return None;
        }
        let built = script("k8s-up.sh").arg("built").status().is_ok_and(|status| status.success());
        if !built && std::env::var_os("CAPTURE_K8S").is_none() {
            let reason =
                "Kubernetes is not built (5 to 10 minutes): set CAPTURE_K8S=1, or run k8s-up.sh build";
            capture_tests::skip(test, reason);
            return None;
        }
        let _turn = live::turn();
        let shared = is_shared.then(|| Shared::made(Path::new("/run").join(ENGINE)));
        let mut kubernetes = Kubernetes { mode, facts: HashMap::new(), _shared: shared, _turn };
        kubernetes.up();
        Some(kubernetes)
    }

    /// Starts what of it does not run.
    pub(crate) fn up(&mut self) {
        let out = script("k8s-up.sh").arg(self.mode).output().expect("the script starts");
        assert!(out.status.success(), "k8s-up.sh: {}", String::from_utf8_lossy(&out.stderr));
        for line in String::from_utf8_lossy(&out.stdout).lines() {
            if let Some((name, value)) = line.split_once('=') {
                self.facts.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// A fact that the script said.
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.facts.get(name).unwrap_or_else(|| panic!("the script says no {name}: {:?}", self.facts))
    }

    /// Runs kubectl as administrator, which must go well; what it printed.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let out = Command::new("kubectl").args(["--kubeconfig", self.fact("KUBECONFIG")]).args(args).output();
        text(&out.expect("kubectl starts"), &format!("kubectl {args:?}"))
    }

    /// The ids, as events have them, of all containers and sandboxes that its engine has.
    pub(crate) fn container_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for method in ["ListContainers", "ListPodSandbox"] {
            let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/cri.py");
            // Python of the distribution, which has its gRPC.
            let out =
                Command::new("/usr/bin/python3").arg(client).args([self.fact("CRI_SOCK"), method]).output();
            let out = text(&out.expect("python starts"), method);
            let out: serde_json::Value = serde_json::from_str(&out).expect("JSON");
            let all = ["containers", "items"].iter().find_map(|member| out[*member].as_array());
            ids.extend(
                all.into_iter().flatten().filter_map(|item| Some(item["id"].as_str()?[..12].to_owned())),
            );
        }
        assert!(ids.len() > 10, "{ids:?}");
        ids
    }

    /// Kills the API server, as a crash would.
    pub(crate) fn kill_server(&self) {
        let pid = self.fact("APISERVER_PID");
        let status = Command::new("kill").args(["-9", pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "the API server is killed");
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        // A failed test has its own message; this one cannot do more than try.
        let _ = script("down.sh").arg("k8s").output();
    }
}

/// A folder whose mounts others see: a service manager makes all of them so, and the manifest relies on it.
struct Shared(PathBuf);

impl Shared {
    fn made(folder: PathBuf) -> Shared {
        std::fs::create_dir_all(&folder).expect("a folder");
        let shared = Shared(folder);
        for how in [&["--bind"][..], &["--make-shared"]] {
            let mut mount = Command::new("mount");
            mount.args(how).args((how[0] == "--bind").then_some(&shared.0)).arg(&shared.0);
            text(&mount.output().expect("mount starts"), "mount");
        }
        shared
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A failed test has its own message; this one cannot do more than try.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn script(name: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("engines").join(name)).env("ENGINES_NAME", NAME);
    // Pods of another runtime may run beside these.
    command.env("K8S_CGROUP_ROOT", format!("/{NAME}"));
    command
}

pub(crate) fn text(out: &Output, what: &str) -> String {
    assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Records what `work` does into `file`; what capture said at the end.
pub(crate) fn record(file: &Path, args: &[&str], work: impl FnOnce()) -> Ended {
    // One of before would look as if the recording had begun.
    let _ = std::fs::remove_file(file);
    let capture = Capture::to_file(CAPTURE, file, args);
    work();
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");
    ended
}

/// What `capture -r file args` prints.
pub(crate) fn replay(file: &Path, args: &[&str]) -> Vec<String> {
    let out = Command::new(CAPTURE).args(["-r".as_ref(), file.as_os_str()]).args(args).output();
    text(&out.expect("capture starts"), &format!("{args:?}")).lines().map(str::to_owned).collect()
}

/// A folder for what a test writes.
pub(crate) fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("k8s.scap");
    (dir, file)
}
