//! `ps`, `lsof`, `netstat`: the processes, open fds and connections at the moment of the first event
//! that passes the filter.

use crate::api::{ArgSpec, Chisel, End, Handover, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::JsonLine;
use crate::state::{ThreadFds, fd_limit, protocol, threads, user_name, visible};
use crate::text::{write_bytes, write_column};
use capture_common::snapshot::FdType;
use capture_engine::fields::fd_type_name;
use capture_engine::render::address::push_ip;
use capture_engine::render::fd::push_fd_name;
use capture_engine::render::number::dec_i64;
use capture_engine::{Endpoint, EventFilter, EventView, FdInfo, Machine, Role};
use filter_lang::Library;

/// One chisel.
#[derive(Debug)]
struct Row {
    meta: Meta,
    /// Which fds count at all.
    filter: &'static str,
    headings: &'static [(&'static str, usize)],
    write: fn(&Machine, &ThreadFds<'_>, bool, &mut Vec<u8>),
}

const fn args(description: &'static str) -> [ArgSpec; 1] {
    [ArgSpec::optional("filter", "filter", description)]
}

static PS_ARGS: [ArgSpec; 1] =
    args("Keeps the processes that have a matching fd, as in 'fd.name contains /etc'");
static FD_ARGS: [ArgSpec; 1] = args("Keeps the fds that match, as in 'proc.name=sshd and fd.type=ipv4'");

#[rustfmt::skip]
static ROWS: [Row; 3] = [
    Row {
        meta: Meta::new("ps", "System State", "Running processes",
            "Lists the threads of all processes, as ps does, at the moment of the first event that passes the \
             filter of the command line; without one that is the beginning.", &PS_ARGS),
        filter: "",
        headings: &[("TID", 8), ("PID", 8), ("USER", 12), ("VIRT", 11), ("RES", 11), ("FDLIMIT", 10), ("CMD", 20)],
        write: write_process,
    },
    Row {
        meta: Meta::new("lsof", "System State", "Open fds",
            "Lists the open fds of all processes, as lsof does, at the moment of the first event that passes \
             the filter of the command line; without one that is the beginning.", &FD_ARGS),
        filter: "",
        headings: &[("COMMAND", 20), ("PID", 8), ("TID", 8), ("USER", 8), ("FD", 8), ("TYPE", 12), ("NAME", 0)],
        write: write_fds,
    },
    Row {
        meta: Meta::new("netstat", "System State", "Network connections",
            "Lists the network connections of all processes, as netstat does, at the moment of the first event \
             that passes the filter of the command line; without one that is the beginning.", &FD_ARGS),
        filter: "fd.type=ipv4 or fd.type=ipv6",
        headings: &[
            ("Proto", 6), ("Server Address", 25), ("Client Address", 25), ("State", 15), ("TID/PID/Program Name", 0),
        ],
        write: write_connections,
    },
];

/// Those that are listed.
pub(super) fn metas() -> Vec<&'static Meta> {
    ROWS.iter().map(|row| &row.meta).collect()
}

/// A fresh one.
pub(super) fn make(name: &str) -> Option<Box<dyn Chisel>> {
    let row = ROWS.iter().find(|row| row.meta.name == name)?;
    let filter = row.filter.to_owned();
    Some(Box::new(StateList { row, filter, compiled: None, json: false, matched: false }))
}

/// The chisel.
#[derive(Debug)]
struct StateList {
    row: &'static Row,
    filter: String,
    compiled: Option<EventFilter>,
    json: bool,
    /// Whether there was an event.
    matched: bool,
}

impl Chisel for StateList {
    fn meta(&self) -> &Meta {
        &self.row.meta
    }

    fn set_arg(&mut self, _: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        self.filter = match self.row.filter {
            "" => value.to_owned(),
            filter => format!("({filter}) and ({value})"),
        };
        Ok(())
    }

    fn init(&mut self, settings: &Settings, _: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.json = settings.json;
        if !self.filter.trim().is_empty() {
            let compiled = EventFilter::compile(&self.filter, &Library::new());
            let name = || self.row.meta.name.to_string();
            self.compiled = Some(compiled.map_err(|error| ChiselError::Filter { name: name(), error })?);
        }
        Ok(None)
    }

    fn on_event(&mut self, _: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.matched = true;
        control.end_capture();
        Ok(())
    }

    fn on_end(&mut self, end: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let out = &mut control.out;
        if !self.matched {
            if !self.json {
                out.extend_from_slice(b"empty capture or no event matching the filter\n");
            }
            return Ok(());
        }
        if !self.json {
            for (heading, width) in self.row.headings {
                match width {
                    0 => out.extend_from_slice(heading.as_bytes()),
                    width => write_column(out, heading.as_bytes(), *width),
                }
            }
            out.push(b'\n');
        }
        let mut found = threads(end.machine, true, self.compiled.take());
        found.sort_by_key(|found| found.thread.tid);
        for thread in &found {
            (self.row.write)(end.machine, thread, self.json, out);
        }
        Ok(())
    }
}

/// A number as a column. sysdig hands numbers over with 32 bits and no sign.
fn number(out: &mut Vec<u8>, number: i64, width: usize) {
    write_column(out, u32_text(number).as_bytes(), width);
}

fn u32_text(number: i64) -> String {
    (number as u32).to_string()
}

fn write_process(machine: &Machine, found: &ThreadFds<'_>, json: bool, out: &mut Vec<u8>) {
    const KB: u64 = 1024;
    let thread = found.thread;
    let user = user_name(machine, thread);
    let sizes = [u64::from(thread.vm_size_kb) * KB, u64::from(thread.vm_rss_kb) * KB];
    if json {
        let mut json = JsonLine::begin(out);
        json.int("tid", thread.tid).int("pid", thread.pid).int("ppid", thread.ptid).text("user", &user);
        json.uint("virt_bytes", sizes[0])
            .uint("res_bytes", sizes[1])
            .int("fdlimit", fd_limit(machine, thread));
        json.text("cmd", &thread.comm).text("exe", &thread.exe);
        json.list("args", |list| thread.args().for_each(|arg| _ = list.item(arg)));
        json.end();
        return;
    }
    number(out, thread.tid, 8);
    number(out, thread.pid, 8);
    write_column(out, &user, 12);
    for bytes in sizes {
        let mut text = Vec::new();
        write_bytes(&mut text, bytes);
        write_column(out, &text, 11);
    }
    number(out, fd_limit(machine, thread), 10);
    out.extend_from_slice(&visible(&thread.comm));
    out.push(b'\n');
}

fn write_fds(machine: &Machine, found: &ThreadFds<'_>, json: bool, out: &mut Vec<u8>) {
    let thread = found.thread;
    let (user, comm) = (user_name(machine, thread), visible(&thread.comm));
    for (fd, info) in &found.fds {
        if json {
            let mut name = Vec::new();
            push_fd_name(&mut name, info);
            let mut json = JsonLine::begin(out);
            json.text("command", &comm).int("pid", thread.pid).int("tid", thread.tid).text("user", &user);
            json.int("fd", *fd).text("type", fd_type_name(info.ty).as_bytes()).text("name", &name);
            json.end();
            continue;
        }
        write_column(out, &comm, 20);
        number(out, thread.pid, 8);
        number(out, thread.tid, 8);
        write_column(out, &user, 8);
        write_column(out, fd.to_string().as_bytes(), 8);
        write_column(out, fd_type_name(info.ty).as_bytes(), 12);
        push_fd_name(out, info);
        out.push(b'\n');
    }
}

fn write_connections(_: &Machine, found: &ThreadFds<'_>, json: bool, out: &mut Vec<u8>) {
    let thread = found.thread;
    for (fd, info) in &found.fds {
        let is_connection = matches!(info.ty, FdType::Ipv4 | FdType::Ipv6);
        let server = address(info.sock.dest);
        let (client, state) = match is_connection {
            true => (address(info.sock.source), "ESTABLISHED"),
            false => (b"0.0.0.0:*".to_vec(), "LISTEN"),
        };
        let proto = protocol(info.sock.l4proto);
        if json {
            let mut json = JsonLine::begin(out);
            json.text("proto", proto.as_bytes()).text("server", &server).text("client", &client);
            json.text("state", state.as_bytes()).is("is_server", is_server(info)).int("fd", *fd);
            json.int("tid", thread.tid).int("pid", thread.pid).text("program", &thread.comm);
            json.end();
            continue;
        }
        write_column(out, proto.as_bytes(), 6);
        write_column(out, &server, 25);
        write_column(out, &client, 25);
        write_column(out, state.as_bytes(), 15);
        dec_i64(out, thread.tid);
        out.push(b'/');
        out.extend_from_slice(u32_text(thread.pid).as_bytes());
        out.push(b'/');
        out.extend_from_slice(&visible(&thread.comm));
        out.push(b'\n');
    }
}

fn is_server(info: &FdInfo) -> bool {
    matches!(info.ty, FdType::Ipv4Server | FdType::Ipv6Server) || info.sock.role == Role::Server
}

fn address(end: Endpoint) -> Vec<u8> {
    let mut text = Vec::new();
    push_ip(&mut text, end.ip);
    text.push(b':');
    dec_i64(&mut text, i64::from(end.port));
    text
}
