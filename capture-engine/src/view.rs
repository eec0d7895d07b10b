//! [`EventView`]: an event together with the state around it; what fields, filters, formats and
//! chisels are given.

use crate::engine::Applied;
use crate::services::{PortNames, PortsOf};
use crate::state::containers::Container;
use crate::state::fd::FdInfo;
use crate::state::machine::Machine;
use crate::state::thread::Thread;
use capture_common::snapshot::L4Proto;
use capture_common::{EventInfo, RawEvent};

/// An applied event. Everything is looked up on demand.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// The event's bytes.
    pub raw: RawEvent<'a>,
    /// Its row of the event table; `None` for codes younger than the table.
    pub info: Option<&'static EventInfo>,
    /// The machine after the event, removals (closed fds, ended threads) not done yet.
    pub machine: &'a Machine,
    /// What applying it found out.
    pub applied: &'a Applied,
}

impl<'a> EventView<'a> {
    /// The event and the state around it. `applied` must be of that event, and `machine` as it was
    /// after it.
    #[inline]
    pub fn new(machine: &'a Machine, raw: RawEvent<'a>, applied: &'a Applied) -> EventView<'a> {
        EventView { raw, info: raw.info(), machine, applied }
    }

    /// The thread of the event. For container records one that stands for the container.
    #[inline]
    pub fn thread(&self) -> Option<&'a Thread> {
        match self.applied.thread {
            Some(slot) => self.machine.threads.at(slot),
            None if self.applied.speaks_for_container => self.machine.record_thread.as_deref(),
            None => None,
        }
    }

    /// The main thread of the event's process (the thread itself where that is not known).
    #[inline]
    pub fn main_thread(&self) -> Option<&'a Thread> {
        self.thread().map(|t| self.machine.main_thread(t))
    }

    /// The fd that the event is about: by its number, in its process's table.
    #[inline]
    pub fn fd(&self) -> Option<&'a FdInfo> {
        self.machine.threads.at(self.applied.fd_owner?)?.fds.get(self.applied.fd_key)
    }

    /// Number of the fd that the event is about; `None` where it is about none.
    #[inline]
    pub fn fd_num(&self) -> Option<i64> {
        (self.applied.fd_num >= 0).then_some(self.applied.fd_num)
    }

    /// An fd of the event's process, for fds among the parameters.
    #[inline]
    pub fn fd_numbered(&self, fd: i64) -> Option<&'a FdInfo> {
        self.machine.fd(self.thread()?, fd)
    }

    /// How ports print in the event's addresses: by the protocol of its fd.
    #[inline]
    pub fn ports(&self) -> PortsOf {
        match self.machine.ports {
            PortNames::Numbers => PortsOf::default(),
            services => services.of(self.fd().map_or(L4Proto::Unknown, |fd| fd.sock.l4proto)),
        }
    }

    /// The container of the event's thread, if its metadata are known. The id alone:
    /// [`Thread::container_id`].
    pub fn container(&self) -> Option<&'a Container> {
        self.machine.container(self.thread()?)
    }

    /// Bytes of the parameter with this name (in either schema, the 2022 name wins).
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        self.raw.param(self.info?.param_index(name)?)
    }

    /// Name of the event type, `<unknown>` for codes younger than the table.
    #[inline]
    pub fn name(&self) -> &'static str {
        self.info.map_or("<unknown>", |i| i.name)
    }
}
