//! Options that are refused, or do nothing, beside the other ones.

use super::args::RawArgs;
use super::error::CliError;
use super::rotation::Rotation;

/// Options that only mean something to a live capture. sysdig's own (`-s`) are ignored with `-r`,
/// as there; ours are refused.
pub(super) fn refuse_live(args: &RawArgs) -> Result<(), CliError> {
    let given = [
        (args.no_enter, "--no-enter"),
        (args.switches, "--switches"),
        (args.check_paths, "--check-paths"),
        (args.page_faults, "--page-faults"),
        (args.no_io_uring, "--no-io-uring"),
        (args.buffer.is_some(), "--buffer"),
        (args.drain_pause.is_some(), "--drain-pause"),
        (args.probe_log, "--probe-log"),
        (args.probe.is_some(), "--probe"),
        (args.strict, "--strict"),
        (args.pid.is_some(), "--pid"),
        (args.whole_tree, "--whole-tree"),
        (args.user.is_some(), "--user"),
        (args.no_kernel_filter, "--no-kernel-filter"),
    ];
    match given.into_iter().find(|(given, _)| *given) {
        Some((_, option)) => {
            Err(CliError::usage(format!("{option} is for live captures; -r replays what is recorded")))
        }
        None => Ok(()),
    }
}

/// Options that are accepted, as sysdig accepts them, but do nothing here.
pub(super) fn idle(args: &RawArgs) -> Vec<String> {
    let writing = [
        (args.gzip, "-z"),
        (args.compress.is_some(), "--compress"),
        (args.file_size.is_some(), "-C"),
        (args.file_seconds.is_some(), "-G"),
        (args.file_events.is_some(), "-e"),
        (args.file_limit.is_some(), "-W"),
        (args.fat_file, "-F"),
    ];
    let mut notes = Vec::new();
    if args.write.is_none() {
        let idle = writing.into_iter().filter(|(given, _)| *given);
        notes.extend(idle.map(|(_, option)| format!("{option} does nothing without -w")));
    } else if args.file_limit.is_some() && !Rotation::is_asked(args) {
        notes.push("-W does nothing without -C, -G or -e".to_owned());
    }
    notes
}
