//! Running `capture` and stock sysdig alike, and comparing what they print.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How two outputs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// Byte for byte.
    Exact,
    /// As sets of lines: the order follows the hash order of tables.
    Lines,
    /// As a table of the greatest values that is cut somewhere: which of the rows with the least
    /// value are shown follows the hash order, too.
    Top,
    /// As bags of words: the order of members in JSON objects follows the hash order.
    Words,
}

/// Runs a program as the recorded runs were: times in UTC, its own home folder.
pub(crate) fn run(program: &Path, folder: &Path, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .current_dir(folder)
        .env_remove("SYSDIG_CHISEL_DIR")
        .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("TERM", "xterm-256color")])
        .env("HOME", folder)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()))
}

/// What a program writes to a terminal of 80 columns and 24 rows.
pub(crate) fn run_on_terminal(program: &Path, folder: &Path, args: &[&str]) -> Vec<u8> {
    let (mut screen, terminal) = open_terminal();
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env_remove("SYSDIG_CHISEL_DIR").env("HOME", folder);
    command.envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("TERM", "xterm-256color")]);
    command.stdin(terminal.try_clone().expect("a copy")).stdout(terminal).stderr(Stdio::null());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    // Nobody but the program is to hold the terminal: its end is the end of what can be read.
    drop(command);
    let (mut written, mut piece) = (Vec::new(), [0; 4096]);
    // An error is what the kernel answers at that end.
    while let Ok(count @ 1..) = screen.read(&mut piece) {
        written.extend_from_slice(&piece[..count]);
    }
    child.wait().expect("its status");
    written
}

/// A terminal, and the other side of it.
fn open_terminal() -> (File, OwnedFd) {
    let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut screen, mut terminal) = (-1, -1);
    // SAFETY: the call writes two fds through pointers to two ints and reads a size; the others may be
    // null.
    let answer =
        unsafe { libc::openpty(&raw mut screen, &raw mut terminal, null_mut(), null_mut(), &raw const size) };
    assert_eq!(answer, 0, "a terminal: {}", std::io::Error::last_os_error());
    // SAFETY: both were just opened and belong to nobody else.
    unsafe { (File::from_raw_fd(screen), OwnedFd::from_raw_fd(terminal)) }
}

/// The program under test.
pub(crate) fn capture() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_capture-test"))
}

/// The files that `udp_extract` wrote below a folder, as text: names and contents.
pub(crate) fn extracted(folder: &Path) -> Vec<u8> {
    let Ok(entries) = std::fs::read_dir(folder.join("udp_dump_files")) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("reads").path()).collect();
    paths.sort();
    let mut text = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        text.extend_from_slice(format!("\n{}:\n", name.display()).as_bytes());
        text.extend_from_slice(&std::fs::read(&path).expect("reads"));
    }
    text
}

/// Whether two outputs say the same.
pub(crate) fn same(how: Compare, left: &[u8], right: &[u8]) -> bool {
    match how {
        Compare::Exact => left == right,
        Compare::Lines => sorted_lines(left) == sorted_lines(right),
        Compare::Top => top(left) == top(right),
        Compare::Words => words(left) == words(right),
    }
}

/// The lines but for those with the value of the last one, and how many those are.
fn top(text: &[u8]) -> (Vec<&[u8]>, usize) {
    let lines: Vec<&[u8]> = text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect();
    fn value(line: &[u8]) -> &[u8] {
        line.split(|&b| b == b' ').next().unwrap_or(line)
    }
    let least = lines.last().copied().map(value).unwrap_or_default();
    let mut above: Vec<&[u8]> = lines.iter().copied().filter(|line| value(line) != least).collect();
    above.sort_unstable();
    let cut = lines.len() - above.len();
    (above, cut)
}

fn sorted_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
    lines.sort_unstable();
    lines
}

fn words(text: &[u8]) -> Vec<&[u8]> {
    let is_between = |b: &u8| b" \n,{}[]".contains(b);
    let mut words: Vec<&[u8]> = text.split(|b| is_between(b)).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words
}

/// The first lines in which two outputs differ, for messages.
pub(crate) fn difference(left: &[u8], right: &[u8]) -> String {
    let (left, right) = (sorted_lines(left), sorted_lines(right));
    let only = |a: &[&[u8]], b: &[&[u8]]| -> Vec<String> {
        a.iter()
            .filter(|line| !b.contains(line))
            .take(4)
            .map(|l| String::from_utf8_lossy(l).into_owned())
            .collect()
    };
    format!("  only ours:   {:?}\n  only stock's: {:?}", only(&left, &right), only(&right, &left))
}

/// Does `work` for each of `runs`, on all CPUs; the results in the order of the runs.
pub(crate) fn in_parallel<R: Sync, O: Send>(runs: &[R], work: impl Fn(&R) -> O + Sync) -> Vec<O> {
    let results: Vec<Mutex<Option<O>>> = runs.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(run) = runs.get(at) else { break };
                    *results[at].lock().expect("lives") = Some(work(run));
                }
            });
        }
    });
    results.into_iter().map(|result| result.into_inner().expect("lives").expect("ran")).collect()
}
