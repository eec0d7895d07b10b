//! `mesos.*` and `marathon.*` fields.
//!
//! Stock tools had them from API servers. What is recorded today tells the part that Mesos and Marathon
//! give every task: variables of its environment, and labels where docker runs it. Read from the
//! container's labels and environment, else from the environment of the process.

use super::container::json;
use super::container_detail::variable;
use super::{Ctx, Field, text};
use filter_lang::ArgRule;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    text("mesos.task.name", "name of the Mesos task, where labels or environment tell it", "mesos.task.name=web", |c, out| push(c, out, &["MESOS_TASK_NAME"])),
    text("mesos.task.id", "id of the Mesos task", "mesos.task.id startswith web", |c, out| push(c, out, &["MESOS_TASK_ID", "mesos_task_id"])),
    text("mesos.task.label", "one label of the container of a Mesos task", "mesos.task.label.tier=back", task_label).arg(ArgRule::Required),
    text("mesos.task.labels", "labels of the container of a Mesos task as name:value", "mesos.task.labels contains tier:back", task_labels),
    text("mesos.framework.name", "name of the Mesos framework, where labels or environment tell it", "mesos.framework.name=marathon", |c, out| push(c, out, &["MESOS_FRAMEWORK_NAME"])),
    text("mesos.framework.id", "id of the Mesos framework", "mesos.framework.id startswith 2f1c", |c, out| push(c, out, &["MESOS_FRAMEWORK_ID"])),
    text("marathon.app.name", "name of the Marathon application: the last part of its id", "marathon.app.name=web", |c, out| app(c, out, |id| id.rsplit('/').next())),
    text("marathon.app.id", "id of the Marathon application", "marathon.app.id=/shop/web", |c, out| app(c, out, whole)),
    text("marathon.app.label", "one label of the Marathon application; Marathon gives their names in capitals", "marathon.app.label.TIER=back", app_label).arg(ArgRule::Required),
    text("marathon.app.labels", "labels of the Marathon application as name:value", "marathon.app.labels contains TIER:back", app_labels),
    text("marathon.group.name", "name of the Marathon group: the last part of its id", "marathon.group.name=shop", |c, out| app(c, out, |id| group(id)?.rsplit('/').next())),
    text("marathon.group.id", "id of the Marathon group", "marathon.group.id=/shop", |c, out| app(c, out, group)),
];

/// Variables that all tasks have begin with one of these; what has none is parsed no further.
const MARKS: [&[u8]; 3] = [b"MESOS_", b"MARATHON_", b"mesos_"];
const APP_LABEL: &str = "MARATHON_APP_LABEL_";

/// Hands the value of the first of the names that is known to `each`, which answers for the field.
fn with<'n>(c: &Ctx<'_>, names: &[&'n str], each: impl FnOnce(&'n str, &str) -> bool) -> bool {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    if let Some(container) = c.view.container() {
        let label = names.iter().find_map(|name| Some((*name, text(container.label(name.as_bytes())?)?)));
        if let Some((name, value)) = label {
            return each(name, value);
        }
        if MARKS.iter().any(|mark| memchr::memmem::find(&container.json, mark).is_some())
            && let Some(record) = json(c)
            && let Some((name, value)) = names.iter().find_map(|name| Some((*name, variable(&record, name)?)))
        {
            return each(name, value);
        }
    }
    let Some(main) = c.view.main_thread() else { return false };
    let of_process = |name: &&'n str| {
        let mut entries = main.env();
        let value = entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some((*name, text(value)?))
    };
    names.iter().find_map(of_process).is_some_and(|(name, value)| each(name, value))
}

fn push(c: &Ctx<'_>, out: &mut Vec<u8>, names: &[&str]) -> bool {
    with(c, names, |_, value| {
        out.extend_from_slice(value.as_bytes());
        true
    })
}

fn app(c: &Ctx<'_>, out: &mut Vec<u8>, part: fn(&str) -> Option<&str>) -> bool {
    with(c, &["MARATHON_APP_ID"], |_, id| match part(id) {
        Some(part) => {
            out.extend_from_slice(part.as_bytes());
            true
        }
        None => false,
    })
}

fn whole(id: &str) -> Option<&str> {
    Some(id)
}

/// The group of an application: its id without the last part; the root group is `/`.
fn group(id: &str) -> Option<&str> {
    let at = id.rfind('/')?;
    Some(if at == 0 { "/" } else { &id[..at] })
}

fn is_task(c: &Ctx<'_>) -> bool {
    with(c, &["MESOS_TASK_ID", "mesos_task_id"], |_, _| true)
}

fn task_label(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let value = c.arg.and_then(|name| c.view.container()?.label(name.as_bytes()));
    let Some(value) = value.filter(|_| is_task(c)) else { return false };
    out.extend_from_slice(value);
    true
}

fn task_labels(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(container) = c.view.container().filter(|_| is_task(c)) else { return false };
    for (i, (name, value)) in container.labels.iter().enumerate() {
        for part in [if i == 0 { &b""[..] } else { b", " }, name, b":", value] {
            out.extend_from_slice(part);
        }
    }
    !container.labels.is_empty()
}

fn app_label(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let Some(name) = c.arg else { return false };
    push(c, out, &[&format!("{APP_LABEL}{}", name.to_ascii_uppercase())])
}

/// Marathon lists the names in a variable of their own.
fn app_labels(c: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
    let mut names = String::new();
    if !with(c, &["MARATHON_APP_LABELS"], |_, value| {
        names.push_str(value);
        true
    }) {
        return false;
    }
    let before = out.len();
    for name in names.split_whitespace() {
        let start = out.len();
        if start != before {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        if !push(c, out, &[&format!("{APP_LABEL}{name}")]) {
            out.truncate(start);
        }
    }
    out.len() > before
}
