//! The workload of `filtered.c`, its recordings, and their lines with what differs from run to run
//! masked.

use capture_tests::live::{self, Capture};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");

/// Lines by role of their process.
pub(crate) type ByRole = BTreeMap<String, Vec<String>>;

/// Calls whose arguments are numbers of the moment: memory, times, the size of an environment.
const VOLATILE: &[&str] = &["clone", "execve", "procexit", "brk", "mmap", "munmap", "wait4", "signaldeliver"];

/// What stands before the id of a process, and before the inode of a pipe.
const PROCESS_MARKS: &[&str] = &["res=", "data=", "pid=", "tid="];
const INODE_MARKS: &[&str] = &["ino=", "pipe:["];

/// The compiled program and the folder that it works in.
pub(crate) struct Workload {
    program: PathBuf,
    folder: PathBuf,
}

impl Workload {
    pub(crate) fn compile(dir: &Path, test: &str) -> Option<Workload> {
        let program = live::compile("filtered", dir, test)?;
        let folder = dir.join("work");
        fs::create_dir(&folder).expect("a folder");
        for name in ["worker", "other", "parent"] {
            fs::copy(&program, folder.join(name)).expect("a copy of the program");
        }
        Some(Workload { program, folder })
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the program, which waits.
    fn start(&self, args: &[&Path]) -> Child {
        for file in ["data.txt", "own.txt"] {
            // Files of the run before, if there was one.
            let _ = fs::remove_file(self.folder.join(file));
        }
        Command::new(&self.program)
            .arg(&self.folder)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the workload starts")
    }

    /// Records a run; `{pid}` in the filter is its first process.
    pub(crate) fn record(&self, name: &str, filter: Option<&str>, args: &[&Path]) -> Recording {
        let file = self.folder.with_file_name(format!("{name}.scap"));
        let child = self.start(args);
        let pid = child.id();
        let filter = filter.map(|filter| with_pid(filter, pid));
        let words: Vec<&str> = ["-v"].into_iter().chain(filter.as_deref()).collect();
        let capture = Capture::to_file(CAPTURE, &file, &words);
        let roles = run(child);
        let ended = capture.end(libc::SIGINT);
        assert!(ended.status.success(), "{ended:?}");
        Recording { file, pid, roles, stderr: ended.stderr }
    }

    /// The lines of a run that is watched, without their numbers, masked; and what was said at the end.
    pub(crate) fn lines(&self, filter: &str, options: &[&str]) -> (Vec<String>, String) {
        let out = self.folder.with_file_name("lines.txt");
        let child = self.start(&[]);
        let mut command = Command::new(CAPTURE);
        command.args(["-v", "-p", FORMAT]).args(options).arg(filter).stdin(Stdio::null());
        // The text stays in a file: nobody reads it meanwhile.
        command.stdout(fs::File::create(&out).expect("a file")).args(["--unbuffered"]);
        let capture = Capture::spawn(&mut command);
        // What starts is over when the first call that every shell makes is printed.
        let probe = self.folder.join("worker");
        let is_recording = || {
            let ended = Command::new(&probe).args(["--worker", "probe", "0"]).stdin(Stdio::null()).status();
            ended.is_ok() && fs::metadata(&out).is_ok_and(|meta| meta.len() > 0)
        };
        assert!(live::within(live::PATIENCE, is_recording), "nothing is printed");
        let _ = fs::remove_file(self.folder.join("own.txt"));
        let roles = run(child);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let ended = capture.end(libc::SIGINT);
        assert!(ended.status.success(), "{ended:?}");
        let text = fs::read_to_string(&out).expect("lines");
        let all = by_role(&text, &roles);
        (all.into_values().flatten().collect(), ended.stderr)
    }
}

/// Lets the program run; its processes with their roles.
fn run(mut child: Child) -> BTreeMap<String, String> {
    child.stdin.take().expect("its input").write_all(b"x").expect("it takes a byte");
    let said = BufReader::new(child.stdout.take().expect("its output")).lines();
    let roles = said.map(|line| {
        let line = line.expect("a line");
        let (role, pid) = line.split_once(' ').expect("role and pid");
        (pid.trim_start_matches('0').to_owned(), role.to_owned())
    });
    let roles = roles.collect();
    assert!(child.wait().expect("its status").success(), "the workload fails");
    roles
}

fn with_pid(filter: &str, pid: u32) -> String {
    filter.replace("{pid}", &pid.to_string())
}

const FORMAT: &str =
    "*%proc.pid %evt.dir %evt.type %proc.name %user.uid %proc.pname %proc.cwd %fd.name %evt.args";

/// A recorded run.
pub(crate) struct Recording {
    file: PathBuf,
    pid: u32,
    /// Role by pid.
    roles: BTreeMap<String, String>,
    pub(crate) stderr: String,
}

impl Recording {
    pub(crate) fn roles(&self) -> Vec<String> {
        self.roles.values().cloned().collect()
    }

    /// Lines of a replay.
    pub(crate) fn lines(&self, filter: &str, format: &str) -> Vec<String> {
        let filter = with_pid(filter, self.pid);
        let out = Command::new(CAPTURE).arg("-r").arg(&self.file).args(["-p", format]).arg(filter).output();
        let out = out.expect("capture replays");
        assert!(out.status.success(), "{out:?}");
        String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
    }

    /// The workload's lines of a replay with a filter, masked, by role.
    pub(crate) fn replay(&self, filter: &str) -> ByRole {
        by_role(&self.lines(filter, FORMAT).join("\n"), &self.roles)
    }
}

fn by_role(text: &str, roles: &BTreeMap<String, String>) -> ByRole {
    let mut out = ByRole::new();
    for line in text.lines() {
        let (pid, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(role) = roles.get(pid) {
            out.entry(role.clone()).or_default().push(masked(rest, roles));
        }
    }
    out
}

/// A line without what differs from run to run.
fn masked(line: &str, roles: &BTreeMap<String, String>) -> String {
    let mut words = line.split(' ');
    let kind = words.nth(1).unwrap_or("");
    let volatile = VOLATILE.contains(&kind);
    let kept: Vec<&str> = line.split(' ').take(if volatile { 6 } else { usize::MAX }).collect();
    let mut out = String::new();
    let mut number = String::new();
    for c in kept.join(" ").chars().chain(['\n']) {
        if c.is_ascii_digit() || matches!(c, 'A'..='F') {
            number.push(c);
            continue;
        }
        let is_after = |marks: &[&str]| marks.iter().any(|mark| out.ends_with(mark));
        match roles.get(&number) {
            Some(role) if is_after(PROCESS_MARKS) => out.push_str(role),
            // Those of a machine that has just started have few digits.
            _ if !number.is_empty() && is_after(INODE_MARKS) => out.push('N'),
            // Addresses, times.
            _ if number.len() > 5 && number.contains(|c: char| c.is_ascii_digit()) => out.push('N'),
            _ => out.push_str(&number),
        }
        number.clear();
        out.push(c);
    }
    out.trim_end().to_owned()
}

/// Fails with the first difference.
pub(crate) fn assert_same(filter: &str, role: &str, wanted: &[String], got: &[String]) {
    let first = wanted.iter().zip(got).position(|(a, b)| a != b).unwrap_or(wanted.len().min(got.len()));
    assert!(
        wanted == got,
        "{filter}: {role}: line {first} of {} is\n  {:?}\nwanted, of {},\n  {:?}",
        got.len(),
        got.get(first),
        wanted.len(),
        wanted.get(first)
    );
}

/// Records that the summary says were left out in the kernel.
pub(crate) fn left_out(stderr: &str) -> u64 {
    const SAID: &str = "left out in the kernel: ";
    let line = stderr.lines().find_map(|line| line.strip_prefix(SAID));
    line.map_or(0, |line| line.split(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
}
