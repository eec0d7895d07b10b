//! `k8s.*` fields: from the labels that Kubernetes puts on every container, and from what the recorder
//! stored with the container's record of the objects around its pod.

use super::{Ctx, Field, text, value};
use crate::state::k8s::{Kind, Object};
use filter_lang::FieldType::Str;
use filter_lang::{ArgRule, Value};

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("k8s.pod.name", Str, "name of the pod", "k8s.pod.name=web-0",
        |c| label(c, b"io.kubernetes.pod.name").or_else(|| stored(c, Kind::Pod, |o| &o.name))),
    value("k8s.pod.id", Str, "unique id of the pod", "k8s.pod.id startswith 3e41", pod_uid),
    value("k8s.pod.uid", Str, "unique id of the pod", "k8s.pod.uid startswith 3e41", pod_uid),
    value("k8s.pod.sandbox_id", Str, "short id of the pod's sandbox container", "k8s.pod.sandbox_id=9f8e7d6c5b4a",
        |c| known(c.view.container()?.sandbox_id.get(..12).unwrap_or(&c.view.container()?.sandbox_id))),
    value("k8s.pod.full_sandbox_id", Str, "full id of the pod's sandbox container", "k8s.pod.full_sandbox_id startswith 9f8e7d6c",
        |c| known(&c.view.container()?.sandbox_id)),
    value("k8s.pod.ip", Str, "address of the pod", "k8s.pod.ip=10.244.1.9",
        |c| stored(c, Kind::Pod, |o| &o.ip).or_else(|| in_pod(c).then(|| super::container::meta(c, |m| &m.ip)).flatten())),
    value("k8s.pod.cni.json", Str, "result of the pod's network plugins", "k8s.pod.cni.json contains 10.244",
        |c| if in_pod(c) { super::container::meta(c, |m| &m.cni_json) } else { None }),
    text("k8s.pod.label", "one label of the pod", "k8s.pod.label.app=web", |c, out| one_label(c, out, Kind::Pod)).arg(ArgRule::Required),
    text("k8s.pod.labels", "all labels of the pod as name:value, joined by commas", "k8s.pod.labels contains app:web", |c, out| all_labels(c, out, Kind::Pod)),
    text("k8s.rc.name", "name of the replication controller", "k8s.rc.name=web", |c, out| names(c, out, Kind::ReplicationController)),
    text("k8s.rc.id", "unique id of the replication controller", "k8s.rc.id startswith 3e41", |c, out| ids(c, out, Kind::ReplicationController)),
    text("k8s.rc.label", "one label of the replication controller", "k8s.rc.label.app=web", |c, out| one_label(c, out, Kind::ReplicationController)).arg(ArgRule::Required),
    text("k8s.rc.labels", "all labels of the replication controller", "k8s.rc.labels contains app:web", |c, out| all_labels(c, out, Kind::ReplicationController)),
    text("k8s.svc.name", "name of the service; where several choose the pod all of them, joined by commas", "k8s.svc.name=web", |c, out| names(c, out, Kind::Service)),
    text("k8s.svc.id", "unique id of the service, or of the services", "k8s.svc.id startswith 3e41", |c, out| ids(c, out, Kind::Service)),
    text("k8s.svc.label", "one label of the service", "k8s.svc.label.app=web", |c, out| one_label(c, out, Kind::Service)).arg(ArgRule::Required),
    text("k8s.svc.labels", "all labels of the service", "k8s.svc.labels contains app:web", |c, out| all_labels(c, out, Kind::Service)),
    value("k8s.ns.name", Str, "namespace of the pod", "k8s.ns.name=default",
        |c| label(c, b"io.kubernetes.pod.namespace").or_else(|| stored(c, Kind::Namespace, |o| &o.name))),
    text("k8s.ns.id", "unique id of the namespace", "k8s.ns.id startswith 3e41", |c, out| ids(c, out, Kind::Namespace)),
    text("k8s.ns.label", "one label of the namespace", "k8s.ns.label.team=shop", |c, out| one_label(c, out, Kind::Namespace)).arg(ArgRule::Required),
    text("k8s.ns.labels", "all labels of the namespace", "k8s.ns.labels contains team:shop", |c, out| all_labels(c, out, Kind::Namespace)),
    text("k8s.rs.name", "name of the replica set", "k8s.rs.name=web-7d5b", |c, out| names(c, out, Kind::ReplicaSet)),
    text("k8s.rs.id", "unique id of the replica set", "k8s.rs.id startswith 3e41", |c, out| ids(c, out, Kind::ReplicaSet)),
    text("k8s.rs.label", "one label of the replica set", "k8s.rs.label.app=web", |c, out| one_label(c, out, Kind::ReplicaSet)).arg(ArgRule::Required),
    text("k8s.rs.labels", "all labels of the replica set", "k8s.rs.labels contains app:web", |c, out| all_labels(c, out, Kind::ReplicaSet)),
    text("k8s.deployment.name", "name of the deployment", "k8s.deployment.name=web", |c, out| names(c, out, Kind::Deployment)),
    text("k8s.deployment.id", "unique id of the deployment", "k8s.deployment.id startswith 3e41", |c, out| ids(c, out, Kind::Deployment)),
    text("k8s.deployment.label", "one label of the deployment", "k8s.deployment.label.app=web", |c, out| one_label(c, out, Kind::Deployment)).arg(ArgRule::Required),
    text("k8s.deployment.labels", "all labels of the deployment", "k8s.deployment.labels contains app:web", |c, out| all_labels(c, out, Kind::Deployment)),
    text("k8s.ds.name", "name of the daemon set", "k8s.ds.name=agent", |c, out| names(c, out, Kind::DaemonSet)),
    text("k8s.ds.id", "unique id of the daemon set", "k8s.ds.id startswith 3e41", |c, out| ids(c, out, Kind::DaemonSet)),
    text("k8s.ds.label", "one label of the daemon set", "k8s.ds.label.app=agent", |c, out| one_label(c, out, Kind::DaemonSet)).arg(ArgRule::Required),
    text("k8s.ds.labels", "all labels of the daemon set", "k8s.ds.labels contains app:agent", |c, out| all_labels(c, out, Kind::DaemonSet)),
    text("k8s.sts.name", "name of the stateful set", "k8s.sts.name=db", |c, out| names(c, out, Kind::StatefulSet)),
    text("k8s.sts.id", "unique id of the stateful set", "k8s.sts.id startswith 3e41", |c, out| ids(c, out, Kind::StatefulSet)),
    text("k8s.sts.label", "one label of the stateful set", "k8s.sts.label.app=db", |c, out| one_label(c, out, Kind::StatefulSet)).arg(ArgRule::Required),
    text("k8s.sts.labels", "all labels of the stateful set", "k8s.sts.labels contains app:db", |c, out| all_labels(c, out, Kind::StatefulSet)),
    text("k8s.job.name", "name of the job", "k8s.job.name=backup-28", |c, out| names(c, out, Kind::Job)),
    text("k8s.job.id", "unique id of the job", "k8s.job.id startswith 3e41", |c, out| ids(c, out, Kind::Job)),
    text("k8s.job.label", "one label of the job", "k8s.job.label.app=backup", |c, out| one_label(c, out, Kind::Job)).arg(ArgRule::Required),
    text("k8s.job.labels", "all labels of the job", "k8s.job.labels contains app:backup", |c, out| all_labels(c, out, Kind::Job)),
    text("k8s.cronjob.name", "name of the cron job", "k8s.cronjob.name=backup", |c, out| names(c, out, Kind::CronJob)),
    text("k8s.cronjob.id", "unique id of the cron job", "k8s.cronjob.id startswith 3e41", |c, out| ids(c, out, Kind::CronJob)),
    text("k8s.cronjob.label", "one label of the cron job", "k8s.cronjob.label.app=backup", |c, out| one_label(c, out, Kind::CronJob)).arg(ArgRule::Required),
    text("k8s.cronjob.labels", "all labels of the cron job", "k8s.cronjob.labels contains app:backup", |c, out| all_labels(c, out, Kind::CronJob)),
    text("k8s.node.name", "name of the node that the pod runs on", "k8s.node.name=node-1", |c, out| names(c, out, Kind::Node)),
    text("k8s.node.id", "unique id of the node", "k8s.node.id startswith 3e41", |c, out| ids(c, out, Kind::Node)),
    text("k8s.node.label", "one label of the node", "k8s.node.label.zone=a", |c, out| one_label(c, out, Kind::Node)).arg(ArgRule::Required),
    text("k8s.node.labels", "all labels of the node", "k8s.node.labels contains zone:a", |c, out| all_labels(c, out, Kind::Node)),
];

fn known(text: &[u8]) -> Option<Value<'_>> {
    if text.is_empty() { None } else { Some(Value::Str(text)) }
}

/// A label of the container itself.
fn label<'a>(c: &Ctx<'a>, name: &[u8]) -> Option<Value<'a>> {
    c.view.container()?.label(name).map(Value::Str)
}

fn in_pod(c: &Ctx<'_>) -> bool {
    label(c, b"io.kubernetes.pod.name").is_some()
}

fn pod_uid<'a>(c: &Ctx<'a>) -> Option<Value<'a>> {
    label(c, b"io.kubernetes.pod.uid").or_else(|| stored(c, Kind::Pod, |o| &o.uid))
}

fn objects<'a>(c: &Ctx<'a>, kind: Kind) -> impl Iterator<Item = &'a Object> {
    c.view.container().into_iter().flat_map(move |container| container.k8s.of(kind))
}

fn stored<'a>(c: &Ctx<'a>, kind: Kind, get: fn(&Object) -> &[u8]) -> Option<Value<'a>> {
    objects(c, kind).find_map(|object| known(get(object)))
}

/// Appends parts joined by a comma and a blank; answers whether there was any.
fn joined<T>(out: &mut Vec<u8>, parts: impl Iterator<Item = T>, push: impl Fn(&mut Vec<u8>, T)) -> bool {
    let mut any = false;
    for part in parts {
        if any {
            out.extend_from_slice(b", ");
        }
        push(out, part);
        any = true;
    }
    any
}

/// The same with the texts that are not empty.
fn joined_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a [u8]>) -> bool {
    joined(out, texts.filter(|text| !text.is_empty()), |out, text| out.extend_from_slice(text))
}

fn names(c: &Ctx<'_>, out: &mut Vec<u8>, kind: Kind) -> bool {
    joined_texts(out, objects(c, kind).map(|o| &*o.name))
}

fn ids(c: &Ctx<'_>, out: &mut Vec<u8>, kind: Kind) -> bool {
    joined_texts(out, objects(c, kind).map(|o| &*o.uid))
}

fn one_label(c: &Ctx<'_>, out: &mut Vec<u8>, kind: Kind) -> bool {
    let Some(wanted) = c.arg else { return false };
    joined_texts(out, objects(c, kind).filter_map(|o| o.label(wanted.as_bytes())))
}

fn all_labels(c: &Ctx<'_>, out: &mut Vec<u8>, kind: Kind) -> bool {
    joined(out, objects(c, kind).flat_map(|o| &o.labels), |out, (name, value)| {
        out.extend_from_slice(name);
        out.push(b':');
        out.extend_from_slice(value);
    })
}
