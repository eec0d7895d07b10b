//! The tables of [`top`](super::top): one row per chisel.

use super::top::{Keys, Name, Row, Weight};
use crate::api::{ArgSpec, Meta};
use crate::kit::Units;

// Enters have neither a result nor a latency.
const NET: &str = "(fd.type=ipv4 or fd.type=ipv6) and evt.is_io=true and evt.dir=<";
const FILES: &str = "fd.type=file and evt.is_io=true and evt.dir=<";
const BYTES: Name = ("evt.rawarg.res", "Bytes");
const ERRORS: Name = ("evt.count", "#Errors");
const TIME: Name = ("evt.latency", "Time");
const CONTAINER: Name = ("container.name", "container.name");
const FILE: Name = ("fd.name", "Filename");
const SYSCALL: Name = ("evt.type", "Syscall");

const PROCESS: Keys = &[("proc.name", "Process"), ("proc.pid", "PID")];
const PROCESS_IN_CONTAINER: Keys =
    &[("proc.name", "Process"), ("proc.pid", "Host_pid"), ("thread.vtid", "Container_pid"), CONTAINER];
const FILE_IN_CONTAINER: Keys = &[FILE, CONTAINER];

static KEY: [ArgSpec; 1] =
    [ArgSpec::required("key", "string", "The field by which to group, as in proc.name")];

/// The common shape: sizes by key.
const fn row(meta: Meta, keys: Keys, container_keys: Keys, value: Name, filter: &'static str) -> Row {
    Row { meta, keys, container_keys, value, filter, limit: 100, units: Units::Bytes, weight: Weight::Value }
}

const fn limit(mut row: Row, limit: usize, units: Units) -> Row {
    row.limit = limit;
    row.units = units;
    row
}

const fn meta(
    name: &'static str,
    category: &'static str,
    short: &'static str,
    description: &'static str,
) -> Meta {
    Meta::new(name, category, short, description, &[])
}

/// Processes or containers by CPU time.
const fn cpu(meta: Meta, keys: Keys, container_keys: Keys) -> Row {
    let value = ("thread.exectime", "CPU%");
    let mut row = row(meta, keys, container_keys, value, "evt.type=procinfo");
    row.weight = Weight::CpuTime;
    limit(row, 10, Units::TimePercent)
}

#[rustfmt::skip]
pub(super) static ROWS: [Row; 18] = [
    limit(row(
        meta("topconns", "Net", "Connections that move most bytes",
            "The network connections that moved most bytes, in both directions together."),
        &[("fd.l4proto", "Proto"), ("fd.name", "Conn")],
        &[CONTAINER, ("fd.l4proto", "Proto"), ("fd.name", "Conn")],
        BYTES, NET), 30, Units::Bytes),
    row(
        meta("topports_server", "Net", "Server ports that move most bytes",
            "The TCP and UDP server ports over which most bytes went, in both directions together."),
        &[("fd.sport", "Srv Port")], &[("fd.sport", "Srv Port"), CONTAINER], BYTES, NET),
    row(
        meta("topprocs_net", "Net", "Processes that move most bytes over the network",
            "The processes that read from and wrote to network sockets most."),
        PROCESS, PROCESS_IN_CONTAINER, BYTES, NET),
    row(
        meta("topcontainers_net", "Net", "Containers that move most bytes over the network",
            "The containers of which the processes read from and wrote to network sockets most."),
        &[CONTAINER], &[], BYTES,
        "(fd.type=ipv4 or fd.type=ipv6) and evt.is_io=true and evt.dir=< and container.name!=host"),
    limit(row(
        meta("topprocs_file", "I/O", "Processes that read and write most of files",
            "The processes that read from and wrote to files most."),
        PROCESS, PROCESS_IN_CONTAINER, BYTES, FILES), 10, Units::Bytes),
    limit(row(
        meta("topcontainers_file", "I/O", "Containers that read and write most of files",
            "The containers of which the processes read from and wrote to files most."),
        &[CONTAINER], &[], BYTES,
        "fd.type=file and evt.is_io=true and evt.dir=< and container.name!=host"), 10, Units::Bytes),
    limit(row(
        meta("topfiles_bytes", "I/O", "Files that are read and written most",
            "The files from which and to which most bytes went."),
        &[FILE], &[CONTAINER, FILE], BYTES, FILES), 10, Units::Bytes),
    limit(row(
        meta("topfiles_time", "I/O", "Files on which most time is spent",
            "The files on which processes spent most time with reading and writing."),
        &[FILE], FILE_IN_CONTAINER, TIME, FILES), 10, Units::Time),
    limit(row(
        meta("topfiles_errors", "Errors", "Files with most failed calls",
            "The files about which most calls failed."),
        &[FILE], FILE_IN_CONTAINER, ERRORS, "fd.type=file and evt.failed=true"), 100, Units::None),
    limit(row(
        meta("topprocs_errors", "Errors", "Processes with most failed calls",
            "The processes of which most system calls failed."),
        PROCESS, PROCESS_IN_CONTAINER, ERRORS, "evt.failed=true"), 100, Units::None),
    limit(row(
        meta("topcontainers_error", "Errors", "Containers with most failed calls",
            "The containers in which most system calls failed."),
        &[CONTAINER], &[], ERRORS, "evt.failed=true and container.name!=host"), 100, Units::None),
    cpu(meta("topprocs_cpu", "CPU Usage", "Processes that use most CPU time",
            "The processes that ran most, in percent of one CPU. It needs procinfo events, which captures \
             have once per second and thread."),
        PROCESS, &[
            ("proc.name", "Process"),
            ("proc.pid", "Host_pid"),
            ("proc.vpid", "Container_pid"),
            CONTAINER,
        ]),
    cpu(meta("topcontainers_cpu", "CPU Usage", "Containers that use most CPU time",
            "The containers of which the processes ran most, in percent of one CPU. It needs procinfo \
             events, which captures have once per second and thread."),
        &[CONTAINER], &[]),
    limit(row(
        meta("topscalls", "Performance", "System calls that are made most often",
            "The events that happened most often, enter and exit of a system call counted each. A filter \
             restricts it to a process, a thread or a file."),
        &[SYSCALL], &[SYSCALL, CONTAINER], ("evt.count", "# Calls"), "evt.type!=switch"),
        30, Units::None),
    limit(row(
        meta("topscalls_time", "Performance", "System calls in which most time is spent",
            "The system calls in which most time passed, waiting included. A filter restricts it to a \
             process, a thread or a file."),
        &[SYSCALL], &[SYSCALL, CONTAINER], TIME, ""), 30, Units::Time),
    limit(row(
        Meta::new("fdbytes_by", "I/O", "Bytes read and written, by any field",
            "Groups what was read from and written to fds by a field, and shows what moved most bytes: \
             fdbytes_by fd.sport, fdbytes_by proc.name, fdbytes_by fd.directory.", &KEY),
        &[], &[], BYTES, "evt.is_io=true and evt.dir=< and evt.failed=false"), 30, Units::Bytes),
    limit(row(
        Meta::new("fdtime_by", "I/O", "Time spent with reading and writing, by any field",
            "Groups the time that reads and writes took by a field, and shows where most time was spent: \
             fdtime_by proc.name, fdtime_by fd.name.", &KEY),
        &[], &[], TIME, "evt.is_io=true and evt.dir=<"), 10, Units::Time),
    // What the others are made of in sysdig. Chisels in Lua hand over to it by this name.
    limit(row(
        Meta::new("table_generator", "Misc", "Sums of a field by other fields",
            "Sums up a field by the values of other fields and shows the greatest sums as a table.",
            &GENERATOR),
        &[], &[], ("", ""), ""), 0, Units::None),
];

/// The row that is not listed: its arguments are everything.
pub(super) const HIDDEN: &str = "table_generator";

static GENERATOR: [ArgSpec; 7] = [
    ArgSpec::required("keys", "string", "Fields by which to group, separated by commas"),
    ArgSpec::required("keydescs", "string", "Headings of their columns, separated by commas"),
    ArgSpec::required("value", "string", "The field to sum up"),
    ArgSpec::required("valuedesc", "string", "Heading of its column"),
    ArgSpec::required("filter", "string", "Which events count"),
    ArgSpec::required("top_number", "string", "Rows that are shown, 0 for all"),
    ArgSpec::required("value_units", "string", "How sums are shown: none, bytes, time or timepct"),
];
