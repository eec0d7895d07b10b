//! What is run of sysdig's chisels, and how their output is compared.

use crate::support::Compare;

/// Where Debian's package has them.
pub(crate) const FOLDER: &str = "/usr/share/sysdig/chisels";

/// A library there that has the name of a built-in chisel.
pub(crate) const LIBRARY: &str = "http";

/// Captures in tests/data/captures that sysdig 0.29.3 reads to the end.
pub(crate) const READ_BY_STOCK: &[&str] = &[
    "curl_google.scap",
    "single_ipv6_conn.scap",
    "test_ipv6_client.scap",
    "k8s_dns.scap",
    "interop-superset.scap",
    "interop-full.scap",
    "interop-container.scap",
];

/// A memcached, a function in the environment, DNS and HTTP: recorded by ourselves, of which sysdig
/// 0.29.3 knows some system calls by other names.
pub(crate) const SERVICES: &str = "services.scap.gz";
/// The chisels for which sysdig reads it as we do.
pub(crate) const ON_SERVICES: &[&str] = &[
    "echo_fds",
    "httplog",
    "httptop",
    "iobytes_net",
    "memcachelog",
    "spy_ip",
    "spy_port",
    "stdout",
    "topports_server",
    "topprocs_net",
    "udp_extract",
];

/// Arguments of a chisel, words behind it, and how its output is compared.
pub(crate) struct Case {
    pub(crate) chisel: &'static str,
    pub(crate) args: &'static [&'static str],
    pub(crate) how: Compare,
    /// Options for our side only.
    pub(crate) ours: &'static [&'static str],
}

const fn case(chisel: &'static str, args: &'static [&'static str], how: Compare) -> Case {
    Case { chisel, args, how, ours: &[] }
}

/// Runs besides the plain one. Chisels that need arguments have no plain one.
pub(crate) const CASES: &[Case] = &[
    case("around", &["out.scap", "evt.type=accept"], Compare::Exact),
    case("around", &["out.scap", "evt.type=connect"], Compare::Exact),
    case("echo_fds", &["disable_color"], Compare::Exact),
    case("echo_fds", &["disable_color", "fd.type=ipv6"], Compare::Exact),
    case("fdbytes_by", &["fd.directory"], Compare::Lines),
    case("fdbytes_by", &["proc.name"], Compare::Lines),
    case("fdcount_by", &["fd.type"], Compare::Lines),
    case("fdcount_by", &["proc.name"], Compare::Lines),
    case("fdtime_by", &["proc.name"], Compare::Lines),
    case("fileslower", &["0"], Compare::Exact),
    case("fileslower", &["x"], Compare::Exact),
    case("memcachelog", &["get"], Compare::Exact),
    case("memcachelog", &["set 1000"], Compare::Exact),
    case("netlower", &["0 disable_color"], Compare::Exact),
    case("httptop", &["bytes"], Compare::Lines),
    case("httptop", &["time"], Compare::Lines),
    case("lscontainers", &["desc"], Compare::Lines),
    case("lsof", &["fd.type=ipv4"], Compare::Lines),
    case("netstat", &["fd.type=ipv6"], Compare::Lines),
    case("ps", &["proc.name=sshd"], Compare::Exact),
    case("scallslower", &["0 disable_color"], Compare::Exact),
    case("spectrogram", &["100"], Compare::Exact),
    case("spy_file", &["R"], Compare::Exact),
    case("spy_file", &["RW /etc/hosts"], Compare::Exact),
    case("spy_ip", &["127.0.0.1"], Compare::Exact),
    case("spy_ip", &["10.0.0.79"], Compare::Exact),
    case("spy_port", &["80"], Compare::Exact),
    case("spy_port", &["11211"], Compare::Exact),
    case("spy_port", &["53", "evt.dir=<"], Compare::Exact),
    case("subsecoffset", &["100"], Compare::Exact),
    case(
        "table_generator",
        &[
            "proc.name,fd.type Process,Type evt.rawarg.res Bytes 'evt.is_io=true and evt.failed=false' 10 bytes",
        ],
        Compare::Lines,
    ),
    case("tracers_2_statsd", &["127.0.0.1 8125"], Compare::Exact),
    Case { chisel: "udp_extract", args: &[], how: Compare::Exact, ours: &["--lua-unsafe"] },
    Case { chisel: "wsysdig_summary", args: &[], how: Compare::Words, ours: &["--lua-unsafe"] },
];

/// How the output of the plain run is compared, where that is not byte for byte.
const UNORDERED: &[(&[&str], Compare)] = &[
    (&["httptop", "list_login_shells", "lsof", "netstat", "spy_users"], Compare::Lines),
    (
        &["topcontainers_cpu", "topcontainers_error", "topcontainers_file", "topcontainers_net"],
        Compare::Lines,
    ),
    (&["topconns", "topfiles_bytes", "topfiles_errors", "topfiles_time", "topports_server"], Compare::Top),
    (&["topprocs_cpu", "topprocs_errors", "topprocs_file", "topprocs_net"], Compare::Top),
    (&["topscalls", "topscalls_time"], Compare::Top),
    (&["flame"], Compare::Words),
];

/// How the output of a chisel without arguments is compared.
pub(crate) fn unordered(chisel: &str) -> Compare {
    UNORDERED.iter().find(|(names, _)| names.contains(&chisel)).map_or(Compare::Exact, |row| row.1)
}
