//! `httplog`: the HTTP requests that were answered, one line each; `httptop`: the greatest of them.

use super::http_talk::{Exchange, HttpTalk};
use crate::api::{ArgSpec, Chisel, End, Handover, Input, Meta, Settings, Tick};
use crate::control::{Control, Interval};
use crate::error::ChiselError;
use crate::kit::{Column, Fields, JsonLine, Screen, TopTable, Totals, Units, bad_arg};
use crate::state::visible;
use capture_engine::EventView;
use capture_engine::render::Zone;
use capture_engine::render::clock::{Fraction, push_datetime};
use std::collections::HashMap;
use std::io::Write;

/// Bytes of each buffer that are worth keeping for these chisels.
const SNAPLEN: u32 = 1024;
const LIVE_INTERVAL_NS: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// What `-cl` and `-i` say.
static LOG_META: Meta = Meta::new(
    "httplog",
    "Application",
    "HTTP requests with status, duration and size",
    "Prints each HTTP/1 request that was answered, with > for those that a process sends and < for those that \
     it serves, the status, the time to the first byte of the answer, and its length.",
    &[],
);

/// What `-cl` and `-i` say.
static TOP_META: Meta = Meta::new(
    "httptop",
    "Application",
    "HTTP requests that are made most often",
    "The HTTP/1 requests with most calls, most bytes of answers, or the longest average time.",
    &TOP_ARGS,
);

static TOP_ARGS: [ArgSpec; 1] =
    [ArgSpec::optional("by", "string", "What to go by: ncalls (the default), bytes or time")];

/// Those that are listed.
pub(super) fn metas() -> Vec<&'static Meta> {
    vec![&LOG_META, &TOP_META]
}

/// A fresh one.
pub(super) fn make(name: &str) -> Option<Box<dyn Chisel>> {
    match name {
        "httplog" => Some(Box::<HttpLog>::default()),
        "httptop" => Some(Box::<HttpTop>::default()),
        _ => None,
    }
}

/// `httplog`.
#[derive(Debug, Default)]
struct HttpLog {
    talk: HttpTalk,
    container: Fields,
    zone: Zone,
    container_data: bool,
    json: bool,
}

impl Chisel for HttpLog {
    fn meta(&self) -> &Meta {
        &LOG_META
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.container = Fields::new(&["container.name"], settings).expect("the field exists");
        self.zone = settings.zone.clone();
        self.container_data = settings.container_data;
        self.json = settings.json;
        control.snaplen = Some(SNAPLEN);
        Ok(None)
    }

    fn on_event(&mut self, event: &EventView<'_>, control: &mut Control) -> Result<(), ChiselError> {
        let Some(exchange) = self.talk.take(event) else { return Ok(()) };
        let container = self.container.text_or_na(0, event);
        let out = &mut control.out;
        let latency_ns = exchange.answer_ts_ns.saturating_sub(exchange.request_ts_ns);
        let direction: &[u8] = if exchange.serves { b"<" } else { b">" };
        if self.json {
            let mut json = JsonLine::begin(out);
            json.uint("evt.rawtime", exchange.answer_ts_ns).text("container.name", &container);
            json.text("dir", direction).text("method", &exchange.method).text("url", &exchange.url());
            json.uint("response_code", exchange.status.into()).uint("latency_ns", latency_ns);
            json.uint("size", exchange.length_bytes);
            json.end();
            return Ok(());
        }
        push_datetime(out, &self.zone, exchange.answer_ts_ns, Fraction::Ns);
        out.push(b' ');
        if self.container_data {
            out.extend_from_slice(&container);
            out.push(b' ');
        }
        out.extend_from_slice(direction);
        out.extend_from_slice(b" method=");
        out.extend_from_slice(&exchange.method);
        out.extend_from_slice(b" url=");
        out.extend_from_slice(&visible(&exchange.url()));
        // Writing to a Vec cannot fail.
        let _ = writeln!(
            out,
            " response_code={} latency={}ms size={}B",
            exchange.status,
            latency_ns / NS_PER_MS,
            exchange.length_bytes
        );
        Ok(())
    }
}

/// What `httptop` goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum By {
    #[default]
    Calls,
    Bytes,
    /// On average.
    Time,
}

/// `httptop`.
#[derive(Debug, Default)]
struct HttpTop {
    by: By,
    talk: HttpTalk,
    container: Fields,
    container_data: bool,
    /// Number and sum for each container, method and URL.
    sums: HashMap<[Vec<u8>; 3], (u64, f64)>,
    table: TopTable,
    screen: Screen,
}

impl HttpTop {
    fn add(&mut self, exchange: &Exchange, container: Vec<u8>) {
        let value = match self.by {
            By::Calls => 1.0,
            By::Bytes => exchange.length_bytes as f64,
            By::Time => exchange.answer_ts_ns.saturating_sub(exchange.request_ts_ns) as f64,
        };
        let key = [container, visible(&exchange.method), visible(&exchange.url())];
        let sum = self.sums.entry(key).or_default();
        *sum = (sum.0 + 1, sum.1 + value);
    }

    fn write(&mut self, ts_ns: u64, passed_ns: u64, out: &mut Vec<u8>) {
        let mut totals = Totals::default();
        for (key, (number, sum)) in self.sums.drain() {
            let parts: Vec<&[u8]> =
                key.iter().skip(usize::from(!self.container_data)).map(Vec::as_slice).collect();
            let value = if self.by == By::Time { sum / number as f64 } else { sum };
            totals.add_to(&parts, value);
        }
        self.table.write(&totals, ts_ns, passed_ns, self.screen, out);
    }
}

impl Chisel for HttpTop {
    fn meta(&self) -> &Meta {
        &TOP_META
    }

    fn set_arg(&mut self, name: &str, value: &str, _: &mut Control) -> Result<(), ChiselError> {
        self.by = match value {
            "ncalls" => By::Calls,
            "bytes" => By::Bytes,
            "time" => By::Time,
            _ => {
                return Err(bad_arg(
                    &TOP_META.name,
                    name,
                    format!("{value:?} is none of ncalls, bytes, time"),
                ));
            }
        };
        Ok(())
    }

    fn init(&mut self, settings: &Settings, control: &mut Control) -> Result<Option<Handover>, ChiselError> {
        self.container = Fields::new(&["container.name"], settings).expect("the field exists");
        self.container_data = settings.container_data;
        self.screen = Screen::new(settings);
        let (name, units) = match self.by {
            By::Calls => ("ncalls", Units::None),
            By::Bytes => ("bytes", Units::Bytes),
            By::Time => ("time", Units::Time),
        };
        let keys = ["container", "method", "url"].into_iter().skip(usize::from(!self.container_data));
        self.table = TopTable {
            keys: keys.map(|key| Column::new(key, key)).collect(),
            value: Column::new(name, name),
            units,
            limit: 30,
        };
        control.snaplen = Some(SNAPLEN);
        Ok(None)
    }

    fn start(&mut self, input: &Input<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if input.live {
            control.set_interval(Interval::Sample(LIVE_INTERVAL_NS));
        }
        self.screen.start(input.live, &mut control.out);
        Ok(())
    }

    fn on_event(&mut self, event: &EventView<'_>, _: &mut Control) -> Result<(), ChiselError> {
        if let Some(exchange) = self.talk.take(event) {
            let container = self.container.text_or_na(0, event);
            self.add(&exchange, container);
        }
        Ok(())
    }

    fn on_interval(
        &mut self,
        tick: Tick,
        _: &EventView<'_>,
        control: &mut Control,
    ) -> Result<(), ChiselError> {
        let screen = self.screen;
        screen.renew(&mut control.out, |out| self.write(tick.ts_ns, tick.delta_ns, out));
        Ok(())
    }

    fn on_end(&mut self, end: &End<'_>, control: &mut Control) -> Result<(), ChiselError> {
        if self.screen.end(&mut control.out) {
            self.write(end.ts_ns(), end.delta_ns, &mut control.out);
        }
        Ok(())
    }
}
