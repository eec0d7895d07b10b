//! Nanoseconds per event of filters over a real capture: nginx under load.
//!
//! `cargo bench -p capture-engine --bench filter`. The events are held in memory and applied to the
//! state as in a replay; what a filter costs is its time less that of `a_no_filter`.

use capture_common::{Batch, EventSource, Next, Snapshot};
use capture_engine::{Engine, EventFilter, EventView, Options};
use capture_file::Reader;
use divan::Bencher;
use filter_lang::Library;
use std::path::Path;

fn main() {
    divan::main();
}

/// Events that are looked at: all of the calls by hand and the first of the load.
const EVENTS_MAX: usize = 100_000;

/// A rule of fifty terms and more, as they are published.
const RULE: &str = "(evt.type in (open, openat, openat2, creat) and evt.dir=< and evt.is_open_write=true \
    and fd.typechar=f and fd.num>=0) and (fd.name startswith /etc or fd.name pmatch (/bin, /sbin, /usr/bin, \
    /usr/sbin, /usr/local/bin, /root, /boot)) and not proc.name in (dpkg, rpm, apt, apt-get, yum, dnf, \
    systemd, useradd, groupadd, passwd, chage, cron, sshd, sudo, su) and not (proc.pname in (puppet, chef, \
    ansible, salt-minion) or proc.aname in (dpkg, rpm, yum)) and not fd.name in (/etc/mtab, /etc/ld.so.cache, \
    /etc/resolv.conf) and not fd.name glob '/etc/ssl/*.tmp' and not proc.cmdline contains 'update-ca' and not \
    container.id!=host and not (user.name=root and proc.exepath endswith /sed) and not fd.directory in (/etc/cron.d, \
    /etc/fonts, /etc/cups) and proc.name exists and not user.loginuid>5000";

/// As above, of which no part is decided by the event's type alone.
const WIDE_RULE: &str = "fd.sport in (22, 23, 25, 53, 110, 143, 443, 3306, 5432, 6379) or fd.cip=10.1.2.3 or \
    fd.name startswith /etc/shadow or fd.name in (/etc/passwd, /etc/sudoers, /etc/gshadow) or fd.name endswith .pem \
    or fd.name contains id_rsa or proc.name in (nc, ncat, nmap, socat, tcpdump, tshark, strace, gdb) or proc.exe startswith \
    /tmp or proc.cwd startswith /dev/shm or user.uid=1234 or (proc.pname in (httpd, apache2, nginx) and proc.name in (sh, \
    bash, dash, zsh)) or (evt.failed=true and evt.res in (EACCES, EPERM)) or (evt.buflen>100000 and evt.is_io_write=true) \
    or container.image contains miner or fd.net=192.0.2.0/24 or proc.tty>100000 or thread.nametid=x or proc.sid=99 or \
    evt.latency>5000000000 or (fd.type in (ipv4, ipv6) and fd.l4proto=icmp) or group.gid in (4242, 4243) or proc.args \
    contains cryptonight or proc.pid in (1, 2, 3, 4)";

const FILTERS: &[(&str, &str)] = &[
    ("01 a type that does not occur", "evt.type=ptrace"),
    ("02 a type", "evt.type=writev"),
    ("03 a number", "fd.num=3"),
    ("04 a text", "proc.name=curl"),
    ("05 type and text", "evt.type=openat and proc.name=nginx"),
    ("06 a short list", "proc.name in (curl, wget, nc)"),
    ("07 contains", "fd.name contains passwd"),
    (
        "08 five terms",
        "evt.type=openat and fd.num>2 and proc.name!=curl and fd.name startswith /etc and evt.failed=false",
    ),
    ("09 fifty terms, of few types", RULE),
    ("10 fifty terms, of any type", WIDE_RULE),
];

/// The capture: its sections' opening tables and its events, in order.
struct Recorded {
    pieces: Vec<Piece>,
    count: usize,
}

enum Piece {
    Section(Box<Snapshot>),
    Events(Batch),
}

impl Recorded {
    fn read() -> Recorded {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captures/http.scap.gz");
        let mut reader = Reader::open(path).expect("opens");
        let mut recorded = Recorded { pieces: Vec::new(), count: 0 };
        while recorded.count < EVENTS_MAX {
            let mut batch = Batch::new();
            match reader.next(&mut batch).expect("reads") {
                Next::End => break,
                Next::Idle => {}
                Next::Section(snapshot) => recorded.pieces.push(Piece::Section(snapshot)),
                Next::Events => {
                    recorded.count += batch.len();
                    recorded.pieces.push(Piece::Events(batch));
                }
            }
        }
        recorded
    }

    /// Replays it and counts the events for which `holds`.
    fn replay(&self, mut holds: impl FnMut(&EventView<'_>) -> bool) -> usize {
        let mut engine = Engine::new(Options::default());
        let mut matching = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Section(snapshot) => engine.begin_section(snapshot),
                Piece::Events(batch) => {
                    for raw in (0..batch.len()).filter_map(|at| batch.get(at)) {
                        let applied = engine.apply(&raw);
                        matching += usize::from(holds(&engine.view(raw, &applied)));
                    }
                }
            }
        }
        matching
    }
}

fn compile(text: &str) -> EventFilter {
    EventFilter::compile(text, &Library::new()).unwrap_or_else(|error| panic!("{error}"))
}

fn names() -> impl Iterator<Item = &'static str> {
    FILTERS.iter().map(|row| row.0)
}

fn text(name: &str) -> &'static str {
    FILTERS.iter().find(|row| row.0 == name).expect("a known filter").1
}

#[divan::bench(sample_count = 40)]
fn a_no_filter(bencher: Bencher<'_, '_>) {
    let recorded = Recorded::read();
    bencher
        .counter(divan::counter::ItemsCount::new(recorded.count))
        .bench_local(|| recorded.replay(|event| divan::black_box(event).raw.tid < 0));
}

#[divan::bench(args = names(), sample_count = 40)]
fn b_filter(bencher: Bencher<'_, '_>, name: &str) {
    let recorded = Recorded::read();
    let mut filter = compile(text(name));
    bencher
        .counter(divan::counter::ItemsCount::new(recorded.count))
        .bench_local(|| recorded.replay(|event| filter.matches(event)));
}

#[divan::bench(args = names())]
fn c_compile(bencher: Bencher<'_, '_>, name: &str) {
    bencher.bench_local(|| compile(text(name)));
}
