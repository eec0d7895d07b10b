//! Events of any recorder in the form that sysdig 0.29.3 reads to the end.
//!
//! Event types younger than it become what it has for the same call: its own type of the call
//! where there is one, with that type's parameters, else the generic pair. Generic calls whose id
//! it would not survive get id 0 and the native number. Everything else is copied.

use capture_common::encode::EventHead;
use capture_common::event_table::code;
use capture_common::syscall_table::{Syscall, X86_64};
use capture_common::{Batch, EventCode, RawEvent};

/// Last event code that sysdig 0.29.3 knows; it skips others and does not count them.
const LAST_KNOWN: u16 = 335;
/// Last id of a generic call that it survives.
const LAST_GENERIC_ID: u64 = 328;

/// Appends the event with a time of its own. Answers false where it has no form that sysdig 0.29.3
/// counts: records of the capture itself that are younger than it.
pub(crate) fn push(raw: &RawEvent<'_>, ts_ns: u64, to: &mut Batch) -> bool {
    let Some(form) = form_of(raw) else { return false };
    let head = EventHead { ts_ns, tid: raw.tid, cpu: raw.cpu, code: form.code(), flags: raw.flags };
    match form {
        Form::Generic { call, .. } => {
            let mut event = to.encode(head, 2);
            event.u16(call.stored_generic_id()).u16(call.nr);
            event.finish();
        }
        Form::Numbered { native, .. } => {
            let mut event = to.encode(head, 2);
            event.u16(0).u16(native);
            event.finish();
        }
        Form::Older { code } => {
            let params = code.info().and_then(|info| info.params_2022).unwrap_or(&[]);
            let mut event = to.encode(head, params.len());
            for (index, param) in params.iter().enumerate() {
                let missing = [0; 16];
                let absent = &missing[..param.ty.fixed_size().unwrap_or(0)];
                event.bytes(raw.param(index).unwrap_or(absent));
            }
            event.finish();
        }
        Form::Same { .. } => {
            let mut event = to.encode(head, raw.nparams());
            raw.params().for_each(|param| {
                event.bytes(param);
            });
            event.finish();
        }
    }
    true
}

enum Form {
    /// As it is, but for its code.
    Same { code: EventCode },
    /// A generic call whose id is too high.
    Numbered { code: EventCode, native: u16 },
    /// The type of 2022 of the same call.
    Older { code: EventCode },
    /// A call that had no type then.
    Generic { code: EventCode, call: &'static Syscall },
}

impl Form {
    fn code(&self) -> EventCode {
        match self {
            Form::Same { code }
            | Form::Numbered { code, .. }
            | Form::Older { code }
            | Form::Generic { code, .. } => *code,
        }
    }
}

fn form_of(raw: &RawEvent<'_>) -> Option<Form> {
    let event = raw.code;
    if event == code::GENERIC_E || event == code::GENERIC_X {
        return Some(match (raw.uint(0), raw.uint(1)) {
            (Some(id), Some(native)) if id > LAST_GENERIC_ID => {
                Form::Numbered { code: event, native: native as u16 }
            }
            // Without a native number nothing is left of the call but that there was one.
            (Some(id), None) if id > LAST_GENERIC_ID => Form::Numbered { code: event, native: u16::MAX },
            _ => Form::Same { code: event },
        });
    }
    // It does not survive the exit of an execveat with a relative path.
    if event == code::SYSCALL_EXECVEAT_X && raw.int(0).is_some_and(|res| res >= 0) {
        return Some(Form::Same { code: code::SYSCALL_EXECVE_19_X });
    }
    if event.0 <= LAST_KNOWN {
        return Some(Form::Same { code: event });
    }
    let name = event.info()?.name;
    let call = X86_64.iter().find(|call| call.name == name)?;
    let older = if event.is_enter() { call.enter } else { call.exit };
    // The exit of the old bpf has a parameter of another shape.
    if call.is_generic() || older.0 > LAST_KNOWN || older == code::SYSCALL_BPF_X {
        let code = if event.is_enter() { code::GENERIC_E } else { code::GENERIC_X };
        return Some(Form::Generic { code, call });
    }
    Some(Form::Older { code: older })
}
