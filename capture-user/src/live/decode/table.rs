//! [`Table`]: from a call's number to its event codes and parameter rows, resolved once.

use super::call::Call;
use super::ia32;
use super::rows;
use super::source::{Row, Src};
use capture_common::event_table::{EventCode, ParamInfo, code};
use capture_common::plan::SOCKETCALL_ROWS;
use capture_common::syscall_table::{PPM_SC_NAMES, Syscall};
use capture_engine::kernel_filter::{CallEvents, result_param};

#[cfg(target_arch = "aarch64")]
use capture_common::syscall_table::AARCH64 as NATIVE;
#[cfg(not(target_arch = "aarch64"))]
use capture_common::syscall_table::X86_64 as NATIVE;

/// Largest portable id that sysdig 0.29.3 survives.
const GENERIC_ID_MAX: usize = 328;
/// Stored as the number of calls that have none in the native table.
const NO_NUMBER: u16 = u16::MAX;

/// ia32's socketcall: which call it is, its first argument tells.
const IA32_SOCKETCALL: u16 = 102;

/// One side of a call, resolved.
#[derive(Clone, Copy)]
pub(super) struct Side {
    /// Event code.
    pub(super) code: EventCode,
    /// Types of the parameters that are stored.
    pub(super) params: &'static [ParamInfo],
    /// Their sources, one each.
    pub(super) sources: &'static [Src],
}

/// What a call becomes.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// The enter event.
    pub(super) enter: Side,
    /// The exit event.
    pub(super) exit: Side,
    /// Whether it has no event of its own.
    pub(super) is_generic: bool,
    /// `ID` of the generic event.
    pub(super) generic_id: u16,
    /// `nativeID` of the generic event.
    pub(super) native_nr: u16,
    /// execve or execveat.
    pub(super) is_exec: bool,
    /// clone3.
    pub(super) is_clone3: bool,
    /// The exit describes the thread (clone and exec forms).
    pub(super) has_task: bool,
    /// mkdir or mkdirat.
    pub(super) makes_folder: bool,
}

/// All calls, by number.
pub(super) struct Table {
    native: Vec<Entry>,
    ia32: Vec<Entry>,
    socketcalls: Vec<Entry>,
    execve_exit: Side,
}

impl Side {
    fn enter(code: EventCode, sources: &'static [Src]) -> Self {
        let info = code.info();
        let params = info.map_or(&[][..], |i| i.params_2022.unwrap_or(i.params));
        Self { code, params, sources }
    }

    fn exit(code: EventCode, sources: &'static [Src]) -> Self {
        Self { code, params: code.info().map_or(&[][..], |i| i.params), sources }
    }
}

impl Entry {
    fn generic(id: u16, nr: u16) -> Self {
        Self {
            enter: Side::enter(code::GENERIC_E, &[]),
            exit: Side::exit(code::GENERIC_X, &[]),
            is_generic: true,
            generic_id: id,
            native_nr: nr,
            is_exec: false,
            is_clone3: false,
            has_task: false,
            makes_folder: false,
        }
    }

    fn of_row(row: &'static Row, enter: EventCode, exit: EventCode) -> Self {
        let has_task = row.exit.len() >= super::task::CLONE.len();
        Self {
            enter: Side::enter(enter, row.enter),
            exit: Side::exit(exit, row.exit),
            is_generic: false,
            is_exec: matches!(exit, code::SYSCALL_EXECVE_19_X | code::SYSCALL_EXECVEAT_X),
            is_clone3: matches!(exit, code::SYSCALL_CLONE3_X),
            has_task,
            makes_folder: matches!(exit, code::SYSCALL_MKDIR_2_X | code::SYSCALL_MKDIRAT_X),
            ..Self::generic(0, 0)
        }
    }

    fn events(&self) -> CallEvents {
        let result = result_param(self.exit.code).and_then(|at| self.exit.sources.get(at));
        CallEvents {
            enter: self.enter.code,
            exit: self.exit.code,
            generic: self.is_generic.then_some((self.generic_id, self.native_nr)),
            tells_result: self.is_generic || matches!(result, Some(Src::Ret)),
        }
    }

    fn native(call: &'static Syscall) -> Self {
        match rows::find(call.name) {
            Some(row) if !call.is_generic() => Self::of_row(row, call.enter, call.exit),
            _ => Self::generic(call.stored_generic_id(), call.nr),
        }
    }

    /// A 32-bit call: by its own codes, by the native call of the same row, else generic.
    fn compat(name: &'static str) -> Self {
        let namesake = NATIVE.iter().find(|s| s.name == name);
        let row = rows::find(name).filter(|_| !ia32::OTHER_ARGUMENTS.contains(&name));
        if let Some(row) = row {
            let native = || NATIVE.iter().find(|s| row.names.contains(&s.name) && !s.is_generic());
            let codes = row.codes.map(|(enter, exit)| (EventCode(enter), EventCode(exit)));
            if let Some((enter, exit)) = codes.or_else(|| native().map(|s| (s.enter, s.exit))) {
                return Self::of_row(row, enter, exit);
            }
        }
        match namesake {
            Some(native) => Self::generic(native.stored_generic_id(), native.nr),
            None => {
                let id = PPM_SC_NAMES.iter().position(|n| *n == name).filter(|id| *id <= GENERIC_ID_MAX);
                Self::generic(id.unwrap_or(0) as u16, NO_NUMBER)
            }
        }
    }
}

impl Table {
    /// Resolves every call.
    pub(super) fn new() -> Self {
        let count = NATIVE.last().map_or(0, |s| usize::from(s.nr) + 1);
        let mut native: Vec<Entry> = (0..count).map(|nr| Entry::generic(0, nr as u16)).collect();
        for call in NATIVE {
            native[usize::from(call.nr)] = Entry::native(call);
        }
        let compat = |name: &&'static str| {
            if name.is_empty() { Entry::generic(0, NO_NUMBER) } else { Entry::compat(name) }
        };
        Self {
            native,
            ia32: ia32::NAMES.iter().map(compat).collect(),
            socketcalls: capture_common::ia32::SOCKETCALLS.iter().map(compat).collect(),
            execve_exit: Side::exit(code::SYSCALL_EXECVE_19_X, super::task::EXECVE),
        }
    }

    /// See [`super::calls`].
    pub(super) fn calls(&self, rows: usize) -> Vec<(usize, CallEvents)> {
        // The last row of each half is for numbers beyond the table.
        let native = (0..rows - 1).map(|nr| (nr, self.native.get(nr).copied()));
        let native = native.map(|(nr, entry)| (nr, entry.unwrap_or_else(|| Entry::generic(0, nr as u16))));
        let ia32 = self.ia32.iter().copied().enumerate().take(rows - 1);
        let ia32 = ia32.filter(|(nr, _)| *nr != usize::from(IA32_SOCKETCALL));
        native.chain(ia32.map(|(nr, entry)| (rows + nr, entry))).map(|(row, e)| (row, e.events())).collect()
    }

    /// The exit of a successful exec.
    pub(super) fn execve_exit(&self) -> Side {
        self.execve_exit
    }

    /// What `call` becomes. The probe has put the call behind a socketcall in its place.
    pub(super) fn find(&self, call: &Call<'_>) -> Entry {
        let nr = call.header.nr;
        if !call.is_compat() {
            let known = self.native.get(usize::from(nr)).copied();
            return known.unwrap_or_else(|| Entry::generic(0, nr));
        }
        let behind_socketcall = nr.checked_sub(SOCKETCALL_ROWS).filter(|n| *n > 0);
        let known = behind_socketcall
            .and_then(|which| self.socketcalls.get(usize::from(which)))
            .or_else(|| self.ia32.get(usize::from(nr)));
        known.copied().unwrap_or_else(|| Entry::generic(0, NO_NUMBER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_row_has_one_source_for_each_parameter() {
        let mut names = HashSet::new();
        for row in rows::FAMILIES.iter().flat_map(|rows| rows.iter()) {
            for name in row.names {
                assert!(names.insert(*name), "{name} has two rows");
            }
        }
        let table = Table::new();
        for (at, entry) in table.native.iter().chain(&table.ia32).chain(&table.socketcalls).enumerate() {
            if entry.is_generic {
                assert_eq!(entry.enter.params.len(), 2);
                assert_eq!(entry.exit.params.len(), 3);
                assert!(usize::from(entry.generic_id) <= GENERIC_ID_MAX);
                continue;
            }
            for side in [entry.enter, entry.exit] {
                assert_eq!(side.sources.len(), side.params.len(), "{at} {:?}", side.code);
            }
        }
    }

    #[test]
    fn every_native_call_with_codes_of_its_own_has_a_row() {
        for call in NATIVE.iter().filter(|s| !s.is_generic()) {
            assert!(rows::find(call.name).is_some(), "{}", call.name);
        }
    }

    #[test]
    fn numbers_come_from_number_sources_and_bytes_from_byte_sources() {
        let table = Table::new();
        for entry in table.native.iter().chain(&table.ia32).filter(|e| !e.is_generic) {
            for side in [entry.enter, entry.exit] {
                for (source, param) in side.sources.iter().zip(side.params) {
                    let is_bytes =
                        matches!(source, Src::Str(_) | Src::Data(_) | Src::Text(_) | Src::Bytes(_));
                    assert_eq!(is_bytes, param.ty.fixed_size().is_none(), "{:?} {}", side.code, param.name);
                }
            }
        }
    }

    #[test]
    fn thirty_two_bit_calls_go_by_name() {
        let table = Table::new();
        let code = |nr: usize| table.ia32[nr].exit.code;
        assert_eq!(code(5), code::SYSCALL_OPEN_X);
        assert_eq!(code(192), code::SYSCALL_MMAP2_X);
        assert_eq!(code(203), code::SYSCALL_SETREUID_X); // setreuid32
        assert_eq!(table.socketcalls[9].exit.code, code::SOCKET_SEND_X);
        assert_eq!(code(90), code::SYSCALL_MMAP_X); // the old mmap, by the arguments in its struct
        assert_eq!(table.ia32[7].generic_id, 293); // waitpid: no native namesake
    }
}
