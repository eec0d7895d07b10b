//! Has the kernel check and load the probe's programs, side by side.
//!
//! Invariant: a program on a tracepoint that is refused ends the start; an iterator that is refused is
//! done without.

use super::error::LiveError;
use super::iterators;
use super::load::{missing, refused};
use aya::Ebpf;
use aya::programs::{BtfTracePoint, Iter};
use std::collections::BTreeMap;

/// A program to load: its name, what it is for, and itself.
enum Job<'a> {
    Tracepoint(&'a str, &'a str, &'a mut BtfTracePoint),
    Iterator(&'a str, &'a str, &'a mut Iter),
}

impl Job<'_> {
    fn name(&self) -> &str {
        match self {
            Job::Tracepoint(name, ..) | Job::Iterator(name, ..) => name,
        }
    }
}

/// Programs that take the verifier longest, in this order.
const DEAREST: [&str; 12] = [
    "exit_exec",
    "capture_uring_complete",
    "capture_exit",
    "exit_socketcall",
    "exit_mmsg",
    "exit_msg",
    "done_msg",
    "submit_msg",
    "exit_iov",
    "done_iov",
    "submit_iov",
    "exit_paths",
];

/// Loads programs, several at a time: most of the start is the kernel's verifier, which lets
/// whoever may load them at all wait for nobody. The iterators are loaded if nothing is in their way;
/// returned is what is.
pub(super) fn load(
    ebpf: &mut Ebpf,
    wanted: impl Iterator<Item = (&'static str, &'static str)>,
    mut in_the_way: Option<String>,
    btf: &aya::Btf,
) -> Result<Option<String>, LiveError> {
    let mut tracepoints: BTreeMap<&str, &str> = wanted.collect();
    let mut jobs = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        if let Some(tracepoint) = tracepoints.remove(name) {
            let program = program.try_into().map_err(|_| missing(name))?;
            jobs.push(Job::Tracepoint(name, tracepoint, program));
        } else if in_the_way.is_none()
            && let Some((_, kind)) = iterators::PROGRAMS.iter().find(|(wanted, _)| *wanted == name)
        {
            jobs.push(Job::Iterator(name, kind, program.try_into().map_err(|_| missing(name))?));
        }
    }
    if let Some((name, _)) = tracepoints.first_key_value() {
        return Err(missing(name));
    }
    // The next job is the last one: dear ones first, so that no worker is left with one alone at the end.
    jobs.sort_by_key(|job| DEAREST.iter().rev().position(|name| *name == job.name()).map_or(0, |at| at + 1));
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(jobs.len());
    let jobs = std::sync::Mutex::new(jobs);
    let refusal = std::sync::Mutex::new(&mut in_the_way);
    let next = || jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
    let work = || -> Result<(), LiveError> {
        while let Some(job) = next() {
            match job {
                Job::Tracepoint(name, tracepoint, program) => {
                    program.load(tracepoint, btf).map_err(|e| refused(name, &e))?;
                }
                Job::Iterator(name, kind, program) => {
                    if let Err(error) = program.load(kind, btf) {
                        let mut refusal = refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        **refusal = Some(refused(name, &error).to_string());
                    }
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        others.into_iter().fold(work(), |result, other| {
            result.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    })?;
    Ok(in_the_way)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::parts::{COLLECTORS, Part};

    #[test]
    fn the_dearest_programs_are_there() {
        let recording = Part::RECORDING.map(|part| part.names().0);
        for name in DEAREST {
            let is_collector = COLLECTORS.iter().any(|(.., program, _)| *program == name);
            assert!(is_collector || recording.contains(&name), "{name}");
        }
    }
}
