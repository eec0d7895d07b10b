//! Answers of container engines and clusters: whatever the JSON, records come out that are JSON of bounded
//! size, that the engine takes, and that can be redacted; or an error.

#![no_main]

use capture_common::{Batch, Snapshot};
use capture_engine::{Engine, Options};
use capture_fuzz::seeds;
use capture_user::enrich::Dump;
use capture_user::redact::Redactor;
use libfuzzer_sys::fuzz_target;

/// Largest record.
const RECORD_MAX: usize = 512 << 10;

fuzz_target!(init: seeds::write_if_asked(seeds::engines), |data: &[u8]| {
    let Some((&first, json)) = data.split_first() else { return };
    let mut dump = Dump::default();
    let count = if first & 1 == 0 { dump.read_engine(json) } else { dump.read_cluster(json) };
    if let Err(error) = &count {
        assert!(error.to_string().len() < 1_000);
    }
    let mut batch = Batch::new();
    for record in dump.records() {
        assert!(record.len() <= RECORD_MAX);
        assert!(serde_json::from_slice::<serde_json::Value>(&record).is_ok());
        batch.push_container_record(&record, 1, 0);
    }
    assert!(count.is_ok() || batch.is_empty());
    let mut engine = Engine::new(Options::DEFAULT);
    engine.begin_section(&Snapshot::default());
    let mut redacted = batch.clone();
    Redactor::new("*").batch(&mut redacted);
    assert_eq!(redacted.len(), batch.len());
    for raw in batch.iter().chain(redacted.iter()) {
        engine.follow(&raw);
    }
    assert_eq!(engine.counters().containers_malformed, 0);
});
