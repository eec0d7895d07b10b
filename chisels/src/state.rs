//! What is asked of the machine's state as a whole: threads with their fds, and containers.

use capture_common::Batch;
use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::snapshot::L4Proto;
use capture_engine::render::text::push_visible;
use capture_engine::state::cgroups::{ContainerKind, locate};
use capture_engine::{Applied, EventFilter, EventView, FdInfo, Machine, Thread};
use std::collections::HashSet;

/// A thread, and those of its fds that were asked for.
#[derive(Debug)]
pub(crate) struct ThreadFds<'m> {
    pub(crate) thread: &'m Thread,
    pub(crate) fds: Vec<(i64, &'m FdInfo)>,
}

/// All threads in no particular order, with their fds if those are wanted. A filter keeps threads that
/// have a matching fd, and of their fds those that match; it is asked about the end of a read from each
/// fd.
pub(crate) fn threads<'m>(
    machine: &'m Machine,
    with_fds: bool,
    mut filter: Option<EventFilter>,
) -> Vec<ThreadFds<'m>> {
    let mut found = Vec::new();
    let mut batch = Batch::new();
    for thread in machine.threads.iter() {
        batch.clear();
        let head = EventHead { ts_ns: 0, tid: thread.tid, cpu: 0, code: code::SYSCALL_READ_X, flags: 0 };
        batch.encode(head, 0).finish();
        let Some(raw) = batch.get(0) else { continue };
        let mut fds = Vec::new();
        if with_fds || filter.is_some() {
            let matching = machine.fd_table_of(thread).iter().filter(|(number, _)| match &mut filter {
                Some(filter) => {
                    let applied = Applied::about_fd(machine, raw.tid, *number);
                    filter.matches(&EventView::new(machine, raw, &applied))
                }
                None => true,
            });
            fds.extend(matching);
        }
        if filter.is_none() || !fds.is_empty() {
            found.push(ThreadFds { thread, fds });
        }
    }
    found
}

/// Name of the thread's user, without what a terminal would obey; `<NA>` where it is not known.
pub(crate) fn user_name(machine: &Machine, thread: &Thread) -> Vec<u8> {
    visible(machine.users.user(thread.uid).map_or(&b"<NA>"[..], |user| &user.name))
}

/// Most fds that the thread's process may open.
pub(crate) fn fd_limit(machine: &Machine, thread: &Thread) -> i64 {
    machine.main_thread(thread).fdlimit
}

/// Name of a protocol.
pub(crate) fn protocol(protocol: L4Proto) -> &'static str {
    match protocol {
        L4Proto::Tcp => "tcp",
        L4Proto::Udp => "udp",
        L4Proto::Icmp => "icmp",
        L4Proto::Raw => "raw",
        L4Proto::Unknown | L4Proto::Na => "<NA>",
    }
}

/// Text without what a terminal would obey.
pub(crate) fn visible(text: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(text.len());
    push_visible(&mut clean, text);
    clean
}

/// A container.
#[derive(Debug)]
pub(crate) struct ContainerRow<'m> {
    pub(crate) id: &'m [u8],
    pub(crate) name: &'m [u8],
    pub(crate) image: &'m [u8],
    pub(crate) kind: &'static str,
}

/// All containers, in no particular order: those of which metadata came, and those that are known
/// by the control groups of a thread only.
pub(crate) fn containers(machine: &Machine) -> Vec<ContainerRow<'_>> {
    let known = machine.containers.iter().map(|container| ContainerRow {
        id: &container.id,
        name: &container.name,
        image: &container.image,
        kind: container.kind.map_or("unknown", ContainerKind::name),
    });
    let mut rows: Vec<ContainerRow<'_>> = known.collect();
    let mut seen = HashSet::new();
    for thread in machine.threads.iter() {
        let id = &thread.container_id;
        if id.is_empty() || machine.containers.get(id).is_some() || !seen.insert(id.clone()) {
            continue;
        }
        let kind = locate(&thread.cgroups_raw).map_or("unknown", |found| found.kind.name());
        rows.push(ContainerRow { id, name: b"", image: b"", kind });
    }
    rows
}
