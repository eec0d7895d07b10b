//! The command that a capture watches: made, held before its exec until the capture is ready for
//! it, and waited for.
//!
//! Invariant: the command never runs unrecorded. It is held until `Held::release`; where that does
//! not come, because the capture could not start, it ends without a trace.

#![allow(unsafe_code, reason = "live/: what a new process does before its exec")]

use super::error::LiveError;
use super::forward::Forward;
use std::ffi::{CString, OsStr, OsString};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at whether somebody waits no longer.
const LOOK: Duration = Duration::from_millis(20);

/// What to run.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// Let its standard output be standard error: the capture needs the other one.
    pub output_to_stderr: bool,
    /// Its nice value: that of capture before it raised its own.
    pub nice: i32,
    /// Signals that it ignores from the start: those that capture was started to ignore.
    pub ignored: Vec<i32>,
}

impl CommandLine {
    /// The command as it was typed.
    pub fn name(&self) -> String {
        self.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// How a command ended, as far as the capture knows.
#[derive(Debug)]
pub enum CommandEnd {
    /// By itself or by a signal.
    Ended(ExitStatus),
    /// It never began: the kernel refused the exec.
    NotStarted(LiveError),
    /// The capture ended first.
    Runs,
}

/// The process of a command, held before its exec.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its id, as this process sees it.
    pub(crate) pid: u32,
    go: PipeWriter,
    ended: Arc<AtomicBool>,
    thread: JoinHandle<CommandEnd>,
}

/// A command under way.
#[derive(Debug)]
pub struct Running {
    thread: JoinHandle<CommandEnd>,
}

impl Held {
    /// Makes the process. `armed` is called right before, on the thread that makes it, and `ended`
    /// when the command has ended.
    pub(crate) fn spawn(
        line: &CommandLine,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Held, LiveError> {
        let failed = |source| LiveError::NotStarted { name: line.name(), source };
        let (mut ready_rx, ready_tx) = io::pipe().map_err(failed)?;
        let (go_rx, go_tx) = io::pipe().map_err(failed)?;
        let mut command = prepared(line, ready_tx, go_rx, &go_tx)?;
        let name = line.name();
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        // `Command::spawn` returns after the exec only, for which this thread has to let it go.
        let run = move || {
            let end = match command.spawn() {
                Ok(child) => {
                    drop(command);
                    wait(child, &told)
                }
                Err(source) => CommandEnd::NotStarted(LiveError::NotStarted { name, source }),
            };
            told.store(true, Ordering::SeqCst);
            ended();
            end
        };
        let thread = std::thread::Builder::new().spawn(run).map_err(failed)?;
        let mut pid = [0; 4];
        if ready_rx.read_exact(&mut pid).is_err() {
            // No process was made, so the thread is at its end.
            return Err(match thread.join() {
                Ok(CommandEnd::NotStarted(error)) => error,
                _ => failed(io::Error::other("its process ended before it began")),
            });
        }
        Ok(Held { pid: u32::from_ne_bytes(pid), go: go_tx, ended: is_over, thread })
    }

    /// Lets the command begin. From here on signals to this process are meant for the command: see
    /// [`Forward`].
    pub(crate) fn release(mut self, stop: Arc<AtomicBool>) -> Result<Running, LiveError> {
        let os = |what| move |source| LiveError::Os { what, source };
        Forward { pid: self.pid, ended: self.ended.clone(), stop }
            .install()
            .map_err(os("installing the handlers that pass signals on"))?;
        self.go.write_all(&[1]).map_err(os("letting the command begin"))?;
        Ok(Running { thread: self.thread })
    }
}

impl Running {
    /// Waits for the command's end, unless the user asks for an end of waiting by `stop`.
    pub fn wait(self, stop: &AtomicBool) -> CommandEnd {
        while !self.thread.is_finished() {
            if stop.load(Ordering::Relaxed) {
                return CommandEnd::Runs;
            }
            std::thread::sleep(LOOK);
        }
        self.end()
    }

    /// How it has ended, if it has.
    pub fn end(self) -> CommandEnd {
        if !self.thread.is_finished() {
            return CommandEnd::Runs;
        }
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The command up to its exec: it says its id, and waits for a byte.
fn prepared(
    line: &CommandLine,
    mut ready: PipeWriter,
    mut go: PipeReader,
    go_writer: &PipeWriter,
) -> Result<Command, LiveError> {
    let (name, args) = line.words.split_first().ok_or(LiveError::NoCommand { name: String::new() })?;
    let mut command = Command::new(find(name)?);
    command.arg0(name).args(args);
    if line.output_to_stderr {
        command.stdout(io::stderr());
    } else {
        command.stdout(Stdio::inherit());
    }
    let (nice, ignored, go_writer) = (line.nice, line.ignored.clone(), go_writer.as_raw_fd());
    let hold = move || {
        // SAFETY: numbers only. The copy of the pipe's other end goes, so that the wait below ends
        // with the capture.
        let pid = unsafe {
            libc::close(go_writer);
            // Lowering the priority again is always allowed.
            libc::setpriority(libc::PRIO_PROCESS, 0, nice);
            for signal in &ignored {
                libc::signal(*signal, libc::SIG_IGN);
            }
            libc::getpid()
        };
        ready.write_all(&pid.to_ne_bytes())?;
        go.read_exact(&mut [0])
    };
    // SAFETY: the closure makes plain system calls and allocates nothing (an error made of a number
    // does not): it runs in a process with one thread of a program that had several.
    unsafe { command.pre_exec(hold) };
    Ok(command)
}

/// Waits for the end, and says so before the id can be given to another process.
fn wait(mut child: Child, is_over: &AtomicBool) -> CommandEnd {
    // SAFETY: all zeros is a valid siginfo_t; the pointer is valid for writing.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        while libc::waitid(libc::P_PID, child.id(), &raw mut info, libc::WEXITED | libc::WNOWAIT) != 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
    is_over.store(true, Ordering::SeqCst);
    match child.wait() {
        Ok(status) => CommandEnd::Ended(status),
        Err(_) => CommandEnd::Runs,
    }
}

/// The file of a command, as a shell finds it. The search is done here, so that the command's first
/// event is the exec that succeeds.
fn find(name: &OsStr) -> Result<PathBuf, LiveError> {
    let missing = || LiveError::NoCommand { name: name.to_string_lossy().into_owned() };
    if name.as_bytes().contains(&b'/') {
        return if Path::new(name).exists() { Ok(name.into()) } else { Err(missing()) };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    candidates.find(|file| file.is_file() && may_run(file)).ok_or_else(missing)
}

fn may_run(file: &Path) -> bool {
    let Ok(path) = CString::new(file.as_os_str().as_bytes()) else { return false };
    // SAFETY: a C string that lives through the call.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> CommandLine {
        CommandLine {
            words: words.iter().map(OsString::from).collect(),
            output_to_stderr: true,
            nice: super::super::priority::current(),
            ignored: Vec::new(),
        }
    }

    #[test]
    fn commands_are_found_as_a_shell_finds_them() {
        assert!(find(OsStr::new("sh")).unwrap().ends_with("sh"));
        assert_eq!(find(OsStr::new("/bin/sh")).unwrap(), Path::new("/bin/sh"));
        for name in ["no-such-command", "/no/such/command", ""] {
            assert!(matches!(find(OsStr::new(name)), Err(LiveError::NoCommand { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_command_that_is_not_released_does_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("ran");
        let held = Held::spawn(&line(&["touch", trace.to_str().unwrap()]), || ()).unwrap();
        assert!(held.pid > 0);
        let Held { go, thread, .. } = held;
        drop(go);
        assert!(matches!(thread.join().unwrap(), CommandEnd::NotStarted(_)));
        assert!(!trace.exists());
    }

    #[test]
    fn what_cannot_be_executed_is_told_after_the_release() {
        let folder = tempfile::tempdir().unwrap();
        let held = Held::spawn(&line(&[folder.path().to_str().unwrap()]), || ()).unwrap();
        let Held { mut go, thread, .. } = held;
        go.write_all(&[1]).unwrap();
        let CommandEnd::NotStarted(LiveError::NotStarted { source, .. }) = thread.join().unwrap() else {
            panic!("a folder was executed");
        };
        assert_eq!(source.raw_os_error(), Some(libc::EACCES));
    }
}
