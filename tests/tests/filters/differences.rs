//! Where our counts differ from sysdig 0.29.3's, and why.

/// A difference of opinion on some fields.
pub(crate) struct Difference {
    /// Parts of the filters that it concerns.
    pub words: &'static [&'static str],
    /// Parts of the names of the captures; all where there is none.
    pub captures: &'static [&'static str],
    pub reason: &'static str,
}

const fn differ(
    words: &'static [&'static str],
    captures: &'static [&'static str],
    reason: &'static str,
) -> Difference {
    Difference { words, captures, reason }
}

/// Captures whose exits have the newer parameters too.
const SUPERSET: &[&str] = &["interop-", "samples/curl"];

/// Events made by hand, among them exits without enters.
const BY_HAND: &[&str] = &["values1", "values2"];

#[rustfmt::skip]
pub(crate) const DIFFERENCES: &[Difference] = &[
    // What it takes from memory that nobody has written to.
    differ(&["fd.dev"], &[], "it shows one byte of the device and three of what was there before"),
    differ(&["user.", "group."], &["k8s_dns"], "it gives the container event the user of an earlier event"),
    differ(&["thread.ismain", "thread.vtid"], &["k8s_dns"], "it has no thread for the container event"),
    differ(&["fd.num"], &["values1"], "an exit whose enter is missing: it takes the fd from the last enter"),
    differ(&["fd.", "evt.category", "evt.is_io=true and"], BY_HAND, "an exit without any enter: it takes fd 0, we the fd of the exit"),
    differ(&["evt.arg[1] exists"], BY_HAND, "parameters without a value have none"),

    // What newer parameters tell us and it does not read.
    differ(&["evt.arg", "evt.rawarg", "evt.args"], SUPERSET, "it does not read the parameters that came after 2022"),
    differ(&["user.", "group.gid", "thread.vtid"], &["samples/curl"], "the exec of a process that was not known tells its user; it does not read that"),
    differ(&["proc.tty"], &["interop-full"], "it does not read the tty of the newer process list"),
    differ(&["fd."], &["samples/curl"], "exits whose enters have no fd (newfstatat, setsockopt) tell it themselves; a name that was not \
        readable at the enter is that of the exit"),

    // Which threads and processes belong together.
    differ(&["proc.pname", "proc.apid"], &[], "the parent of a thread is that of its process, not the thread that made it"),
    differ(&["proc.loginshellid"], &["samples/curl"], "orphans have a new parent"),
    differ(&["proc.fdopencount"], &["samples/curl"], "an exec closes what was to be closed then"),
    differ(&["proc.cwd"], &[], "the working directory of a process that an exec makes known is that of the exec"),

    // What fields mean.
    differ(&["evt.failed", "evt.count.error"], &["values1"], "a call that the kernel begins again has not failed"),
    differ(&["syscall.type"], &[], "the end of a process is no system call"),
    differ(&["evt.abspath"], &[], "enters and newer exits have an absolute path too"),
    differ(&["evt.category"], &["categories", "samples/curl"], "younger generic calls have the category of their relatives"),
    differ(&["evt.num", "evt.deltatime"], &["samples/curl"], "it skips, and does not count, events of types younger than itself"),

    // Sockets.
    differ(&["fd.connected"], &[], "a connect under way is no connection before it has succeeded"),
    differ(&["fd.is_server"], &[], "a loopback address is the machine's own also where no list of interfaces says so, and so is an unset one"),
    differ(&["fd.lport", "fd.rport", "fd.lnet"], &[], "without a list of interfaces the role says which side is near"),
    differ(&["fd.port", "fd.proto", "fd.sproto", "fd.snet"], &["test_ipv6_client"], "a UDP socket that connects again talks to the new peer; a network of IPv4 has no IPv6 address in it"),
    differ(&["fd.sproto"], &["k8s_dns"], "a bound socket has a port by that name too"),
    differ(&["fd.port", "fd.cport"], &["k8s_dns"], "a message to a bound socket writes the sender over the socket's own address"),
];
