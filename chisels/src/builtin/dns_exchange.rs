//! Queries and their answers, put together out of what processes send and receive on port 53.

use super::dns_message::{Message, rcode_name, type_name};
use super::dns_names::{self, Asked, Names};
use crate::kit::place::who;
use capture_common::EventFlags;
use capture_common::event_table::errno_name;
use capture_common::snapshot::L4Proto;
use capture_engine::EventView;
use capture_engine::fields::flags_of;
use capture_engine::render::address::push_ip;
use capture_engine::render::event_name;
use std::collections::HashMap;

const PORT: u16 = 53;
/// Time after which a query counts as not answered, ns. Resolvers try again after 5 seconds.
const GIVE_UP_NS: u64 = 15_000_000_000;
/// Time for which a server's word is held back, since the client's may follow, ns.
const SERVER_WAIT_NS: u64 = 1_000_000_000;
/// Queries and senders that are remembered.
const REMEMBERED_MAX: usize = 65_536;

/// Who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) pid: i64,
    pub(super) tid: i64,
    pub(super) comm: Vec<u8>,
    pub(super) container_id: Vec<u8>,
    pub(super) place: Vec<u8>,
}

impl Asker {
    fn for_names(&self) -> dns_names::Asker<'_> {
        dns_names::Asker { pid: self.pid, tid: self.tid, container_id: &self.container_id }
    }
}

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered(Message),
    /// The socket said so.
    Failed(u32),
    /// Asked again instead.
    Repeated,
    None,
}

/// A query.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) asker: Asker,
    pub(super) asked: Asked,
    /// The name in the query.
    pub(super) name: String,
    pub(super) qtype: u16,
    pub(super) server: String,
    /// Where a server tells of the query: the client's address.
    pub(super) client: Option<String>,
    pub(super) is_served: bool,
    pub(super) is_tcp: bool,
    /// How often the process asked this so far, this time included.
    pub(super) times: u64,
    pub(super) asked_ts_ns: u64,
    /// Until the answer; not known where the query itself was not seen.
    pub(super) took_ns: Option<u64>,
    pub(super) outcome: Outcome,
}

impl Exchange {
    /// Process and place.
    pub(super) fn who(&self) -> Vec<u8> {
        let place = if self.client.is_some() { &[][..] } else { &self.asker.place };
        let mut who = who(&self.asker.comm, self.asker.pid, place);
        if let Some(client) = &self.client {
            who.extend_from_slice(format!(" for {client}").as_bytes());
        }
        who
    }

    /// Type of the records that were asked for.
    pub(super) fn type_name(&self) -> String {
        type_name(self.qtype)
    }

    /// NOERROR and the like.
    pub(super) fn result(&self) -> String {
        match &self.outcome {
            Outcome::Answered(message) => rcode_name(message.rcode),
            Outcome::Failed(errno) => errno_name(*errno).map_or_else(|| errno.to_string(), str::to_owned),
            Outcome::Repeated => "no answer, asked again".to_owned(),
            Outcome::None => "no answer".to_owned(),
        }
    }

    /// The addresses, or what was instead.
    pub(super) fn answer(&self) -> String {
        let mut text = match &self.outcome {
            Outcome::Answered(message) if message.rcode != 0 => rcode_name(message.rcode),
            Outcome::Answered(message) if !message.answers.is_empty() => message.answers.join(", "),
            Outcome::Answered(message) if message.records > 0 => format!("{} records", message.records),
            Outcome::Answered(_) => "no such record".to_owned(),
            _ => self.result(),
        };
        if matches!(&self.outcome, Outcome::Answered(message) if message.is_truncated) {
            text.push_str(" (truncated)");
        }
        if self.times > 1 {
            text.push_str(&format!(" (asked {} times)", self.times));
        }
        text
    }
}

/// What tells a query from others: process, server's side or not, id, name and type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    pid: i64,
    is_served: bool,
    id: u16,
    name: String,
    qtype: u16,
}

/// All queries under way.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    names: Names,
    open: HashMap<Key, (i64, Exchange)>,
    /// Complete ones of servers, with id and time of the answer.
    served: Vec<(u16, u64, Exchange)>,
    done: Vec<Exchange>,
    /// Last sendmmsg of a thread, which does not always tell what it sent.
    sends: HashMap<i64, u64>,
    /// How often a process asked for a name and type.
    asked: HashMap<(i64, String, u16), u64>,
}

impl Exchanges {
    /// Whether the event is an exit of a call on a socket of port 53.
    #[inline]
    pub(super) fn is_about_names(event: &EventView<'_>) -> bool {
        event.raw.code.is_exit()
            && event
                .fd()
                .is_some_and(|fd| fd.is_ip() && (fd.sock.dest.port == PORT || fd.sock.source.port == PORT))
    }

    /// Notes calls that send several messages of which the events may not tell the data.
    #[inline]
    pub(super) fn note_send(&mut self, event: &EventView<'_>) {
        if event.raw.code.is_enter() && event_name(event) == "sendmmsg" {
            if self.sends.len() >= REMEMBERED_MAX {
                self.sends.clear();
            }
            self.sends.insert(event.raw.tid, event.raw.ts_ns);
        }
    }

    /// A process read from its resolv.conf, maybe.
    pub(super) fn read_configuration(&mut self, event: &EventView<'_>, asker: &Asker) {
        let reads = event.info.is_some_and(|info| flags_of(info).contains(EventFlags::READS_FROM_FD));
        if reads && let Some(data) = event.param("data") {
            self.names.configure(asker.for_names(), data);
        }
    }

    /// Takes an event for which [`is_about_names`](Exchanges::is_about_names) holds.
    pub(super) fn take(&mut self, event: &EventView<'_>, asker: Asker) {
        let (Some(info), Some(fd)) = (event.info, event.fd()) else { return };
        let flags = flags_of(info);
        let reads = flags.contains(EventFlags::READS_FROM_FD);
        if !reads && !flags.contains(EventFlags::WRITES_TO_FD) {
            return;
        }
        if reads && event.applied.error != 0 {
            self.failed(&asker, event.applied.fd_num, event);
            return;
        }
        let is_tcp = fd.sock.l4proto == L4Proto::Tcp;
        let Some(data) = event.param("data") else { return };
        let message = if is_tcp { Message::read_stream(data) } else { Message::read(data) };
        let Some(message) = message else { return };
        let key = Key {
            pid: asker.pid,
            is_served: message.is_answer != reads,
            id: message.id,
            name: message.name.clone(),
            qtype: message.qtype,
        };
        if message.is_answer {
            self.answered(key, message, event, asker, is_tcp);
        } else {
            let exchange = self.begin(&key, event, asker, is_tcp, event.applied.enter_ts_ns);
            if let Some((_, before)) = self.open.remove(&key) {
                self.done.push(Exchange { outcome: Outcome::Repeated, ..before });
            }
            if self.open.len() >= REMEMBERED_MAX {
                self.open.clear();
            }
            self.open.insert(key, (event.applied.fd_num, exchange));
        }
    }

    fn begin(
        &mut self,
        key: &Key,
        event: &EventView<'_>,
        asker: Asker,
        is_tcp: bool,
        enter_ts_ns: u64,
    ) -> Exchange {
        let sock = event.fd().map(|fd| fd.sock).unwrap_or_default();
        // Whichever end has the port is the server.
        let (client, server) = match sock.dest.port {
            PORT => (sock.source, sock.dest),
            _ => (sock.dest, sock.source),
        };
        let address = |ip| {
            let mut text = Vec::new();
            push_ip(&mut text, ip);
            String::from_utf8_lossy(&text).into_owned()
        };
        let asked_ts_ns = if enter_ts_ns != 0 { enter_ts_ns } else { event.raw.ts_ns };
        let says = |name: &str| {
            event.main_thread().is_some_and(|thread| thread.args().any(|arg| has_name(arg, name)))
        };
        let asked = match key.is_served {
            true => Asked { name: key.name.clone(), appended: None },
            false => self.names.asked(asker.for_names(), &key.name, asked_ts_ns, says),
        };
        if self.asked.len() >= REMEMBERED_MAX {
            self.asked.clear();
        }
        let times = match key.is_served {
            true => 1,
            false => {
                let times = self.asked.entry((key.pid, key.name.clone(), key.qtype)).or_default();
                *times += 1;
                *times
            }
        };
        Exchange {
            asker,
            asked,
            name: key.name.clone(),
            qtype: key.qtype,
            server: address(server.ip),
            client: (key.is_served && client.port != 0).then(|| address(client.ip)),
            is_served: key.is_served,
            is_tcp,
            times,
            asked_ts_ns,
            took_ns: None,
            outcome: Outcome::None,
        }
    }

    fn answered(&mut self, key: Key, message: Message, event: &EventView<'_>, asker: Asker, is_tcp: bool) {
        let ts_ns = event.raw.ts_ns;
        let id = key.id;
        let mut exchange = match self.open.remove(&key) {
            Some((_, exchange)) => exchange,
            None => {
                // What was sent with sendmmsg was not seen; when it was is known.
                let sent = self
                    .sends
                    .get(&asker.tid)
                    .copied()
                    .filter(|sent| ts_ns.saturating_sub(*sent) < GIVE_UP_NS);
                let mut exchange = self.begin(&key, event, asker, is_tcp, sent.unwrap_or(0));
                exchange.took_ns = sent.map(|_| 0);
                exchange
            }
        };
        if exchange.took_ns.is_some() || exchange.asked_ts_ns != ts_ns {
            exchange.took_ns = Some(ts_ns.saturating_sub(exchange.asked_ts_ns));
        }
        exchange.outcome = Outcome::Answered(message);
        if key.is_served {
            self.served.push((id, ts_ns, exchange));
            return;
        }
        let same = |(served_id, _, served): &(u16, u64, Exchange)| {
            *served_id == id && served.qtype == exchange.qtype && served.name == exchange.name
        };
        if let Some(at) = self.served.iter().position(same) {
            self.served.swap_remove(at);
        }
        self.done.push(exchange);
    }

    /// A read from a server failed: that of a port where nobody listens says so.
    fn failed(&mut self, asker: &Asker, fd: i64, event: &EventView<'_>) {
        const EAGAIN: u32 = 11;
        const EINTR: u32 = 4;
        let error = event.applied.error;
        if matches!(error, EAGAIN | EINTR) {
            return;
        }
        let is_its = |key: &Key, on: i64| key.pid == asker.pid && !key.is_served && on == fd;
        let keys: Vec<Key> =
            self.open.iter().filter(|(key, (on, _))| is_its(key, *on)).map(|(key, _)| key.clone()).collect();
        let ts_ns = event.raw.ts_ns;
        let failed = keys.iter().filter_map(|key| self.open.remove(key)).map(|(_, exchange)| {
            let took_ns = Some(ts_ns.saturating_sub(exchange.asked_ts_ns));
            Exchange { outcome: Outcome::Failed(error), took_ns, ..exchange }
        });
        let failed: Vec<Exchange> = failed.collect();
        self.done.extend(failed);
    }

    /// Gives up what waited too long at this time.
    pub(super) fn expire(&mut self, ts_ns: u64) {
        let late = |since: u64, wait_ns: u64| ts_ns.saturating_sub(since) >= wait_ns;
        let done = &mut self.done;
        self.served.retain(|(_, answered_ts_ns, exchange)| {
            let is_late = late(*answered_ts_ns, SERVER_WAIT_NS);
            if is_late {
                done.push(exchange.clone());
            }
            !is_late
        });
        self.open.retain(|_, (_, exchange)| {
            let is_late = late(exchange.asked_ts_ns, GIVE_UP_NS);
            if is_late {
                done.push(exchange.clone());
            }
            !is_late
        });
    }

    /// What is complete, in the order in which it was asked.
    pub(super) fn drain(&mut self) -> Vec<Exchange> {
        let mut done = std::mem::take(&mut self.done);
        done.sort_by(|a, b| (a.asked_ts_ns, &a.name, a.qtype).cmp(&(b.asked_ts_ns, &b.name, b.qtype)));
        done
    }
}

/// Whether a text has a name in it that is not a part of a longer one.
fn has_name(text: &[u8], name: &str) -> bool {
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let name = name.as_bytes();
    if name.is_empty() {
        return false;
    }
    text.windows(name.len()).enumerate().any(|(at, window)| {
        let before = at.checked_sub(1).map(|before| &text[before]);
        let mut behind = text[at + name.len()..].iter();
        // The final dot may be there.
        let next = behind.next();
        let next = if next == Some(&b'.') { behind.next() } else { next };
        window.eq_ignore_ascii_case(name)
            && !before.is_some_and(|b| in_name(b) || *b == b'.')
            && !next.is_some_and(in_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_command_lines() {
        assert!(has_name(b"http://web.prod.:80/", "web.prod"));
        assert!(has_name(b"WEB.prod", "web.prod"));
        assert!(!has_name(b"http://my.web.prod/", "web.prod"));
        assert!(!has_name(b"web.prod.svc", "web.prod"));
        assert!(!has_name(b"", "web"));
        assert!(!has_name(b"web", ""));
    }
}
