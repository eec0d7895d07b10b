//! What must hold after every real capture, whatever it holds.

use capture_common::{Batch, Next};
use capture_engine::{Engine, Options};
use capture_file::Reader;
use std::collections::HashMap;
use std::path::Path;

#[test]
fn the_links_between_threads_hold_through_real_captures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captures");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).expect("the captures of the test crate") {
        let path = entry.expect("a readable folder").path();
        if path.to_string_lossy().contains(".scap") {
            replay(&path);
            files += 1;
        }
    }
    assert!(files > 0, "no capture in {}", folder.display());
}

fn replay(path: &Path) {
    let mut reader = Reader::open(path).expect("a capture file");
    let mut engine = Engine::new(Options::default());
    let mut batch = Batch::new();
    let mut events = 0;
    loop {
        match reader.next_piece(&mut batch).unwrap_or_else(|e| panic!("{}: {e}", path.display())) {
            Next::Section(snapshot) => engine.begin_section(&snapshot),
            Next::Events => {
                for raw in batch.iter() {
                    events += 1;
                    assert_eq!(engine.apply(&raw).num, events);
                    if events % 4096 == 0 {
                        check(&engine, path);
                    }
                }
            }
            Next::Idle => {}
            Next::End => break,
        }
    }
    check(&engine, path);
    assert_eq!(engine.counters().bad_params, 0, "{}", path.display());
}

fn check(engine: &Engine, path: &Path) {
    let machine = engine.machine();
    let mut others: HashMap<i64, u32> = HashMap::new();
    for thread in machine.threads.iter() {
        assert_eq!(machine.thread(thread.tid).map(|t| t.tid), Some(thread.tid));
        if thread.is_main() {
            assert!(machine.ancestors(thread).count() <= machine.threads.len());
        } else {
            *others.entry(thread.pid).or_default() += 1;
            assert!(thread.fds.is_empty() || machine.thread(thread.pid).is_none());
        }
        assert_eq!(thread.fds.iter().count(), thread.fds.len());
    }
    for thread in machine.threads.iter().filter(|t| t.is_main()) {
        let counted = others.get(&thread.tid).copied().unwrap_or(0);
        assert_eq!(thread.nchilds, counted, "{}: threads of {}", path.display(), thread.tid);
    }
}
