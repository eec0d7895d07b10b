//! The program behind a recording by sysdig 0.36-era code (modern BPF probe), recorded here again:
//! event by event, every parameter that stands in the recording stands in ours with the same value.
//!
//! Masked are what differs from run to run (ids of processes, addresses, inodes, times, memory
//! sizes, ephemeral ports); everything else that differs stands in a table with its reason, and an
//! entry of that table which nothing needs fails the test.

mod differences;
mod sides;

use capture_tests::live;
use differences::{Difference, EVENTS, PARAMS};
use sides::{Side, Sides};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture-test");
const LAB: &str = "/srv/lab";
/// Children that the program ends 2 or 3 ms after it made them, and the call that they must have
/// reached by then. A loaded machine takes longer: such a run is another one than was recorded.
const CHILDREN_IN_A_HURRY: [&str; 2] = ["0.13", "0.14"];
const REACHED: &str = "pause";
const ATTEMPTS: u32 = 10;

/// Records the program in a mount namespace of its own, where its folder is empty and vanishes.
fn record(program: &Path, file: &Path) -> String {
    fs::create_dir_all(LAB).expect("its folder");
    let lab = CString::new(LAB).expect("text");
    let mut command = Command::new("sh");
    let script = format!(
        "mkdir -p {LAB}/bin {LAB}/src {LAB}/www && cp {} {LAB}/bin/kitchen && cd {LAB} && \
         head -c 300000 /dev/zero > www/big.bin && ulimit -n 20000 && \
         exec env -i PATH=/usr/bin:/bin HOME=/root {CAPTURE} --no-io-uring -w {} -- ./bin/kitchen",
        program.display(),
        file.display()
    );
    command.args(["-c", &script]).stdin(Stdio::null());
    // SAFETY: plain system calls on strings that exist already.
    unsafe {
        command.pre_exec(move || {
            let (none, tmpfs) = (std::ptr::null(), c"tmpfs".as_ptr());
            let private = libc::MS_REC | libc::MS_PRIVATE;
            if libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(none, c"/".as_ptr(), none, private, none.cast()) != 0
                || libc::mount(tmpfs, lab.as_ptr(), tmpfs, 0, none.cast()) != 0
            {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let out = command.output().expect("capture runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(String::from_utf8_lossy(&out.stdout).ends_with("done\n"), "{out:?}");
    said
}

#[test]
fn the_kitchen_is_recorded_as_sysdig_recorded_it() {
    let name = "the_kitchen_is_recorded_as_sysdig_recorded_it";
    if !live::can_record(name) || !live::has_host_ids(name) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let Some(program) = live::compile_as_is("kitchen", dir.path(), name) else { return };
    let _turn = live::turn();
    let file = dir.path().join("kitchen.scap");
    let theirs = Sides::read(&capture_tests::data_dir().join("captures/kitchen.scap.gz"));
    let reached = |sides: &Sides| {
        CHILDREN_IN_A_HURRY.iter().all(|label| sides.of(label).iter().any(|side| side.name == REACHED))
    };
    let mut runs = (0..ATTEMPTS).map(|_| {
        let said = record(&program, &file);
        assert!(said.contains("lost: 0 "), "{said}");
        Sides::read(&file)
    });
    let Some(ours) = runs.find(reached) else {
        capture_tests::skip(name, "the machine is too busy to give a child its turn within 3 ms");
        return;
    };
    assert_eq!(theirs.labels(), ours.labels(), "the same processes and threads");
    let mut report = Report::default();
    for label in theirs.labels() {
        report.compare(label, theirs.of(label), ours.of(label));
    }
    report.finish();
}

/// What was compared and what differs.
#[derive(Default)]
struct Report {
    events: usize,
    params: usize,
    calls: BTreeSet<String>,
    used: BTreeSet<&'static str>,
    explained: usize,
    unexplained: Vec<String>,
}

impl Report {
    fn compare(&mut self, label: &str, theirs: &[Side], ours: &[Side]) {
        for pair in sides::align(theirs, ours) {
            match pair {
                (Some(theirs), Some(ours)) => self.compare_params(label, theirs, ours),
                (Some(side), None) => self.unpaired(label, side, "not recorded"),
                (None, Some(side)) => self.unpaired(label, side, "recorded here only"),
                (None, None) => {}
            }
        }
    }

    fn compare_params(&mut self, label: &str, theirs: &Side, ours: &Side) {
        self.events += 1;
        self.calls.insert(theirs.name.clone());
        for (param, value) in &theirs.params {
            self.params += 1;
            // Our enters have the parameters of 2022; what came later stands in the exit.
            let same_name = ours.params.iter().find(|(name, _)| name == param);
            let ours_value = match same_name {
                Some((_, ours)) if ours.is_as(value) => continue,
                Some((_, ours)) => ours.text.as_str(),
                None if !theirs.is_exit => continue,
                None => "(no such parameter)",
            };
            let difference = Difference { call: &theirs.name, is_exit: theirs.is_exit, param };
            self.differs(label, &difference, &value.text, ours_value);
        }
    }

    fn differs(&mut self, label: &str, difference: &Difference<'_>, theirs: &str, ours: &str) {
        match PARAMS.iter().find(|row| row.fits(difference, theirs, ours)) {
            Some(row) => {
                self.explained += 1;
                self.used.insert(row.reason);
            }
            None => self.unexplained.push(format!("{label} {difference}: recorded {theirs}, ours {ours}")),
        }
    }

    fn unpaired(&mut self, label: &str, side: &Side, what: &str) {
        match EVENTS.iter().find(|row| row.call == side.name) {
            Some(row) => {
                self.explained += 1;
                self.used.insert(row.reason);
            }
            None => self.unexplained.push(format!("{label} {side}: {what}")),
        }
    }

    fn finish(self) {
        println!(
            "{} calls, {} events, {} parameters compared; {} differences with a reason",
            self.calls.len(),
            self.events,
            self.params,
            self.explained
        );
        let shown = self.unexplained.join("\n");
        assert!(self.unexplained.is_empty(), "{} without:\n{shown}", self.unexplained.len());
        let firm = PARAMS.iter().filter(|row| !row.is_race).map(|row| row.reason);
        let idle: Vec<_> = firm.filter(|reason| !self.used.contains(reason)).collect();
        assert!(idle.is_empty(), "entries that nothing needs: {idle:#?}");
        assert!(self.calls.len() >= 175 && self.events >= 940, "{} calls", self.calls.len());
    }
}
