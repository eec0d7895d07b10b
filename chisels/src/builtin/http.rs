//! `http`: HTTP requests with who made or served them, status and time, and at the end how each server
//! did.

use super::http_talk::{Exchange, HttpTalk};
use crate::api::{Chisel, End, Handover, Input, Meta, Settings};
use crate::control::Control;
use crate::error::ChiselError;
use crate::kit::JsonLine;
use crate::kit::place::{HOST, Places, who};
use crate::state::visible;
use crate::text::{write_bytes, write_duration, write_row};
use capture_engine::EventView;
use capture_engine::render::Zone;
use capture_engine::render::clock::{Fraction, push_time_of_day};
use capture_engine::render::fd::push_fd_name;
use std::collections::HashMap;

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "http",
    "Application",
    "HTTP requests: who, status, time; sums per pod and host",
    "Prints each HTTP/1 request: the process that sends (>) or serves (<) it with its pod or container, method, \
     URL, status, time to the first byte of the answer, length and connection. At the end it prints for each \
     process, place and host how many requests there were, how many failed, and how long they took; requests \
     without an answer are listed. HTTP/2 and encrypted requests are not seen.",
    &[],
);

/// Of the columns of a request.
const WIDTHS: [usize; 7] = [18, 28, 6, 7, 9, 40, 0];
/// Bytes of each buffer that are worth keeping for this chisel.
const SNAPLEN: u32 = 1024;
/// Groups that are counted.
const GROUPS_MAX: usize = 65_536;

/// Requests that are summed up together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Group {
    comm: Vec<u8>,
    place: Vec<u8>,
    serves: bool,
    host: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Sum {
    first_ts_ns: u64,
    requests: u64,
    refused: u64,
    broken: u64,
    bytes: u64,
    took_ns: Vec<u64>,
}

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct Http {
    talk: HttpTalk,
    places: Places,
    zone: Zone,
    json: bool,
    has_heading: bool,
    sums: HashMap<Group, Sum>,
}

impl Chisel for Http {
    fn meta(&self) -> &Meta {
        &META
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.places = Places::new(settings);
        self.zone = settings.zone.clone();
        self.json = settings.json;
        control.snaplen = Some(SNAPLEN);
        Ok(None)
    }

    fn start(&mut self, _: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        (self.talk, self.sums, self.has_heading) = Default::default();
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(exchange) = self.talk.take(event) else { return Ok(()) };
        let place = self.places.of(event);
        let thread = event.thread();
        let comm = thread.map(|t| visible(&t.comm)).unwrap_or_default();
        let pid = thread.map_or(event.raw.tid, |t| t.pid);
        let mut connection = Vec::new();
        if let Some(fd) = event.fd() {
            push_fd_name(&mut connection, fd);
        }
        self.add(&exchange, &comm, &place);
        let out = &mut control.out;
        if self.json {
            write_json(&exchange, &comm, pid, &place, &connection, out);
            return Ok(());
        }
        if !std::mem::replace(&mut self.has_heading, true) {
            let headings: [&[u8]; 7] =
                [b"TIME", b"WHO", b"STATUS", b"TOOK", b"SIZE", b"REQUEST", b"CONNECTION"];
            write_row(out, WIDTHS, headings);
        }
        let (mut time, mut took, mut size) = (Vec::new(), Vec::new(), Vec::new());
        push_time_of_day(&mut time, &self.zone, exchange.request_ts_ns, Fraction::Ns);
        write_duration(&mut took, took_ns(&exchange));
        write_bytes(&mut size, exchange.length_bytes);
        let direction = if exchange.serves { "<" } else { ">" };
        let who = [&who(&comm, pid, &place)[..], b" ", direction.as_bytes()].concat();
        let request = [&exchange.method[..], b" ", &exchange.url()].concat();
        let status = exchange.status.to_string();
        let columns: [&[u8]; 7] =
            [&time, &who, status.as_bytes(), &took, &size, &visible(&request), &connection];
        write_row(out, WIDTHS, columns);
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let out = &mut control.out;
        let mut sums: Vec<(Group, Sum)> = self.sums.drain().collect();
        sums.sort_by(|(group, sum), (other_group, other)| {
            (sum.first_ts_ns, &group.comm, group.serves).cmp(&(
                other.first_ts_ns,
                &other_group.comm,
                other_group.serves,
            ))
        });
        let unanswered = self.talk.unanswered();
        if self.json {
            sums.iter_mut().for_each(|(group, sum)| write_sum_json(group, sum, out));
            for (pid, open) in unanswered {
                let mut json = JsonLine::begin(out);
                json.text("kind", b"unanswered").uint("evt.rawtime", open.request_ts_ns).int("proc.pid", pid);
                json.text("method", &open.method).text("url", &open.url()).is("serves", open.serves);
                json.end();
            }
            return Ok(());
        }
        if sums.is_empty() && unanswered.is_empty() {
            out.extend_from_slice(b"no HTTP requests\n");
            return Ok(());
        }
        if !sums.is_empty() {
            out.push(b'\n');
            let headings: [&[u8]; 9] =
                [b"BY", b"HOST", b"REQUESTS", b"4xx", b"5xx", b"BYTES", b"MEDIAN", b"95%", b"SLOWEST"];
            write_row(out, SUM_WIDTHS, headings);
        }
        for (group, sum) in &mut sums {
            write_sum(group, sum, out);
        }
        for (pid, open) in unanswered {
            out.extend_from_slice(format!("no answer: pid {pid} ").as_bytes());
            out.extend_from_slice(if open.serves { b"< " } else { b"> " });
            out.extend_from_slice(&visible(&[&open.method[..], b" ", &open.url()].concat()));
            out.push(b'\n');
        }
        Ok(())
    }
}

impl Http {
    fn add(&mut self, exchange: &Exchange, comm: &[u8], place: &[u8]) {
        let mut group = Group {
            comm: comm.to_vec(),
            place: place.to_vec(),
            serves: exchange.serves,
            host: visible(&exchange.host),
        };
        if self.sums.len() >= GROUPS_MAX && !self.sums.contains_key(&group) {
            group.host = b"(other)".to_vec();
        }
        let sum = self.sums.entry(group).or_default();
        if sum.requests == 0 {
            sum.first_ts_ns = exchange.request_ts_ns;
        }
        sum.requests += 1;
        sum.refused += u64::from((400..500).contains(&exchange.status));
        sum.broken += u64::from(exchange.status >= 500);
        sum.bytes = sum.bytes.saturating_add(exchange.length_bytes);
        sum.took_ns.push(took_ns(exchange));
    }
}

/// Of the columns of a sum.
const SUM_WIDTHS: [usize; 9] = [28, 28, 8, 5, 5, 9, 8, 8, 0];

/// Median, 95th percentile and the slowest.
fn times(took_ns: &mut [u64]) -> [u64; 3] {
    took_ns.sort_unstable();
    let at =
        |percent: usize| took_ns.get(took_ns.len() * percent / 100).or(took_ns.last()).copied().unwrap_or(0);
    [at(50), at(95), at(100)]
}

fn write_sum(group: &Group, sum: &mut Sum, out: &mut Vec<u8>) {
    let mut by = [&group.comm[..], if group.serves { b" <" } else { b" >" }].concat();
    if group.place != HOST && !group.place.is_empty() {
        by.push(b' ');
        by.extend_from_slice(&group.place);
    }
    let counts = [sum.requests, sum.refused, sum.broken].map(|n| n.to_string());
    let times = times(&mut sum.took_ns).map(|ns| {
        let mut text = Vec::new();
        write_duration(&mut text, ns);
        text
    });
    let mut bytes = Vec::new();
    write_bytes(&mut bytes, sum.bytes);
    let columns: [&[u8]; 9] = [
        &by,
        &group.host,
        counts[0].as_bytes(),
        counts[1].as_bytes(),
        counts[2].as_bytes(),
        &bytes,
        &times[0],
        &times[1],
        &times[2],
    ];
    write_row(out, SUM_WIDTHS, columns);
}

fn write_sum_json(group: &Group, sum: &mut Sum, out: &mut Vec<u8>) {
    let [median, p95, slowest] = times(&mut sum.took_ns);
    let mut json = JsonLine::begin(out);
    json.text("kind", b"sum").text("proc.name", &group.comm).text("container", &group.place);
    json.is("serves", group.serves).text("host", &group.host).uint("requests", sum.requests);
    json.uint("status_4xx", sum.refused).uint("status_5xx", sum.broken).uint("bytes", sum.bytes);
    json.uint("median_ns", median).uint("p95_ns", p95).uint("max_ns", slowest);
    json.end();
}

fn write_json(
    exchange: &Exchange,
    comm: &[u8],
    pid: i64,
    place: &[u8],
    connection: &[u8],
    out: &mut Vec<u8>,
) {
    let mut json = JsonLine::begin(out);
    json.text("kind", b"request").uint("evt.rawtime", exchange.request_ts_ns).text("proc.name", comm);
    json.int("proc.pid", pid).text("container", place).is("serves", exchange.serves);
    json.text("method", &exchange.method).text("host", &exchange.host).text("path", &exchange.path);
    json.uint("status", exchange.status.into()).uint("latency_ns", took_ns(exchange));
    json.uint("length", exchange.length_bytes).text("fd.name", connection);
    json.end();
}

fn took_ns(exchange: &Exchange) -> u64 {
    exchange.answer_ts_ns.saturating_sub(exchange.request_ts_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        assert_eq!(times(&mut []), [0, 0, 0]);
        assert_eq!(times(&mut [7]), [7, 7, 7]);
        let mut all: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(times(&mut all), [51, 96, 100]);
    }
}
