//! A session over the running kernel: its beginning, its command, its end, and what the probe is told
//! meanwhile.

use super::Session;
use crate::cli::error::CliError;
use crate::cli::feed::{Feed, Source};
use crate::cli::plan::LivePlan;
use crate::cli::stages::Stages;
use crate::cli::{kernel_filter, report};
use crate::enrich::{Enrichment, Sources};
use crate::live::command::{CommandEnd, Running};
use crate::live::containers::ContainerOptions;
use crate::live::priority;
use crate::live::source::LiveSource;
use std::sync::Arc;

impl Session {
    pub(super) fn run_live(&mut self, live: &LivePlan) -> Result<(), CliError> {
        priority::raise(priority::CONSUMER);
        let wanted_snaplen = self.chisels.as_ref().and_then(|chisels| chisels.wanted_snaplen);
        let mut options = live.source_options(wanted_snaplen, self.push.take());
        let containers = live.containers.as_ref().map(|plan| (Sources::find(&plan.sources), plan.wait));
        let attached = LiveSource::attach(&options.live)?;
        // Before any thread starts: each has the rights of the one that starts it.
        if let Some(user) = &live.user {
            if let Some((sources, _)) = &containers {
                sources.connect_ahead();
            }
            user.become_it()?;
        }
        if let Some((sources, wait)) = containers {
            let directory = Enrichment::start(sources).map_err(|error| CliError::Io {
                what: "starting the threads that ask for containers".into(),
                error,
            })?;
            options.containers = Some(ContainerOptions { directory: Arc::new(directory), wait });
        }
        let source = attached.start(&options)?;
        priority::raise(priority::CONSUMER);
        let feed = Feed::new("live", Source::Live(Box::new(source)), self.engine_options());
        let mut feed = Feed { stages: Stages::of(&self.plan), ..feed };
        let result = self.pass_on(&mut feed);
        if let Some(counters) = &mut self.counters {
            counters.wipe();
        }
        report::say(&feed.stages.report(&feed.name));
        let result = result.and(self.end_input(&feed.engine));
        // The capture ends in order whatever happened: what was lost is told after a failure, too.
        if let Source::Live(live) = feed.source {
            let (stats, command, closed) = live.close();
            self.live = Some(stats);
            result?;
            closed?;
            if let Some(command) = command {
                self.end_command(command)?;
            }
        }
        Ok(())
    }

    /// Takes over how the watched command ended. A limit (`-n`, `-M`) ends the capture alone; the
    /// command is then waited for like any that was started in the foreground.
    fn end_command(&mut self, command: Running) -> Result<(), CliError> {
        let end = command.wait(&self.stop.shared());
        self.command_code = end.shell_code();
        match end {
            CommandEnd::NotStarted(error) => Err(error.into()),
            CommandEnd::Ended(_) => Ok(()),
            CommandEnd::Runs => {
                report::command_runs();
                Ok(())
            }
        }
    }

    /// Tells the probe what threads are, by the state after the last batch, or after the start.
    pub(super) fn classify(&mut self, feed: &mut Feed, all: bool) -> Result<(), CliError> {
        let (Some(kernel), Some(filter)) = (&self.kernel_filter, &mut self.filter) else { return Ok(()) };
        let Feed { source: Source::Live(live), engine, batch, .. } = feed else { return Ok(()) };
        kernel_filter::classify(live, kernel, filter, engine, (!all).then_some(batch))
    }

    /// Everything is ready for the events of the command that is watched, if one is.
    pub(super) fn begin_command(&self, feed: &mut Feed) -> Result<(), CliError> {
        if let Source::Live(live) = &mut feed.source
            && live.begin_command(self.stop.shared())?
        {
            self.stop.leave();
        }
        Ok(())
    }
}
