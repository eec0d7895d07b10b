//! `dns`: every DNS query with who asked, the name as asked, the search domain that the resolver
//! appended, the server, the answer and how long it took; at the end the names, and how asking for each
//! went.
//!
//! Queries are told from the client's side. What a server says of a query is told only where the
//! client is not in the capture.

use super::dns_exchange::{Asker, Exchange, Exchanges, Outcome};
use super::dns_summary::Summary;
use crate::api::{Chisel, End, Handover, Input, Meta, Settings, Tick};
use crate::control::{Control, Interval};
use crate::error::ChiselError;
use crate::kit::JsonLine;
use crate::kit::place::Places;
use crate::text::{write_duration, write_row};
use capture_engine::render::Zone;
use capture_engine::render::clock::{Fraction, push_time_of_day};
use capture_engine::{EventView, Thread};

/// What `-cl` and `-i` say.
pub(super) static META: Meta = Meta::new(
    "dns",
    "Net",
    "DNS queries: who asked, search domains, answers, times",
    "Prints every DNS query over UDP and TCP: the process that asked and its pod or container, the name as it \
     was asked for with the search domain that the resolver appended in brackets, the server, how long it took \
     and the answer, or that there was none. At the end it prints the names, how many queries each one cost, and \
     how it ended. Search domains are read out of the processes' own reads of /etc/resolv.conf. A filter \
     restricts it: dns 'k8s.ns.name=critical-app or proc.name=skydns'.",
    &[],
);

/// Bytes of each buffer that are worth keeping for this chisel.
const SNAPLEN: u32 = 2000;
const SECOND_NS: u64 = 1_000_000_000;
/// Of the columns of a query.
const WIDTHS: [usize; 7] = [18, 26, 5, 44, 16, 7, 0];
const CONF: &[u8] = b"/etc/resolv.conf";

/// The chisel.
#[derive(Debug, Default)]
pub(super) struct Dns {
    places: Places,
    zone: Zone,
    json: bool,
    has_heading: bool,
    exchanges: Exchanges,
    summary: Summary,
}

impl Chisel for Dns {
    fn meta(&self) -> &Meta {
        &META
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.places = Places::new(settings);
        self.zone = settings.zone.clone();
        self.json = settings.json;
        control.snaplen = Some(SNAPLEN);
        control.set_interval(Interval::Sample(SECOND_NS));
        Ok(None)
    }

    fn start(&mut self, _: &Input<'_>, _: &mut Control) -> Result<(), ChiselError> {
        (self.exchanges, self.summary, self.has_heading) = Default::default();
        Ok(())
    }

    #[inline]
    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if Exchanges::is_about_names(event) {
            let asker = self.asker(event);
            self.exchanges.take(event, asker);
        } else if event.fd().is_some_and(|fd| fd.is_file() && *fd.name == *CONF) {
            let asker = self.asker(event);
            self.exchanges.read_configuration(event, &asker);
        } else {
            self.exchanges.note_send(event);
            return Ok(());
        }
        self.tell(&mut control.out);
        Ok(())
    }

    fn on_interval(
        &mut self,
        tick: Tick,
        _: &EventView<'_>,
        control: &mut Control,
    ) -> Result<(), ChiselError> {
        self.exchanges.expire(tick.ts_ns);
        self.tell(&mut control.out);
        Ok(())
    }

    fn on_end(&mut self, _: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        self.exchanges.expire(u64::MAX);
        self.tell(&mut control.out);
        if self.json {
            self.summary.write_json(&mut control.out);
        } else {
            self.summary.write(&mut control.out);
        }
        Ok(())
    }
}

impl Dns {
    fn asker(&mut self, event: &EventView<'_>) -> Asker {
        let thread = event.thread();
        let of = |get: fn(&Thread) -> i64| thread.map_or(event.raw.tid, get);
        Asker {
            pid: of(|t| t.pid),
            tid: event.raw.tid,
            comm: thread.map(|t| crate::state::visible(&t.comm)).unwrap_or_else(|| b"<NA>".to_vec()),
            container_id: thread.map(|t| t.container_id.to_vec()).unwrap_or_default(),
            place: self.places.of(event),
        }
    }

    /// Prints what is complete.
    fn tell(&mut self, out: &mut Vec<u8>) {
        for exchange in self.exchanges.drain() {
            self.summary.add(&exchange);
            if self.json {
                write_json(&exchange, out);
                continue;
            }
            if !std::mem::replace(&mut self.has_heading, true) {
                write_row(out, WIDTHS, [b"TIME", b"WHO", b"TYPE", b"NAME", b"SERVER", b"TOOK", b"ANSWER"]);
            }
            let mut time = Vec::new();
            push_time_of_day(&mut time, &self.zone, exchange.asked_ts_ns, Fraction::Ns);
            let took = exchange.took_ns.map_or_else(Vec::new, |ns| {
                let mut text = Vec::new();
                write_duration(&mut text, ns);
                text
            });
            write_row(
                out,
                WIDTHS,
                [
                    &time,
                    &exchange.who(),
                    exchange.type_name().as_bytes(),
                    exchange.asked.text().as_bytes(),
                    exchange.server.as_bytes(),
                    &took,
                    exchange.answer().as_bytes(),
                ],
            );
        }
    }
}

fn write_json(exchange: &Exchange, out: &mut Vec<u8>) {
    let mut json = JsonLine::begin(out);
    json.text("kind", b"query").uint("evt.rawtime", exchange.asked_ts_ns);
    json.text("side", if exchange.is_served { b"server" } else { b"client" });
    json.text("proc.name", &exchange.asker.comm).int("proc.pid", exchange.asker.pid);
    json.text("container", &exchange.asker.place)
        .maybe("client", exchange.client.as_deref().map(str::as_bytes));
    json.text("name", exchange.asked.name.as_bytes());
    json.maybe("search_domain", exchange.asked.appended.as_deref().map(str::as_bytes));
    json.text("looked_up", exchange.name.as_bytes()).text("type", exchange.type_name().as_bytes());
    json.text("server", exchange.server.as_bytes())
        .text("protocol", if exchange.is_tcp { b"tcp" } else { b"udp" });
    json.uint("times", exchange.times);
    match exchange.took_ns {
        Some(ns) => _ = json.uint("latency_ns", ns),
        None => _ = json.maybe("latency_ns", None),
    }
    json.text("result", exchange.result().as_bytes());
    if let Outcome::Answered(message) = &exchange.outcome {
        json.list("answers", |list| message.answers.iter().for_each(|text| _ = list.item(text.as_bytes())));
    }
    json.end();
}
