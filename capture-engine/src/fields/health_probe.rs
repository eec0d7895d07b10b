//! Health checks of containers: what the record of a container says of them, and which processes are
//! theirs.

use super::proc::flag;
use super::{Ctx, container};
use crate::state::containers::ProbeKind;
use crate::state::thread::Thread;
use crate::view::EventView;
use filter_lang::Value;

/// Appends the command of a probe; `NONE` where the container is known to have none.
pub(super) fn push_command(c: &Ctx<'_>, out: &mut Vec<u8>, kind: ProbeKind) -> bool {
    let Some(container) = c.view.container() else { return false };
    match container.probe(kind) {
        Some(probe) => {
            out.extend_from_slice(&probe.exe);
            if !probe.args_raw.is_empty() {
                out.push(b' ');
                crate::render::text::push_joined(out, &probe.args_raw, b' ');
            }
        }
        None => out.extend_from_slice(b"NONE"),
    }
    true
}

/// Whether the event's process is a probe's, or a descendant of one that is.
pub(super) fn runs_as<'a>(c: &Ctx<'a>, kind: ProbeKind) -> Option<Value<'a>> {
    let thread = c.view.thread()?;
    flag(container::on_host(c) == Some(false) && is_probe(c.view, thread, kind))
}

/// An engine starts a probe from outside: it is no descendant of the container's init.
fn is_probe(view: &EventView<'_>, thread: &Thread, kind: ProbeKind) -> bool {
    let Some(probe) = view.machine.container(thread).and_then(|c| c.probe(kind)) else { return false };
    let main = view.machine.main_thread(thread);
    let mut found = false;
    for process in std::iter::once(main).chain(view.machine.ancestors(thread)) {
        if process.container_id.is_empty() {
            break;
        }
        if process.vpid == 1 {
            return false;
        }
        found |= process.exe == probe.exe && process.args_raw == probe.args_raw;
    }
    found
}
