//! `-S`: event types by count.

use super::{Consumer, Event};
use crate::cli::error::CliError;
use capture_engine::render::event_name;
use capture_file::WriteStats;
use std::collections::HashMap;
use std::io::Write;

/// Rows at most.
const ROWS: usize = 100;

/// Counts events by direction and name and prints them at the end, most frequent first.
pub struct SummaryConsumer {
    counts: HashMap<(bool, &'static str), u64>,
    counting: bool,
}

impl SummaryConsumer {
    /// An empty table, which stays empty without `counting`.
    pub fn new(counting: bool) -> Self {
        SummaryConsumer { counts: HashMap::new(), counting }
    }
}

impl Consumer for SummaryConsumer {
    fn takes_matched_only(&self) -> bool {
        true
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), CliError> {
        if event.matched && self.counting {
            let key = (event.view.raw.code.is_enter(), event_name(event.view));
            *self.counts.entry(key).or_default() += 1;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Option<WriteStats>, CliError> {
        let mut rows: Vec<_> = self.counts.iter().collect();
        rows.sort_by_key(|&(key, count)| (std::cmp::Reverse(*count), key.1, key.0));
        let rule = "----------------------";
        let mut text = format!("{rule}\nEvent           #Calls\n{rule}\n");
        for ((enter, name), count) in rows.into_iter().take(ROWS) {
            let direction = if *enter { '>' } else { '<' };
            text.push_str(&format!("{direction} {name:<16.16}{count}\n"));
        }
        std::io::stdout().lock().write_all(text.as_bytes()).map_err(CliError::Stdout)?;
        Ok(None)
    }
}
