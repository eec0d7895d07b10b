//! What changes a stream between its source and everything else: metadata of containers that are added,
//! secrets that are taken out.

use super::plan::Plan;
use crate::enrich::Enricher;
use crate::redact::Redactor;
use capture_common::{Batch, Snapshot};
use std::fmt::Write as _;

/// The stages of one source.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    enricher: Option<Enricher>,
    /// Last, so that it sees what was added.
    redactor: Option<Redactor>,
}

impl Stages {
    pub(crate) fn of(plan: &Plan) -> Stages {
        Stages {
            enricher: plan.dump.clone().map(Enricher::new),
            redactor: plan.redact.as_deref().map(Redactor::new),
        }
    }

    pub(crate) fn section(&mut self, snapshot: &mut Snapshot) {
        if let Some(enricher) = &mut self.enricher {
            enricher.section(snapshot);
        }
        if let Some(redactor) = &mut self.redactor {
            redactor.snapshot(snapshot);
        }
    }

    pub(crate) fn batch(&mut self, batch: &mut Batch) {
        if let Some(enricher) = &mut self.enricher {
            enricher.batch(batch);
        }
        if let Some(redactor) = &mut self.redactor {
            redactor.batch(batch);
        }
    }

    /// What is to be said at the end.
    pub(crate) fn report(&self, name: &str) -> String {
        let mut out = String::new();
        if let Some(stats) = self.enricher.as_ref().map(Enricher::stats) {
            let _ = writeln!(
                out,
                "{name}: {} containers named, {} completed, {} in no dump{}{}",
                stats.added,
                stats.completed,
                stats.unknown,
                if stats.unknown > 0 { ": " } else { "" },
                stats.unknown_ids.join(" ")
            );
        }
        if let Some(redactor) = &self.redactor {
            let _ = writeln!(out, "{name}: secrets redacted in {} events and processes", redactor.changed());
        }
        out
    }
}
