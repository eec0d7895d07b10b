//! Captures recorded by other programs are read whole, from a file and from a slow pipe.

mod common;

use capture_common::snapshot::{Dialect, FdKind, L4Proto};
use capture_file::{Compression, Container, Reader, WriterOptions};
use common::{capture, read_all, read_bytes, rewrite};
use std::io::Read;

/// File, container, threads, fds, event blocks (as tshark counts them).
const CAPTURES: &[(&str, Container, usize, usize, usize)] = &[
    ("build.scap.gz", Container::Gzip, 1, 5, 106_655),
    ("dns.scap.gz", Container::Gzip, 1, 5, 20_262),
    ("kitchen.scap.gz", Container::Gzip, 4, 44, 2_271),
    ("postgres.scap.gz", Container::Gzip, 8, 61, 45_549),
    ("shell.scap.gz", Container::Gzip, 4, 44, 46_530),
    ("tools.scap.gz", Container::Gzip, 1, 5, 28_865),
    ("curl_google.scap", Container::Gzip, 54, 316, 1_536),
    ("curl_google_comments.scap", Container::Gzip, 54, 316, 1_536),
    ("single_ipv6_conn.scap", Container::Gzip, 154, 564, 1_728),
    ("test_ipv6_client.scap", Container::Gzip, 58, 333, 326),
    ("interop-superset.scap", Container::Plain, 2, 3, 24),
    ("interop-container.scap", Container::Plain, 2, 3, 25),
    ("interop-full.scap", Container::Plain, 2, 3, 25),
    ("k8s_dns.scap", Container::Gzip, 54, 316, 1_555),
];

#[test]
fn every_recorded_capture_is_read_whole() {
    for &(name, container, threads, fds, events) in CAPTURES {
        let all = read_all(Reader::open(capture(name)).unwrap());
        assert!(all.error.is_none(), "{name}: {:?}", all.error);
        let snapshot = &all.sections[0];
        let fd_count = snapshot.fds.iter().map(|(_, t)| t.len()).sum::<usize>();
        assert_eq!((all.sections.len(), snapshot.threads.len(), fd_count), (1, threads, fds), "{name}");
        assert_eq!((all.stats.container, all.events.len()), (container, events), "{name}");
        assert_eq!(all.stats.events, events as u64);
        assert_eq!((all.stats.damaged_events, all.stats.unreadable_events), (0, 0), "{name}");
        assert_eq!(snapshot.dialect, Dialect::Foreign);
    }
}

#[test]
fn a_pipe_gives_the_same() {
    /// Gives 1 to 4,000 bytes at a time.
    struct Drip(std::fs::File, usize);
    impl Read for Drip {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.1 = self.1 * 7 % 4001;
            let most = out.len().min(self.1.max(1));
            self.0.read(&mut out[..most])
        }
    }
    for name in ["tools.scap.gz", "k8s_dns.scap", "interop-full.scap"] {
        let whole = read_all(Reader::open(capture(name)).unwrap());
        let drip = Drip(std::fs::File::open(capture(name)).unwrap(), 1);
        let dripped = read_all(Reader::from_reader(drip, name).unwrap());
        assert_eq!(whole.snapshots(), dripped.snapshots());
        assert_eq!(whole.events, dripped.events);
        assert!(dripped.error.is_none() && dripped.batches >= whole.batches);
    }
}

#[test]
fn rewriting_changes_nothing() {
    for &(name, ..) in CAPTURES {
        let before = read_all(Reader::open(capture(name)).unwrap());
        for compression in [Compression::ZSTD, Compression::GZIP, Compression::None] {
            let options = WriterOptions { compression, ..WriterOptions::default() };
            let after = read_bytes(&rewrite(Reader::open(capture(name)).unwrap(), options));
            assert!(after.error.is_none(), "{name}: {:?}", after.error);
            assert_eq!(after.stats.container, compression.container());
            assert_eq!(before.events, after.events, "{name}");
            // The dual tail keeps all of the pidns start time but its low 40 bits.
            let coarse = |all: &common::Everything| {
                let mut sections = all.sections.clone();
                for t in sections.iter_mut().flat_map(|s| &mut s.threads) {
                    t.pidns_init_start_ns >>= 40;
                }
                format!("{sections:?}")
            };
            assert_eq!(coarse(&before), coarse(&after), "{name}");
        }
    }
}

#[test]
fn values_of_a_known_process_list() {
    let all = read_all(Reader::open(capture("interop-full.scap")).unwrap());
    let snapshot = &all.sections[0];
    assert_eq!(String::from_utf8_lossy(&snapshot.machine.hostname), "testhost");
    let names: Vec<_> = snapshot.interfaces.iter().map(|i| (&i.name[..], i.link_speed)).collect();
    assert_eq!(names, [(&b"lo"[..], 0), (b"eth0", 1000), (b"eth0", 0)]);
    assert_eq!((snapshot.users.len(), snapshot.groups.len()), (2, 2));
    let shell = &snapshot.threads[1];
    assert_eq!((shell.tid, shell.pid, shell.ptid, shell.loginuid), (100, 100, 1, 1000));
    assert_eq!((&shell.comm[..], shell.vtid, shell.vpid), (&b"bash"[..], 7, 7));
    let (tid, table) = &snapshot.fds[1];
    let sip = "10.0.0.1".parse().unwrap();
    assert_eq!((*tid, table[2].fd, matches!(table[2].kind, FdKind::Ipv4 { dport: 443, .. })), (100, 3, true));
    let FdKind::Ipv4 { sip: found, l4proto, .. } = table[2].kind else { panic!() };
    assert_eq!((found, l4proto), (sip, L4Proto::Na));
}
