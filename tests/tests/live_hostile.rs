//! The whole program beside container engines and an API server that lie, stall and flood: all the
//! while a steady load runs in a container of theirs. Its events must all be there and in time, the load
//! must not feel it, and memory has a bound.

use capture_fakes::cri::{self, Reply, field};
use capture_fakes::kubernetes::Server;
use capture_fakes::{Fault, damage, http};
use capture_tests::cgroup::Cgroup;
use capture_tests::live::{self, Capture, Summary};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
/// A container of a real docker, as docker and its events tell of one.
const INSPECT: &[u8] = include_bytes!("../../capture-user/src/enrich/testdata/docker-inspect.json");
const EVENTS: &[u8] = include_bytes!("../../capture-user/src/enrich/testdata/docker-events.ndjson");
const ID: &str = "a7bb935e856bf29f9fdc8e46463ba29c436b9dd31738dd46dd324ddc46ef8acf";
/// Lists of a real API server.
const KUBERNETES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/kubernetes/1.32");
const NODE: &str = "node-1";

/// Calls a second of the steady load, and its length.
const CALLS_PER_S: u64 = 5_000;
const LOAD_S: u64 = 3;
/// A container begins and ends this often meanwhile.
const CONTAINER_EACH: Duration = Duration::from_millis(100);
/// What share of its calls a second the load must keep.
const PACE_KEPT: f64 = 0.95;
/// How late a line may come: what the stream is held for a container, and what a busy machine takes.
const LAG_MAX: Duration = Duration::from_millis(1500);
/// How long the end may take.
const END_MAX: Duration = Duration::from_secs(10);
/// What captures may take more than beside no engines.
const GROWTH_MAX_KIB: u64 = 384 << 10;

/// Name of a bad engine, and how it answers what is asked beside the version.
type Bad = (&'static str, fn() -> Reply);

/// Where captures are told to ask.
struct Around {
    docker: PathBuf,
    podman: PathBuf,
    cri: Vec<PathBuf>,
    kubernetes: Option<String>,
}

impl Around {
    /// Nobody anywhere.
    fn nobody(dir: &Path) -> Around {
        let nobody = |name| dir.join(name);
        Around { docker: nobody("docker"), podman: nobody("podman"), cri: Vec::new(), kubernetes: None }
    }

    fn command(&self) -> Command {
        let unix = |path: &Path| format!("unix://{}", path.display());
        let mut command = Command::new(CAPTURE);
        command.env("DOCKER_HOST", unix(&self.docker)).env("CONTAINER_HOST", unix(&self.podman));
        for socket in &self.cri {
            command.arg("--cri").arg(socket);
        }
        if let Some(url) = &self.kubernetes {
            command.args(["-k", url, "--node-name", NODE]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// A docker that does each question something else, and a sound one in podman's place.
fn docker(hostile: &Path, sound: &Path) {
    let huge = |member: &str, value: String| {
        let text = String::from_utf8_lossy(INSPECT).replacen(&format!("\"{member}\""), &value, 1);
        Fault::Answer(text.into_bytes())
    };
    let values: String = (0..40_000).map(|n| format!("\"label{n}\":\"{}\",", "v".repeat(60))).collect();
    let faults = [
        Fault::Flood,
        Fault::Answer(damage(INSPECT, 1)),
        Fault::Silence,
        // 3 MB of labels, and 2 MB of small values that nobody asked for.
        huge("Labels", format!("\"Labels\":{{{values}\"last\":\"\"}},\"Other\"")),
        huge("Id", format!("\"Other\":[{}0],\"Id\"", "0,".repeat(1 << 20))),
        Fault::SlowHeaders,
        Fault::Raw(damage(INSPECT, 2)),
        Fault::LongHeaders,
        Fault::Answer(
            b"{\"Id\":\"\xff\xfe\xc0\",\"Name\":\"/\xf0\x9f\",\"Config\":{\"Labels\":[]}}".to_vec(),
        ),
        Fault::Trickle,
        Fault::Answer(b"[".repeat(1 << 20)),
        Fault::HangUp,
        Fault::Status(500),
    ];
    let event = EVENTS.split(|&b| b == b'\n').next().unwrap_or_default().to_vec();
    let streams = [Fault::Lines(damage(&event, 5)), Fault::Flood, Fault::Lines(event), Fault::Trickle];
    let (asked, streamed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let next =
        |count: &AtomicUsize, of: &[Fault]| of[count.fetch_add(1, Ordering::Relaxed) % of.len()].clone();
    http::serve(hostile, move |target, stream| {
        // Errors mean that the client went away.
        let _ = match target {
            "/version" => return http::respond(stream, b"{}"),
            "/containers/json" => return http::respond(stream, b"[{\"Id\":\"\\u0000\"},{\"Id\":7},null,{}]"),
            target if target.starts_with("/events") => next(&streamed, &streams).play(stream),
            _ => next(&asked, &faults).play(stream),
        };
    });
    http::serve(sound, |target, stream| match target {
        "/version" => http::respond(stream, b"{}"),
        "/containers/json" => http::respond(stream, b"[]"),
        target if target.starts_with("/events") => http::hold_open(stream),
        target if target == format!("/containers/{ID}/json") => http::respond(stream, INSPECT),
        _ => http::not_found(stream),
    });
}

/// Engines of which each answers all questions beside the version in its own wrong way.
fn cri(dir: &Path) -> Vec<PathBuf> {
    fn labels() -> Reply {
        // ContainerStatusResponse.status: id, metadata.name, image.image, and 13 MB of labels.
        let mut status =
            [field(1, &[b'c'; 64]), field(2, &field(1, b"web")), field(8, &field(1, b"i:1"))].concat();
        for n in 0..400 {
            let label = [field(1, format!("label{n}").as_bytes()), field(2, &[b'v'; 32 << 10])].concat();
            status.extend(field(12, &label));
        }
        Reply::ok(&field(1, &status))
    }
    let bad: [Bad; 8] = [
        ("flood", || Reply::Flood),
        ("trickle", Reply::trickle),
        ("silence", Reply::silence),
        ("status", || Reply::Raw(cri::framed(&field(1, &field(1, b"c"))))),
        ("length", || Reply::Message([&[0, 0xff, 0xff, 0xff, 0xff][..], &[1; 100]].concat(), "0")),
        ("text", || Reply::ok(&field(1, &field(1, b"\xff\xfe")))),
        ("damage", || Reply::ok(&damage(&field(1, &field(2, b"web")), 9))),
        ("labels", labels),
    ];
    let sockets = bad.map(|(name, reply)| {
        let socket = dir.join(format!("{name}.cri"));
        cri::serve(socket.clone(), move |method, _| match method {
            "Version" => Reply::version("containerd"),
            "ListContainers" | "ListPodSandbox" => Reply::ok(&[]),
            _ => reply(),
        });
        socket
    });
    // Two that do not even say who they are; one of them speaks another protocol.
    let (mute, http) = (dir.join("mute.cri"), dir.join("http.cri"));
    cri::serve(mute.clone(), |_, _| Reply::Flood);
    http::serve(&http, |_, stream| drop(Fault::Raw(damage(INSPECT, 4)).play(stream)));
    sockets.into_iter().chain([mute, http]).collect()
}

/// An API server that does each kind of object something else; what it says of pods is sound at first.
fn kubernetes() -> Server {
    let read = |name: &str| std::fs::read(Path::new(KUBERNETES).join(name)).expect("a list of the tests");
    let server = Server::start();
    server.load("/api/v1/pods", &read("pods.json"));
    server.load("/api/v1/services", &read("services.json"));
    let pod = |labels: &str| {
        format!(
            "{{\"type\":\"ADDED\",\"object\":{{\"metadata\":{{\"name\":\"p\",\"namespace\":\"n\",\
             \"labels\":{{{labels}}}}},\"spec\":{{\"nodeName\":\"{NODE}\"}}}}}}"
        )
    };
    let labels: Vec<String> = (0..30_000).map(|n| format!("\"label{n}\":\"{}\"", "v".repeat(60))).collect();
    let mut state = server.state();
    state.raw = vec![pod(&labels.join(",")), "\u{1}\u{2}".into(), pod("\"a\":"), "x".repeat(5 << 20)];
    state.faults = [
        ("/api/v1/nodes", Fault::Silence),
        ("/api/v1/namespaces", Fault::SlowHeaders),
        ("/apis/apps/v1/daemonsets", Fault::HangUp),
        ("/apis/apps/v1/statefulsets", Fault::Trickle),
        ("/apis/apps/v1/deployments", Fault::Flood),
        ("/apis/apps/v1/replicasets", Fault::Lines(pod("").into_bytes())),
        ("/apis/batch/v1/jobs", Fault::Answer(damage(&read("jobs.json"), 3))),
        ("/apis/batch/v1/cronjobs", Fault::Answer(b"\xff\xfe no json".to_vec())),
        ("/api/v1/replicationcontrollers", Fault::LongHeaders),
    ]
    .map(|(path, fault)| (path.to_owned(), fault))
    .into();
    drop(state);
    server
}

/// What was seen of two captures, one that writes a file and one that prints lines.
#[derive(Debug)]
struct Seen {
    /// Calls that the load made, and in what time.
    calls: u64,
    took: Duration,
    /// Enters and exits of them in the file.
    in_file: [u64; 2],
    lost: u64,
    /// Lines of the load, and how late the latest came.
    lines: u64,
    lag: Duration,
    /// Most memory that each took.
    kib: [u64; 2],
    /// How long each took to end.
    end: [Duration; 2],
    /// Whether the container that the sound engine knows has its name.
    is_named: bool,
}

impl Seen {
    fn calls_per_s(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64()
    }
}

/// Records the load, in a container, for which `paced` is run.
fn record(around: &Around, paced: &Path, file: &Path) -> Seen {
    let mut lines = around.command();
    lines.args([
        "--unbuffered",
        "-p",
        "%evt.rawtime",
        "proc.name = paced and evt.type in (nanosleep, clock_nanosleep)",
    ]);
    let mut to_lines = Capture::spawn(lines.stdout(Stdio::piped()));
    let stdout = to_lines.child().stdout.take().expect("its lines");
    let reader = std::thread::spawn(move || read_lines(BufReader::new(stdout)));
    let mut to_file = Capture::spawn(around.command().arg("-w").arg(file));
    let is_recording = || std::fs::metadata(file).is_ok_and(|m| m.len() > 0);
    assert!(live::within(live::PATIENCE, is_recording), "capture does not record");

    let groups: Vec<Cgroup> = (0..1000).map(Cgroup::numbered).collect();
    let mut command = groups[0].enter(paced);
    command.args([CALLS_PER_S.to_string(), LOAD_S.to_string()]).stdout(Stdio::piped());
    let load = command.spawn().expect("the load starts");
    let load_pid = load.id();
    let is_over = AtomicBool::new(false);
    let mut kib = [0, 0];
    let out = std::thread::scope(|scope| {
        scope.spawn(|| run_containers(&groups[1..], &is_over));
        let mut look = || {
            for (most, capture) in kib.iter_mut().zip([&mut to_file, &mut to_lines]) {
                *most = live::rss_kib(capture.child().id()).unwrap_or(0).max(*most);
            }
        };
        let load = scope.spawn(|| load.wait_with_output().expect("the load ends"));
        while !load.is_finished() {
            look();
            std::thread::sleep(Duration::from_millis(20));
        }
        is_over.store(true, Ordering::Relaxed);
        load.join().expect("the load ends")
    });
    let [(file_ended, file_end), (lines_ended, lines_end)] = [to_file, to_lines].map(|capture| {
        let begin = Instant::now();
        (capture.end(libc::SIGINT), begin.elapsed())
    });
    assert!(file_ended.status.success(), "{file_ended:?}");
    assert!(lines_ended.status.success(), "{lines_ended:?}");
    let (lines, lag) = reader.join().expect("the lines are read");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let numbers: Vec<u64> = said.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    let [calls, took_ns] = numbers[..] else { panic!("the load said {said:?}") };
    let made = format!("proc.pid = {load_pid} and proc.name = paced and evt.type = getppid");
    let of_load = replay(file, "%evt.dir", &made);
    let count = |dir: &str| of_load.iter().filter(|line| *line == dir).count() as u64;
    Seen {
        calls,
        took: Duration::from_nanos(took_ns),
        in_file: [count(">"), count("<")],
        lost: Summary::parse(&file_ended.stderr).lost,
        lines,
        lag,
        kib,
        end: [file_end, lines_end],
        is_named: !replay(file, "%container.name", "container.name = eng-web and proc.name = true")
            .is_empty(),
    }
}

/// Short containers one after another; the one that the sound engine knows among them.
fn run_containers(groups: &[Cgroup], is_over: &AtomicBool) {
    let known = Cgroup::of(ID.into());
    for group in std::iter::once(&known).chain(groups) {
        let status = group.enter(Path::new("/bin/true")).status().expect("a shell starts");
        assert!(status.success(), "{}: {status}", group.id);
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(CONTAINER_EACH);
    }
}

/// How many lines come, and how late the latest is.
fn read_lines(lines: impl BufRead) -> (u64, Duration) {
    let (mut count, mut lag) = (0, Duration::ZERO);
    for line in lines.lines().map_while(Result::ok) {
        let made = Duration::from_nanos(line.parse().unwrap_or_else(|_| panic!("{line:?} is no time")));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time since 1970");
        lag = lag.max(now.saturating_sub(made));
        count += 1;
    }
    (count, lag)
}

fn replay(file: &Path, format: &str, filter: &str) -> Vec<String> {
    let out = Command::new(CAPTURE).arg("-r").arg(file).args(["-p", format, filter]).output();
    let out = out.expect("capture starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn engines_and_servers_that_misbehave_cost_the_capture_nothing() {
    const TEST: &str = "engines_and_servers_that_misbehave_cost_the_capture_nothing";
    if !live::can_record(TEST) || !live::has_host_ids(TEST) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let Some(paced) = live::compile("paced", dir.path(), TEST) else { return };
    let _turn = live::turn();
    let quiet = record(&Around::nobody(dir.path()), &paced, &dir.path().join("quiet.scap"));
    println!("nobody around: {:.0} calls/s, {quiet:?}", quiet.calls_per_s());

    let (hostile, sound) = (dir.path().join("hostile.sock"), dir.path().join("sound.sock"));
    docker(&hostile, &sound);
    let server = kubernetes();
    let around =
        Around { docker: hostile, podman: sound, cri: cri(dir.path()), kubernetes: Some(server.url.clone()) };
    let seen = record(&around, &paced, &dir.path().join("hostile.scap"));
    println!("all of them hostile: {:.0} calls/s, {seen:?}", seen.calls_per_s());
    if quiet.lost > 0 || quiet.calls_per_s() < PACE_KEPT * CALLS_PER_S as f64 {
        return capture_tests::skip(TEST, &format!("the machine is too loaded for a steady load: {quiet:?}"));
    }
    assert!(seen.lost == 0 && seen.in_file == [seen.calls; 2], "events are missing: {seen:?}");
    assert!(seen.is_named, "the sound engine was not heard: {seen:?}");
    assert!(seen.calls_per_s() >= PACE_KEPT * quiet.calls_per_s(), "{quiet:?} {seen:?}");
    assert!(seen.lines > 0 && seen.lag < LAG_MAX, "lines are late: {seen:?}");
    assert!(seen.end.iter().all(|end| *end < END_MAX), "the end is late: {seen:?}");
    for (quiet, seen) in quiet.kib.into_iter().zip(seen.kib) {
        assert!(seen < quiet + GROWTH_MAX_KIB, "{quiet} KiB, then {seen} KiB");
    }
}
