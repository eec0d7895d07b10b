//! What built-in chisels share: fields by name, lines of JSON, tables of totals, colours.

pub(crate) mod colours;
pub(crate) mod errno;
pub(crate) mod export;
pub(crate) mod fields;
pub(crate) mod json;
pub(crate) mod memo;
pub(crate) mod place;
pub(crate) mod screen;
pub(crate) mod totals;

pub(crate) use colours::Colours;
pub(crate) use export::Export;
pub(crate) use fields::Fields;
pub(crate) use json::JsonLine;
pub(crate) use memo::Memo;
pub(crate) use screen::Screen;
pub(crate) use totals::{Column, TopTable, Totals, Units};

use crate::api::Settings;
use crate::error::ChiselError;
use capture_engine::format::{FormatOptions, Formatter};

/// With `-j`, what writes an event as an object of these fields, all of which exist.
pub(crate) fn json_lines(fields: &[&str], settings: &Settings) -> Option<Formatter> {
    let text = fields::text_options(settings);
    let options = FormatOptions { text, json: true, ..FormatOptions::default() };
    let format = format!("*%{}", fields.join(" %"));
    settings.json.then(|| Formatter::new(&format, options).expect("the chisel's fields exist"))
}

/// A value that does not fit its argument.
pub(crate) fn bad_arg(chisel: &str, arg: &str, reason: impl Into<String>) -> ChiselError {
    ChiselError::BadArg { name: chisel.to_owned(), arg: arg.to_owned(), reason: reason.into() }
}

/// How many of something an argument asks for; none where it is below 0.
pub(crate) fn count_arg(chisel: &str, arg: &str, value: &str) -> Result<usize, ChiselError> {
    Ok(number_arg(chisel, arg, value)?.max(0.0) as usize)
}

/// The number that an argument is.
pub(crate) fn number_arg(chisel: &str, arg: &str, value: &str) -> Result<f64, ChiselError> {
    match value.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(bad_arg(chisel, arg, format!("{value:?} is no number"))),
    }
}
