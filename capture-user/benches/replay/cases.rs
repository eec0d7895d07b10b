//! What is measured: replay, and chisels.

/// What a case is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Against {
    /// Stock sysdig with the same arguments on the plain file: at least so many times as fast.
    Stock(Option<f64>),
    /// `zstd -dc` of the zstd file: at most so many times its time.
    Zstd(f64),
}

/// One row.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Arguments behind `-r FILE`; `OUT` stands for a file to write.
    pub(crate) args: &'static [&'static str],
    /// Arguments that only capture needs for the same work.
    pub(crate) own_args: &'static [&'static str],
    pub(crate) against: Against,
}

const fn stock(name: &'static str, args: &'static [&'static str], target: Option<f64>) -> Case {
    Case { name, args, own_args: &[], against: Against::Stock(target) }
}

const fn zstd(name: &'static str, args: &'static [&'static str]) -> Case {
    Case { name, args, own_args: &[], against: Against::Zstd(2.0) }
}

/// A built-in chisel against stock's, which is in Lua.
const fn native(name: &'static str, args: &'static [&'static str], target: f64) -> Case {
    stock(name, args, Some(target))
}

/// Stock's file in our host against the same in stock.
const fn lua(name: &'static str, args: &'static [&'static str]) -> Case {
    const FILES: &[&str] = &["--chisel-dir", "/usr/share/sysdig/chisels", "--lua-unsafe"];
    Case { name, args, own_args: FILES, against: Against::Stock(Some(1.0)) }
}

const NO_PROCESS: &[&str] = &["proc.name=nosuch"];
const NO_FILE: &[&str] = &["evt.type=openat and fd.name contains /etc/nosuch"];
const FILES: &[&str] = &["evt.type=openat and fd.name contains /etc"];
const BUFFER: &[&str] = &["evt.buffer contains nosuch"];

/// `cargo xtask bench replay`.
pub(crate) const REPLAY: &[Case] = &[
    stock("default lines", &[], Some(5.0)),
    stock("-p %evt.num", &["-p", "%evt.num"], Some(5.0)),
    stock("-j", &["-j"], Some(5.0)),
    stock("proc.name=nosuch", NO_PROCESS, Some(3.0)),
    stock("openat and fd.name contains /etc", FILES, Some(3.0)),
    stock("the same, /etc/nosuch", NO_FILE, Some(3.0)),
    stock("evt.buffer contains", BUFFER, None),
    Case {
        name: "-w, plain",
        args: &["-w", "OUT"],
        own_args: &["--compress", "none"],
        against: Against::Stock(None),
    },
    zstd("zstd: proc.name=nosuch", NO_PROCESS),
    zstd("zstd: openat and fd.name contains /etc", FILES),
    zstd("zstd: evt.buffer contains", BUFFER),
];

/// `cargo xtask bench chisels`.
pub(crate) const CHISELS: &[Case] = &[
    native("echo_fds", &["-c", "echo_fds"], 5.0),
    native("topscalls", &["-c", "topscalls"], 5.0),
    native("bottlenecks", &["-c", "bottlenecks"], 5.0),
    native("topscalls_time", &["-c", "topscalls_time"], 3.0),
    native("topprocs_net", &["-c", "topprocs_net"], 3.0),
    native("topprocs_file", &["-c", "topprocs_file"], 3.0),
    native("topprocs_errors", &["-c", "topprocs_errors"], 3.0),
    native("topprocs_cpu", &["-c", "topprocs_cpu"], 3.0),
    native("topfiles_bytes", &["-c", "topfiles_bytes"], 3.0),
    native("topfiles_time", &["-c", "topfiles_time"], 3.0),
    native("topfiles_errors", &["-c", "topfiles_errors"], 3.0),
    native("topconns", &["-c", "topconns"], 3.0),
    native("topports_server", &["-c", "topports_server"], 3.0),
    native("fdbytes_by proc.name", &["-c", "fdbytes_by", "proc.name"], 3.0),
    native("fdcount_by fd.type", &["-c", "fdcount_by", "fd.type"], 3.0),
    native("fdtime_by fd.name", &["-c", "fdtime_by", "fd.name"], 3.0),
    native("iobytes", &["-c", "iobytes"], 3.0),
    native("iobytes_net", &["-c", "iobytes_net"], 3.0),
    native("httplog", &["-c", "httplog"], 3.0),
    native("httptop", &["-c", "httptop"], 3.0),
    native("spy_file", &["-c", "spy_file"], 3.0),
    native("spy_port 6379", &["-c", "spy_port", "6379"], 3.0),
    native("spy_users", &["-c", "spy_users"], 3.0),
    native("stdout", &["-c", "stdout"], 3.0),
    native("scallslower 1", &["-c", "scallslower", "1 disable_color"], 3.0),
    native("fileslower 1", &["-c", "fileslower", "1"], 3.0),
    native("netlower 1", &["-c", "netlower", "1 disable_color"], 3.0),
    native("proc_exec_time", &["-c", "proc_exec_time"], 3.0),
    native("lsof", &["-c", "lsof"], 3.0),
    lua("lua: echo_fds", &["-c", "echo_fds"]),
    lua("lua: topscalls", &["-c", "topscalls"]),
    lua("lua: bottlenecks", &["-c", "bottlenecks"]),
    lua("lua: topprocs_net", &["-c", "topprocs_net"]),
    lua("lua: topfiles_time", &["-c", "topfiles_time"]),
    lua("lua: fdbytes_by proc.name", &["-c", "fdbytes_by", "proc.name"]),
    lua("lua: httplog", &["-c", "httplog"]),
    lua("lua: spy_users", &["-c", "spy_users"]),
    lua("lua: stdout", &["-c", "stdout"]),
    lua("lua: scallslower 1", &["-c", "scallslower", "1 disable_color"]),
];
