//! [`Src`]: where the value of one event parameter comes from, and [`Row`]: the parameters of one
//! system call.
//!
//! The width of a number is never said here: it is that of the parameter's type in the event
//! table, so a stored number always has exactly the size that readers expect.

use super::call::Call;
use capture_common::encode::EventEncoder;
use capture_common::event_table::{ParamInfo, ParamType};
use capture_common::native::NativeMap;

/// Where a parameter's value comes from.
#[derive(Clone, Copy)]
pub(super) enum Src {
    /// The call's result.
    Ret,
    /// Argument n, the whole register.
    Arg(u8),
    /// Argument n as a C `int`, sign-extended: fds, pids, signed numbers.
    Int(u8),
    /// Argument n as a C `unsigned int`.
    Uint(u8),
    /// Argument n (32 bits) in its stored form.
    Map(u8, &'static NativeMap),
    /// Always this number.
    Const(u64),
    /// A number by function.
    Num(fn(&Call<'_>) -> u64),
    /// User string at argument n, with its NUL.
    Str(u8),
    /// Payload at argument n.
    Data(u8),
    /// Text by function; the NUL is added here.
    Text(for<'a> fn(&Call<'a>) -> &'a [u8]),
    /// Bytes by function, which appends them.
    Bytes(fn(&Call<'_>, &mut Vec<u8>)),
}

/// What is stored for one system call (or for several with the same parameters).
pub(super) struct Row {
    /// Names in the kernel's tables.
    pub(super) names: &'static [&'static str],
    /// Event codes, where the call has none in the native table (32-bit calls only).
    pub(super) codes: Option<(u16, u16)>,
    /// Parameters of the enter event.
    pub(super) enter: &'static [Src],
    /// Parameters of the exit event.
    pub(super) exit: &'static [Src],
}

/// A row of calls that the native table knows: names, enter parameters, exit parameters.
// A macro, because references in a function's arguments may not reach the maps' statics.
macro_rules! row {
    ($names:expr, $enter:expr, $exit:expr $(,)?) => {
        Row { names: $names, codes: None, enter: $enter, exit: $exit }
    };
}
pub(super) use row;

/// A row of a 32-bit call with event codes of its own, after the names.
macro_rules! coded {
    ($names:expr, $codes:expr, $enter:expr, $exit:expr $(,)?) => {
        Row { names: $names, codes: Some($codes), enter: $enter, exit: $exit }
    };
}
pub(super) use coded;

impl Src {
    /// Appends the parameter `param` of `call`.
    #[inline]
    pub(super) fn write(self, call: &Call<'_>, param: &ParamInfo, out: &mut EventEncoder<'_>) {
        match self {
            Src::Ret => number(call.ret as u64, param.ty, out),
            Src::Arg(n) => number(call.arg(n), param.ty, out),
            Src::Int(n) => number(call.int(n) as u64, param.ty, out),
            Src::Uint(n) => number(call.arg(n) & 0xffff_ffff, param.ty, out),
            Src::Map(n, map) => number(map.stored64(call.arg(n) & 0xffff_ffff), param.ty, out),
            Src::Const(value) => number(value, param.ty, out),
            Src::Num(f) => number(f(call), param.ty, out),
            Src::Str(n) => {
                out.text(call.text(n));
            }
            Src::Data(n) => {
                out.bytes(call.payload(n));
            }
            Src::Text(f) => {
                out.text(f(call));
            }
            Src::Bytes(f) => {
                out.with(|bytes| f(call, bytes));
            }
        }
    }
}

/// Appends `value` in the width of `ty`.
#[inline]
pub(super) fn number(value: u64, ty: ParamType, out: &mut EventEncoder<'_>) {
    match ty.fixed_size() {
        Some(8) => out.u64(value),
        Some(4) => out.u32(value as u32),
        Some(2) => out.u16(value as u16),
        Some(1) => out.u8(value as u8),
        // A number in a parameter that is none: a fault of the table, which a test walks.
        _ => out.empty(),
    };
}
