//! Real programs as bounded workloads: servers on loopback ports that are free, shell sessions
//! and builds, all with their files in one folder.
//!
//! Nothing outlives its guard, and every process is ended by its own id.

use crate::live::{PATIENCE, kill, within};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A port of the loopback interface on which nobody listens.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Runs a command to its end without any input; its output goes to `log` in `dir`.
///
/// # Panics
/// Where it cannot start or does not end.
pub fn run(dir: &Path, log: &str, command: &mut Command) -> ExitStatus {
    let output = fs::File::create(dir.join(log)).expect("the log opens");
    let errors = output.try_clone().expect("the log opens twice");
    command.current_dir(dir).stdin(Stdio::null()).stdout(output).stderr(errors);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    if !within(PATIENCE, || !matches!(child.try_wait(), Ok(None))) {
        kill(child.id(), libc::SIGKILL);
        let _ = child.wait();
        panic!("{command:?} did not end");
    }
    child.wait().expect("its status")
}

/// Runs a command that must succeed.
///
/// # Panics
/// Where it fails; says what it printed.
pub fn succeed(dir: &Path, log: &str, command: &mut Command) {
    let status = run(dir, log, command);
    let said = || fs::read_to_string(dir.join(log)).unwrap_or_default();
    assert!(status.success(), "{command:?}: {status}: {}", said());
}

/// A server that runs until its guard goes.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Port of 127.0.0.1 that it listens on.
    pub port: u16,
}

impl Server {
    fn start(command: &mut Command, port: u16) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut server = Server { child, port };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let up = within(PATIENCE, || TcpStream::connect(address).is_ok() || server.has_ended());
        assert!(up && !server.has_ended(), "{command:?} does not listen on {address}");
        server
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill(self.child.id(), libc::SIGTERM);
        if !within(PATIENCE, || self.has_ended()) {
            kill(self.child.id(), libc::SIGKILL);
        }
        // Its status is of no interest.
        let _ = self.child.wait();
    }
}

/// Starts nginx with one worker, which serves `index.html` with the text `page`.
///
/// # Errors
/// Where its files cannot be written.
pub fn nginx(program: &Path, dir: &Path, page: &str) -> io::Result<Server> {
    let port = free_port();
    let root = dir.display();
    fs::write(dir.join("index.html"), page)?;
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {root}/{kind};\n"))
        .concat();
    let text = format!(
        "user root;\ndaemon off;\nworker_processes 1;\npid {root}/nginx.pid;\nerror_log {root}/error.log;\n\
         events {{ worker_connections 64; }}\nhttp {{\n    access_log {root}/access.log;\n{temporary}    sendfile on;\n\
         \x20   server {{ listen 127.0.0.1:{port}; root {root}; }}\n}}\n"
    );
    fs::write(dir.join("nginx.conf"), text)?;
    let mut command = Command::new(program);
    command.arg("-e").arg(dir.join("error.log")).arg("-c").arg(dir.join("nginx.conf"));
    Ok(Server::start(&mut command, port))
}

/// Starts redis-server without persistence.
pub fn redis(program: &Path, dir: &Path) -> Server {
    let port = free_port();
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir);
    Server::start(&mut command, port)
}

/// The shell session: pipes, subshells, traps and signals, background jobs, and what fails.
pub const SHELL: &str = r#"
echo hello-of-the-pipe | tr a-z A-Z | cat > upper.txt
( cd / && exit 5 )
echo "subshell $?"
trap 'echo trapped' USR1
kill -USR1 $$
sleep 30 &
kill -TERM $!
wait $!
echo "background $?"
( trap '' PIPE; yes | head -n 3 >/dev/null ) 2>/dev/null
cat missing.txt
printf 'no program' > plain.txt
./plain.txt
echo "not executable $?"
mkdir one && mv upper.txt one/moved.txt && ln -s one/moved.txt link.txt && cat link.txt && rm -r one
wait
exit 7
"#;

/// Writes a program of two C files and a header into `dir`; it prints its argument and ends with
/// status 42.
///
/// # Errors
/// Where a file cannot be written.
pub fn c_sources(dir: &Path) -> io::Result<()> {
    fs::write(dir.join("say.h"), "int say(const char *text);\n")?;
    fs::write(
        dir.join("say.c"),
        "#include <stdio.h>\n#include \"say.h\"\nint say(const char *text) { return puts(text) < 0; }\n",
    )?;
    fs::write(
        dir.join("main.c"),
        "#include \"say.h\"\nint main(int n, char **args) { return say(n > 1 ? args[1] : \"\") ? 1 : 42; }\n",
    )
}

/// Writes a crate of one file, without dependencies, into `dir`.
///
/// # Errors
/// Where a file cannot be written.
pub fn rust_sources(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir.join("src"))?;
    let manifest = "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
    fs::write(dir.join("Cargo.toml"), manifest)?;
    fs::write(dir.join("src/main.rs"), "fn main() { println!(\"tiny\"); }\n")
}
