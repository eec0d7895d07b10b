//! `fs.path.*` fields: the paths of calls that work on the file system by name.

use super::{Ctx, Field, text};
use crate::render::path::push_absolute;
use crate::render::text::until_nul;
use capture_common::{EventInfo, ParamType};

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    text("fs.path.name", "absolute path that the call works on", "fs.path.name=/etc/shadow", |c, out| absolute(c, out, Which::Only)),
    text("fs.path.nameraw", "that path as the call had it", "fs.path.nameraw contains ..", |c, out| raw(c, out, Which::Only)),
    text("fs.path.source", "absolute path that a call with two of them takes from", "fs.path.source=/etc/shadow", |c, out| absolute(c, out, Which::Source)),
    text("fs.path.sourceraw", "that path as the call had it", "fs.path.sourceraw contains ..", |c, out| raw(c, out, Which::Source)),
    text("fs.path.target", "absolute path that a call with two of them makes", "fs.path.target startswith /tmp", |c, out| absolute(c, out, Which::Target)),
    text("fs.path.targetraw", "that path as the call had it", "fs.path.targetraw contains ..", |c, out| raw(c, out, Which::Target)),
];

#[derive(Clone, Copy)]
enum Which {
    Only,
    Source,
    Target,
}

/// Names of the parameters that hold the path of a call with one, and both of a call with two.
const ONLY: &[&str] = &["name", "path", "filename", "pathname"];
const SOURCE: &[&str] = &["oldpath", "target"];
const TARGET: &[&str] = &["newpath", "linkpath"];

fn param(c: &Ctx<'_>, which: Which) -> Option<(&'static EventInfo, usize)> {
    if c.view.raw.code.is_enter() {
        return None;
    }
    let info = c.view.info?;
    let names = match which {
        Which::Only => ONLY,
        Which::Source => SOURCE,
        Which::Target => TARGET,
    };
    let is_path = |ty| matches!(ty, ParamType::FsPath | ParamType::FsRelPath | ParamType::CharBuf);
    let two = info.params.iter().any(|p| TARGET.contains(&p.name));
    if matches!(which, Which::Only) == two {
        return None;
    }
    // A plain text parameter is a path only where another one of the call is known to be one.
    let on_paths = info.params.iter().any(|p| matches!(p.ty, ParamType::FsPath | ParamType::FsRelPath));
    let at = info.params.iter().position(|p| names.contains(&p.name) && is_path(p.ty))?;
    on_paths.then_some((info, at))
}

fn absolute(c: &Ctx<'_>, out: &mut Vec<u8>, which: Which) -> bool {
    param(c, which).is_some_and(|(info, at)| push_absolute(out, c.view, info, at))
}

fn raw(c: &Ctx<'_>, out: &mut Vec<u8>, which: Which) -> bool {
    let bytes = param(c, which).and_then(|(_, at)| c.view.raw.param(at));
    bytes.map(|bytes| out.extend_from_slice(until_nul(bytes))).is_some()
}
