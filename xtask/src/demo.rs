//! `cargo xtask demo`: the main job, end to end, on this machine.
//!
//! Builds the program; as root records the whole machine for about two seconds while a client
//! asks a small web server on loopback for a page, and replays the record. Without root, or
//! where the kernel refuses, says so and replays the sample capture of the repository.

use crate::shell::{cargo, is_root, run};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Entry point.
pub(crate) fn run_demo(_: &[String]) -> Result<()> {
    run(&mut cargo(&["build", "--release", "--package", "capture-user"]))?;
    let program = program();
    if !is_root() {
        println!("\nNot root: a live capture needs root (or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE).");
        println!("Here is the offline part, on the sample capture of the repository.");
        return offline(&program);
    }
    match live(&program) {
        Ok(()) => Ok(()),
        Err(error) => {
            println!("\nThe live part did not work here: {error:#}");
            println!("Here is the offline part, on the sample capture of the repository.");
            offline(&program)
        }
    }
}

/// Where cargo puts the release build of `capture`.
pub(crate) fn program() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::repo_root().join("target"), PathBuf::from);
    target.join("release").join("capture")
}

fn live(program: &Path) -> Result<()> {
    let dir = Folder::create()?;
    let file = dir.0.join("trace.scap");
    let server = Server::start()?;
    say(program, &["-w", &file.to_string_lossy()]);
    let recorder = Command::new(program).arg("-w").arg(&file).spawn().context("starting capture")?;
    let mut recorder = Recorder(recorder);
    wait_for_file(&file, &mut recorder.0)?;
    for _ in 0..3 {
        request(server.addr)?;
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_millis(1000));
    run(Command::new("kill").args(["-INT", &recorder.0.id().to_string()]))?;
    let status = recorder.0.wait()?;
    if !status.success() {
        bail!("capture -w ended with {status}");
    }
    let port = server.addr.port();
    let filter =
        format!("fd.type=ipv4 and fd.name contains :{port} and evt.type in (connect, accept4, accept)");
    show(program, &["-r", &file.to_string_lossy(), &filter])?;
    show(
        program,
        &["-r", &file.to_string_lossy(), "-A", "-c", "echo_fds", &format!("fd.name contains :{port}")],
    )
}

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("capture-demo-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Folder(dir))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the temp folder; the demo's own result matters more.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The recording process; it does not outlive the demo.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        // Both fail harmlessly where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn offline(program: &Path) -> Result<()> {
    let sample = crate::repo_root().join("samples/curl.scap");
    let sample = sample.to_string_lossy();
    show(program, &["-r", &sample, "proc.name=curl and fd.type in (ipv4, ipv6)"])?;
    show(program, &["-r", &sample, "-A", "-c", "echo_fds", "fd.type=ipv4"])
}

fn say(program: &Path, args: &[&str]) {
    let words: Vec<String> =
        args.iter().map(|a| if a.contains(' ') { format!("'{a}'") } else { (*a).into() }).collect();
    println!("\n$ {} {}", program.file_name().unwrap_or_default().to_string_lossy(), words.join(" "));
}

fn show(program: &Path, args: &[&str]) -> Result<()> {
    say(program, args);
    run(Command::new(program).args(args))
}

/// Waits until the recorder has written the start of its file.
fn wait_for_file(file: &Path, recorder: &mut Child) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(status) = recorder.try_wait()? {
            bail!("capture -w ended at once with {status}");
        }
        if std::fs::metadata(file).is_ok_and(|m| m.len() > 0) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("{} stayed empty for 20 s", file.display())
}

/// Asks for one page: with curl where there is one, else by hand.
fn request(addr: SocketAddr) -> Result<()> {
    let url = format!("http://{addr}/hello");
    if let Ok(status) = Command::new("curl").args(["-s", "-o", "/dev/null", &url]).status()
        && status.success()
    {
        return Ok(());
    }
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(b"GET /hello HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A web server on loopback that answers every request with one line.
struct Server {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Server {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away is no reason to stop serving.
                let _ = answer(stream);
            }
        });
        Ok(Server { addr, stop })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.addr);
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    if stream.read(&mut [0; 4096])? == 0 {
        return Ok(());
    }
    stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 22\r\n\r\nHello from the server\n")
}
