//! `mesos.*` and `marathon.*` fields.
//!
//! They came from the API servers of Mesos and Marathon, which no recorder asks any more: the fields
//! are known so that old filters and formats still parse, and have no value.

use super::{Field, gone};
use filter_lang::ArgRule;
use filter_lang::FieldType::Str;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    gone("mesos.task.name", Str, "name of the Mesos task", "mesos.task.name=x"),
    gone("mesos.task.id", Str, "id of the Mesos task", "mesos.task.id=x"),
    gone("mesos.task.label", Str, "one label of the Mesos task", "mesos.task.label.x=x").arg(ArgRule::Required),
    gone("mesos.task.labels", Str, "labels of the Mesos task as name:value", "mesos.task.labels=x"),
    gone("mesos.framework.name", Str, "name of the Mesos framework", "mesos.framework.name=x"),
    gone("mesos.framework.id", Str, "id of the Mesos framework", "mesos.framework.id=x"),
    gone("marathon.app.name", Str, "name of the Marathon application", "marathon.app.name=x"),
    gone("marathon.app.id", Str, "id of the Marathon application", "marathon.app.id=x"),
    gone("marathon.app.label", Str, "one label of the Marathon application", "marathon.app.label.x=x").arg(ArgRule::Required),
    gone("marathon.app.labels", Str, "labels of the Marathon application as name:value", "marathon.app.labels=x"),
    gone("marathon.group.name", Str, "name of the Marathon group", "marathon.group.name=x"),
    gone("marathon.group.id", Str, "id of the Marathon group", "marathon.group.id=x"),
];
