//! Parameters of an event as text, the right-hand end of every listing.
//!
//! Everything appends to a byte buffer that the caller reuses; nothing here allocates for an
//! event of the usual kind. Forms follow sysdig 0.29.3; where that prints leftovers of another
//! parameter, absent text is `<NA>` and an absent buffer `NULL`, as in current versions.

pub mod address;
pub mod buffer;
pub mod clock;
pub mod fd;
pub mod flags;
pub mod number;
pub mod path;
pub mod text;
mod value;

pub use buffer::BufferFormat;
pub use clock::Zone;

use crate::view::EventView;
use capture_common::event_table::code;
use capture_common::snapshot::Dialect;
use capture_common::syscall_table::{ppm_sc_name, x86_64};
use capture_common::{EventInfo, ParamInfo};
use std::ops::Range;

/// How values are shown.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// Form of data buffers.
    pub buffer: BufferFormat,
    /// Whether dotted buffers are cut to 80 characters.
    pub cut_buffers: bool,
    /// Time zone of all times.
    pub zone: Zone,
    /// Columns of the screen, for fields that are positions on it (`evt.latency.quantized`); 0 where no
    /// screen is drawn. Chisels draw them; listings do not, on a terminal neither, as with sysdig 0.29.3.
    pub columns: u16,
}

impl Default for TextOptions {
    fn default() -> Self {
        TextOptions { buffer: BufferFormat::Dotted, cut_buffers: true, zone: Zone::default(), columns: 0 }
    }
}

/// Whether the event is a call without a type of its own: its name stands in a parameter and
/// listings show no arguments.
#[inline]
pub fn is_generic(view: &EventView<'_>) -> bool {
    view.raw.code == code::GENERIC_E || view.raw.code == code::GENERIC_X
}

/// Name of the event: that of the system call for generic events.
#[inline]
pub fn event_name(view: &EventView<'_>) -> &'static str {
    if is_generic(view) { generic_name(view) } else { view.name() }
}

/// Files name a generic call by its portable id, or, where sysdig 0.29.3 would not survive that
/// id, by 0 and the native number.
fn generic_name(view: &EventView<'_>) -> &'static str {
    const UNKNOWN: &str = "<unknown>";
    match view.raw.uint(0) {
        Some(id) if id != 0 => u16::try_from(id).ok().and_then(ppm_sc_name).unwrap_or(UNKNOWN),
        _ => {
            let native = view.raw.uint(1).and_then(|nr| u16::try_from(nr).ok());
            native.and_then(x86_64).map_or(UNKNOWN, |call| call.name)
        }
    }
}

/// Which of the event's parameters listings show.
///
/// Files of other programs show every parameter that the table knows. In the superset form the
/// exits repeat their enter's arguments after the parameters of 2022: those are left out. Of a
/// generic call only its result is shown, where the file has it.
#[inline]
pub fn shown_params(view: &EventView<'_>, info: &'static EventInfo) -> Range<usize> {
    if is_generic(view) {
        const RESULT: usize = 2;
        return RESULT..view.raw.nparams().max(RESULT);
    }
    let known = info.params.len().max(info.len_2022());
    let known = match view.machine.dialect {
        Dialect::Superset if info.params_2022.is_some() => info.len_2022(),
        _ => known,
    };
    0..view.raw.nparams().min(known)
}

/// Appends all arguments, each as `name=value` and a blank.
pub fn push_args(out: &mut Vec<u8>, view: &EventView<'_>, options: &TextOptions) {
    let Some(info) = view.info else { return };
    let shown = shown_params(view, info);
    for (index, bytes) in view.raw.params().enumerate().take(shown.end) {
        if index < shown.start {
            continue;
        }
        let Some(param) = info.param(index) else { return };
        let (label, len) = param.label.padded();
        let end = out.len() + len;
        out.extend_from_slice(label);
        out.truncate(end);
        value::push_value(out, view, info, index, param, bytes, options);
        out.push(b' ');
    }
}

/// Appends one argument in its most telling form: the resolved part where there is one, else the
/// raw one. Answers whether the event has that parameter.
pub fn push_arg(out: &mut Vec<u8>, view: &EventView<'_>, index: usize, options: &TextOptions) -> bool {
    let Some((info, param, bytes)) = arg(view, index) else { return false };
    let start = out.len();
    if let Some(paren) = value::push_value(out, view, info, index, param, bytes, options) {
        out.drain(start..=paren);
        out.pop();
    }
    true
}

/// Appends one argument as `raw(resolved)`. Answers whether the event has that parameter.
pub fn push_full_arg(out: &mut Vec<u8>, view: &EventView<'_>, index: usize, options: &TextOptions) -> bool {
    let Some((info, param, bytes)) = arg(view, index) else { return false };
    value::push_value(out, view, info, index, param, bytes, options);
    true
}

/// The row and the bytes of a parameter that the event has.
#[inline]
pub fn arg<'a>(
    view: &EventView<'a>,
    index: usize,
) -> Option<(&'static EventInfo, &'static ParamInfo, &'a [u8])> {
    let info = view.info?;
    Some((info, info.param(index)?, view.raw.param(index)?))
}
