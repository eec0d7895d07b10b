//! A container engine of this test's own.

use crate::replay;
use crate::run::LIFE;
use capture_tests::live::{self, Capture, Ended, Turn};
use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name under which the scripts keep their files.
const NAME: &str = "captest";

/// The program under test.
pub(crate) const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// A running engine; taken away with all it left when this ends.
pub(crate) struct Engine {
    name: &'static str,
    /// The variable that tells the scripts the socket, and the socket.
    socket: (String, String),
    /// What the script said of it.
    pub(crate) facts: HashMap<String, String>,
    _turn: Turn,
}

impl Engine {
    /// Starts an engine on its usual socket; reports a skip of `test` where that cannot be.
    pub(crate) fn start(
        test: &str,
        name: &'static str,
        program: &str,
        script: &str,
        socket: (&str, &str),
    ) -> Option<Engine> {
        if !live::can_record(test) || !live::has_host_ids(test) {
            return None;
        }
        capture_tests::installed(program, test)?;
        let turn = live::turn();
        if Path::new(socket.1).exists() {
            capture_tests::skip(test, &format!("{} is in use by an engine of this machine", socket.1));
            return None;
        }
        let mut engine =
            Engine { name, socket: (socket.0.into(), socket.1.into()), facts: HashMap::new(), _turn: turn };
        let out = engine.script(script).output().expect("the script starts");
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
        for line in String::from_utf8_lossy(&out.stdout).lines() {
            if let Some((name, value)) = line.split_once('=') {
                engine.facts.insert(name.to_owned(), value.to_owned());
            }
        }
        Some(engine)
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg(scripts().join(name)).env("ENGINES_NAME", NAME).env(&self.socket.0, &self.socket.1);
        command
    }

    /// A fact that the script said.
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.facts.get(name).unwrap_or_else(|| panic!("the script says no {name}: {:?}", self.facts))
    }

    /// Takes the engine away; the file must replay as it did beside it.
    pub(crate) fn take_away(self, file: &Path) {
        let socket = self.socket.1.clone();
        let beside = replay::told(file);
        drop(self);
        assert!(UnixStream::connect(&socket).is_err(), "the engine at {socket} goes on");
        let alone = replay::told(file);
        let differs = beside.iter().zip(&alone).find(|(beside, alone)| beside != alone);
        assert!(beside == alone, "{} and {} lines; {differs:?}", beside.len(), alone.len());
    }

    /// Runs a command of the engine, which must go well; what it printed.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(args);
        if let Some(host) = self.facts.get("DOCKER_HOST") {
            command.env("DOCKER_HOST", host);
        }
        let out = command.output().unwrap_or_else(|e| panic!("{program}: {e}"));
        assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }
}

impl Engine {
    /// What engines with docker's commands are recorded doing: a container with a label and a
    /// secret, one of 20 ms, and an exec into a running one.
    pub(crate) fn run_containers(&self, client: &str, secret: &str) {
        let image = self.fact("IMAGE");
        let run = |words: &[&str]| self.run(client, words);
        let rm = |name: &str, words: &[&str]| run(&[&["run", "--rm", "--name", name], words].concat());
        rm("labelled", &["--label", "tier=back", "--env", secret, image, "ls", "/"]);
        rm("twenty-ms", &[image, "sleep", "0.02"]);
        run(&["exec", "eng-web", "uname", "-a"]);
        // What orchestrators put on the containers that they start.
        let labels = [
            "com.docker.swarm.service.name=web",
            "com.docker.swarm.task.name=web.1.x",
            "com.docker.swarm.node.id=n1",
        ];
        let compose = ["com.docker.compose.project=shop", "com.docker.compose.service=db"];
        let env = [
            "MESOS_TASK_ID=t.1",
            "MESOS_FRAMEWORK_ID=f-1",
            "MARATHON_APP_ID=/shop/web",
            "MARATHON_APP_LABELS=TIER",
            "MARATHON_APP_LABEL_TIER=back",
        ];
        let mut words: Vec<&str> = Vec::new();
        labels.iter().chain(&compose).for_each(|label| words.extend(["--label", label]));
        env.iter().for_each(|variable| words.extend(["--env", variable]));
        words.extend(["--user", "1000", image, "sleep", "0.02"]);
        rm("orchestrated", &words);
    }

    /// Fields of that last container.
    pub(crate) const ORCHESTRATED: &[(&str, &str)] = &[
        ("swarm.service.name", "web"),
        ("swarm.task.name", "web.1.x"),
        ("swarm.node.id", "n1"),
        ("compose.project", "shop"),
        ("compose.service", "db"),
        ("mesos.task.id", "t.1"),
        ("mesos.task.labels", "com.docker.compose.service:db"),
        ("mesos.framework.id", "f-1"),
        ("marathon.app.id", "/shop/web"),
        ("marathon.app.name", "web"),
        ("marathon.app.label.tier", "back"),
        ("marathon.app.labels", "TIER:back"),
        ("marathon.group.id", "/shop"),
        ("container.user", "1000"),
    ];

    /// One short container.
    pub(crate) fn run_short(&self, client: &str, name: &str) {
        let image = self.fact("IMAGE");
        self.run(client, &["run", "--rm", "--name", name, "--label", "row=yes", image, "sleep", LIFE]);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A failed test has its own message; this one cannot do more than try.
        let _ = self.script("down.sh").arg(self.name).output();
    }
}

/// Folder of the scripts.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engines")
}

/// Records what `work` does, into `file`; what capture said at the end.
pub(crate) fn record(file: &Path, work: impl FnOnce()) -> Ended {
    let capture = Capture::to_file(CAPTURE, file, &[]);
    work();
    let ended = capture.end(libc::SIGINT);
    assert!(ended.status.success(), "{ended:?}");
    ended
}
