//! The loads: each is run as it is, or under strace, and says how many seconds a fixed amount of its
//! work took.

use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Names of the loads, as the table has them.
pub(super) const NAMES: [&str; 4] = ["dd bs=1", "redis", "wrk, nginx", "gcc"];

const DD_COUNT: u32 = 300_000;
const REDIS_REQUESTS: &str = "60000";
const WRK_SECONDS: &str = "1s";
/// Requests that the time of wrk is given for.
const WRK_UNIT: f64 = 10_000.0;
const GCC_RUNS: u32 = 8;

/// The loads that this machine has the programs for, with their servers.
pub(super) struct Loads {
    dir: PathBuf,
    redis: Option<Server>,
    nginx: Option<Server>,
}

struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        super::tools::signal(&self.child, "TERM");
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(command: &mut Command, port: u16) -> Result<Server> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut server = Server { child: child.with_context(|| format!("starting {command:?}"))?, port };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if server.child.try_wait()?.is_some() || start.elapsed() > Duration::from_secs(20) {
                bail!("{command:?} does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

impl Loads {
    pub(super) fn start(dir: &Path) -> Result<Loads> {
        let has = |program: &str| super::tools::find(program).is_some();
        let redis = (has("redis-server") && has("redis-benchmark")).then(|| redis(dir)).transpose()?;
        let nginx = (has("nginx") && has("wrk")).then(|| nginx(dir)).transpose()?;
        // A translation unit of some size: functions that the compiler has to work on.
        let functions: String = (0..300)
            .map(|n| format!("int f{n}(int a, int b) {{ for (int i = 0; i < a; i++) b += i * {n} % (b + 3); return b; }}\n"))
            .collect();
        let text = format!("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n{functions}");
        std::fs::write(dir.join("unit.c"), text)?;
        Ok(Loads { dir: dir.to_owned(), redis, nginx })
    }

    /// Seconds of each load, in the order of [`NAMES`]; `None` where a program is missing.
    pub(super) fn run_all(&self, strace: Option<&Path>) -> Result<[Option<f64>; 4]> {
        Ok([self.dd(strace)?, self.redis(strace)?, self.wrk(strace)?, self.gcc(strace)?])
    }

    fn dd(&self, strace: Option<&Path>) -> Result<Option<f64>> {
        let mut command = under(strace, "dd");
        command.args(["if=/dev/zero", "of=/dev/null", "bs=1", &format!("count={DD_COUNT}")]);
        timed(&mut command).map(Some)
    }

    fn redis(&self, strace: Option<&Path>) -> Result<Option<f64>> {
        let Some(server) = &self.redis else { return Ok(None) };
        let _attached = attach(strace, server)?;
        let mut command = Command::new("redis-benchmark");
        command.args(["-q", "-t", "get", "-c", "16", "-n", REDIS_REQUESTS, "-p", &server.port.to_string()]);
        timed(&mut command).map(Some)
    }

    fn wrk(&self, strace: Option<&Path>) -> Result<Option<f64>> {
        let Some(server) = &self.nginx else { return Ok(None) };
        let _attached = attach(strace, server)?;
        let mut command = Command::new("wrk");
        command.args(["-t1", "-c8", "-d", WRK_SECONDS]).arg(format!("http://127.0.0.1:{}/", server.port));
        let out = command.output().context("starting wrk")?;
        let text = String::from_utf8_lossy(&out.stdout);
        let rate =
            text.lines().find_map(|l| l.trim().strip_prefix("Requests/sec:")?.trim().parse::<f64>().ok());
        let rate = rate.filter(|rate| *rate > 0.0).with_context(|| format!("wrk said {text:?}"))?;
        Ok(Some(WRK_UNIT / rate))
    }

    fn gcc(&self, strace: Option<&Path>) -> Result<Option<f64>> {
        if super::tools::find("gcc").is_none() {
            return Ok(None);
        }
        let mut seconds = 0.0;
        for _ in 0..GCC_RUNS {
            let mut command = under(strace, "gcc");
            command.args(["-O1", "-c", "unit.c", "-o", "unit.o"]).current_dir(&self.dir);
            seconds += timed(&mut command)?;
        }
        Ok(Some(seconds))
    }
}

fn under(strace: Option<&Path>, program: &str) -> Command {
    match strace {
        None => Command::new(program),
        Some(strace) => {
            let mut command = Command::new(strace);
            command.args(["-f", "-c", "-o", "/dev/null", program]);
            command
        }
    }
}

/// strace on a server, until the guard goes.
fn attach(strace: Option<&Path>, server: &Server) -> Result<Option<Attached>> {
    let Some(strace) = strace else { return Ok(None) };
    let mut command = Command::new(strace);
    command.args(["-f", "-c", "-o", "/dev/null", "-p", &server.child.id().to_string()]);
    for child in children(server.child.id()) {
        command.args(["-p", &child.to_string()]);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(Some(Attached(child)))
}

struct Attached(Child);

impl Drop for Attached {
    fn drop(&mut self) {
        super::tools::signal(&self.0, "INT");
        let _ = self.0.wait();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn timed(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(start.elapsed().as_secs_f64())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn redis(dir: &Path) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir);
    Server::start(&mut command, port)
}

fn nginx(dir: &Path) -> Result<Server> {
    let port = free_port()?;
    let root = dir.display();
    std::fs::write(dir.join("index.html"), "a page\n")?;
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {root}/{kind}; "))
        .concat();
    let text = format!(
        "user root; daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;\n\
         events {{ worker_connections 64; }}\nhttp {{ access_log {root}/access.log; {temporary}sendfile on;\n\
         keepalive_requests 1000000000; server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
    );
    let config = dir.join("nginx.conf");
    std::fs::write(&config, text)?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg(dir.join("error.log")).arg("-c").arg(config);
    Server::start(&mut command, port)
}
