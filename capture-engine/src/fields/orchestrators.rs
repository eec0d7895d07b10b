//! `swarm.*` and `compose.*` fields: what Docker's own orchestrators say in the labels of containers.

use super::{Ctx, Field, value};
use filter_lang::FieldType::Str;
use filter_lang::Value;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("swarm.service.name", Str, "name of the Swarm service", "swarm.service.name=web", |c| label(c, &["com.docker.swarm.service.name"])),
    value("swarm.service.id", Str, "id of the Swarm service", "swarm.service.id startswith 9x", |c| label(c, &["com.docker.swarm.service.id"])),
    value("swarm.task.name", Str, "name of the Swarm task", "swarm.task.name startswith web.1", |c| label(c, &["com.docker.swarm.task.name"])),
    value("swarm.task.id", Str, "id of the Swarm task", "swarm.task.id startswith 9x", |c| label(c, &["com.docker.swarm.task.id"])),
    value("swarm.node.id", Str, "id of the Swarm node", "swarm.node.id startswith 9x", |c| label(c, &["com.docker.swarm.node.id"])),
    value("swarm.stack.name", Str, "name of the stack that the Swarm service belongs to", "swarm.stack.name=shop", |c| label(c, &["com.docker.stack.namespace"])),
    value("compose.project", Str, "Compose project of the container", "compose.project=shop",
        |c| label(c, &["com.docker.compose.project", "io.podman.compose.project"])),
    value("compose.service", Str, "Compose service of the container", "compose.service=db",
        |c| label(c, &["com.docker.compose.service", "io.podman.compose.service"])),
    value("compose.number", Str, "number of the container among those of its Compose service", "compose.number=1",
        |c| label(c, &["com.docker.compose.container-number"])),
];

/// The first of these labels that the container has.
fn label<'a>(c: &Ctx<'a>, names: &[&str]) -> Option<Value<'a>> {
    let container = c.view.container()?;
    names.iter().find_map(|name| container.label(name.as_bytes())).map(Value::Str)
}
