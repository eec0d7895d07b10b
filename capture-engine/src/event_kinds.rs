//! What is asked of every event's type, in six bytes: the event table's rows are far apart, and its
//! parameters are found by name only.

use capture_common::event_table::{EVENTS, code};
use capture_common::{Category, EventCode, EventFlags, EventInfo};

/// A type of events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventKind {
    bits: u16,
    fd_param: u8,
    result_param: u8,
    data_param: u8,
}

const INTERNAL: u16 = 1;
const METADATA: u16 = 2;
const RECORD: u16 = 4;
const SWITCH: u16 = 8;
const BOOKED: u16 = 16;
const USES_FD: u16 = 32;
const RESULT_FIRST: u16 = 64;
const ITERATED: u16 = 128;
const NO_PARAM: u8 = u8::MAX;

static KINDS: [EventKind; EVENTS.len()] = {
    let mut all = [EventKind::of(&EVENTS[0]); EVENTS.len()];
    let mut at = 1;
    while at < all.len() {
        all[at] = EventKind::of(&EVENTS[at]);
        at += 1;
    }
    all
};

impl EventKind {
    /// The type with this code; `None` for codes younger than the table.
    #[inline]
    pub(crate) fn get(event: EventCode) -> Option<EventKind> {
        KINDS.get(usize::from(event.0)).copied()
    }

    const fn of(info: &EventInfo) -> EventKind {
        let event = info.code;
        let flags = EventFlags(info.flags.0 | info.flags_2022.0);
        let is_switch = event.0 == code::SCHEDSWITCH_1_E.0 || event.0 == code::SCHEDSWITCH_6_E.0;
        // Those about users and groups, and the youngest form of containers' records: the older ones
        // are listed, as stock lists them.
        let is_metadata = event.0 == code::CONTAINER_JSON_2_E.0
            || (event.0 >= code::USER_ADDED_E.0 && event.0 <= code::GROUP_DELETED_X.0);
        let is_record = event.0 == code::CONTAINER_JSON_E.0
            || event.0 == code::CONTAINER_JSON_2_E.0
            || event.0 == code::ASYNCEVENT_E.0
            || event.0 == code::PLUGINEVENT_E.0;
        let is_internal = matches!(info.category, Category::Internal);
        let mut bits = 0;
        bits |= if is_internal || is_metadata { INTERNAL } else { 0 };
        bits |= if is_metadata { METADATA } else { 0 };
        bits |= if is_record { RECORD } else { 0 };
        bits |= if is_switch { SWITCH } else { 0 };
        bits |= if !is_switch && !flags.contains(EventFlags::SKIPPARSERESET) { BOOKED } else { 0 };
        let is_iterated = event.0 >= code::ITER_TASK_E.0 && event.0 <= code::ITER_TASK_FILE_ANON_INODE_X.0;
        bits |= if is_iterated { ITERATED } else { 0 };
        bits |= if flags.contains(EventFlags::USES_FD) { USES_FD } else { 0 };
        bits |= if has_result_first(info) { RESULT_FIRST } else { 0 };
        let fd_param = match info.fd_param {
            Some(at) => at,
            None => NO_PARAM,
        };
        let result_param = match (event.is_exit(), param_index(info, "res"), param_index(info, "fd")) {
            (true, NO_PARAM, fd) => fd,
            (true, res, _) => res,
            (false, ..) => NO_PARAM,
        };
        EventKind { bits, fd_param, result_param, data_param: param_index(info, "data") }
    }

    /// Whether it is shown on demand only.
    #[inline]
    pub(crate) fn is_internal(self) -> bool {
        self.bits & INTERNAL != 0
    }

    /// Whether it only carries metadata of containers, users or groups.
    #[inline]
    pub(crate) fn is_metadata(self) -> bool {
        self.bits & METADATA != 0
    }

    /// Whether it is a record for readers, not something that a thread did.
    #[inline]
    pub(crate) fn is_record(self) -> bool {
        self.bits & RECORD != 0
    }

    /// Whether it tells what a thread or an fd is, and nothing that happened.
    #[inline]
    pub(crate) fn is_iterated(self) -> bool {
        self.bits & ITERATED != 0
    }

    /// Whether it is a context switch.
    #[inline]
    pub(crate) fn is_switch(self) -> bool {
        self.bits & SWITCH != 0
    }

    /// Whether it counts for the pairing of enters and exits.
    #[inline]
    pub(crate) fn is_booked(self) -> bool {
        self.bits & BOOKED != 0
    }

    /// Whether it is about an fd that it names.
    #[inline]
    pub(crate) fn uses_fd(self) -> bool {
        self.bits & USES_FD != 0
    }

    /// Whether its first parameter tells whether the call failed.
    #[inline]
    pub(crate) fn has_result_first(self) -> bool {
        self.bits & RESULT_FIRST != 0
    }

    /// Index of the parameter that names the fd.
    #[inline]
    pub(crate) fn fd_param(self) -> Option<usize> {
        known(self.fd_param)
    }

    /// Index of the parameter with the return value of an exit: `res`, or `fd` where the call makes
    /// one.
    #[inline]
    pub(crate) fn result_param(self) -> Option<usize> {
        known(self.result_param)
    }

    /// Index of the parameter with the data that was moved.
    #[inline]
    pub(crate) fn data_param(self) -> Option<usize> {
        known(self.data_param)
    }
}

#[inline]
fn known(param: u8) -> Option<usize> {
    (param != NO_PARAM).then_some(usize::from(param))
}

/// As [`EventInfo::param_index`], at compile time.
const fn param_index(info: &EventInfo, name: &str) -> u8 {
    let lists = [
        match info.params_2022 {
            Some(params) => params,
            None => &[],
        },
        info.params,
    ];
    let mut list = 0;
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            if equal(lists[list][at].name.as_bytes(), name.as_bytes()) {
                return at as u8;
            }
            at += 1;
        }
        list += 1;
    }
    NO_PARAM
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const fn has_result_first(info: &EventInfo) -> bool {
    let params = match info.params_2022 {
        Some(params) if !params.is_empty() => params,
        _ => info.params,
    };
    !params.is_empty() && matches!(params[0].name.as_bytes(), b"res" | b"fd" | b"res_or_fd")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_table() {
        for info in &EVENTS {
            let kind = EventKind::get(info.code).unwrap();
            let result = info.param_index("res").or_else(|| info.param_index("fd"));
            assert_eq!(kind.result_param(), result.filter(|_| info.code.is_exit()), "{}", info.name);
            assert_eq!(kind.data_param(), info.param_index("data"), "{}", info.name);
            assert_eq!(kind.fd_param(), info.fd_param.map(usize::from), "{}", info.name);
        }
    }
}
