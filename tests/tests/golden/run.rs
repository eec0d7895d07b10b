//! Carries out a record's command with capture in the place of sysdig.
//!
//! The commands stay as they were recorded: a folder of links gives the captures the names that
//! they have there, and a folder in front of `PATH` gives capture the name `sysdig`.

use crate::record::{Outcome, Record};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The folders that commands find captures and capture in.
pub(crate) struct Stage {
    folder: TempDir,
    path: String,
}

impl Stage {
    pub(crate) fn new() -> Result<Stage> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        for parent in ["shared/captures", "shared/facts", "bin"] {
            std::fs::create_dir_all(at(parent))?;
        }
        let captures = capture_tests::data_dir().join("captures");
        symlink(&captures, at("shared/captures/libs"))?;
        symlink(&captures, at("shared/facts/synthetic"))?;
        // An installed sysdig must not answer for capture, nor its csysdig.
        for name in ["bin/sysdig", "bin/csysdig"] {
            symlink(env!("CARGO_BIN_EXE_capture-test"), at(name))?;
        }
        let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap_or_default());
        Ok(Stage { folder, path })
    }

    /// Runs a record's command.
    pub(crate) fn run(&self, record: &Record) -> Result<Outcome> {
        let fresh = tempfile::tempdir()?;
        let mut command = Command::new("bash");
        command
            .args(["-c", &record.shell])
            .current_dir(self.folder.path().join("shared"))
            .envs(record.env.iter().map(|(name, value)| (name, value)))
            .env("W", fresh.path())
            .env("HOME", fresh.path())
            .env("PATH", &self.path)
            .stdin(Stdio::null());
        let (status, stdout, stderr) = if record.on_terminal {
            on_terminal(&mut command)?
        } else {
            let output = command.output()?;
            (output.status, output.stdout, output.stderr)
        };
        let folder = fresh.path().to_str().context("the folder's name is UTF-8")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(folder, "$W");
        let exit_code = status.code().map_or(-1, i64::from);
        Ok(Outcome { exit_code, stdout: text(&stdout), stderr: text(&stderr) })
    }
}

/// Runs a command with a raw pseudo terminal for its standard output.
fn on_terminal(command: &mut Command) -> Result<(std::process::ExitStatus, Vec<u8>, Vec<u8>)> {
    let (mut master, slave) = open_terminal()?;
    let child = command.stdout(Stdio::from(slave)).stderr(Stdio::piped()).spawn()?;
    // The command keeps its copies of the terminal's end; the reading ends when all are closed.
    command.stdout(Stdio::null());
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A terminal whose other end is closed reads as an I/O error, after everything.
        let _ = master.read_to_end(&mut bytes);
        bytes
    });
    let output = child.wait_with_output()?;
    let stdout = reader.join().ok().context("the terminal's reader ends")?;
    Ok((output.status, stdout, output.stderr))
}

fn open_terminal() -> Result<(File, File)> {
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: termios is plain data, for which zeros are valid; cfmakeraw fills it.
    let mut raw: libc::termios = unsafe { std::mem::zeroed() };
    let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `raw` is a valid termios.
    unsafe { libc::cfmakeraw(&mut raw) };
    raw.c_cflag |= libc::CS8 | libc::CREAD;
    // SAFETY: all pointers are to live values of the types that openpty(3) wants; the name is not
    // asked for.
    let done = unsafe { libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), &raw, &size) };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).context("opening a pseudo terminal");
    }
    // SAFETY: openpty answered 0, so both are open fds that nobody else owns.
    Ok(unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) })
}
