//! `k8s.*` fields, from the labels that Kubernetes puts on every container.

use super::{Ctx, Field, value};
use filter_lang::FieldType::Str;
use filter_lang::Value;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("k8s.pod.name", Str, "name of the pod", "k8s.pod.name=web-0", |c| label(c, b"io.kubernetes.pod.name")),
    value("k8s.pod.id", Str, "unique id of the pod", "k8s.pod.id startswith 3e41", |c| label(c, b"io.kubernetes.pod.uid")),
    value("k8s.pod.uid", Str, "unique id of the pod", "k8s.pod.uid startswith 3e41", |c| label(c, b"io.kubernetes.pod.uid")),
    value("k8s.ns.name", Str, "namespace of the pod", "k8s.ns.name=default", |c| label(c, b"io.kubernetes.pod.namespace")),
];

fn label<'a>(c: &Ctx<'a>, name: &[u8]) -> Option<Value<'a>> {
    c.view.container()?.label(name).map(Value::Str)
}
