//! For every field a value that it has on a real capture, or the reason why no capture shows one.

use capture_engine::EventFilter;
use capture_engine::catalogue::field_named;
use capture_engine::fields::{self, Use};
use capture_engine::format::{FormatOptions, Formatter};
use capture_tests::data_dir;
use capture_tests::events::each_event;
use filter_lang::Library;
use std::collections::{BTreeMap, BTreeSet};

/// A field with its argument, a capture, the number of an event, and the value there.
type Row = (String, String, u64, String);

/// Fields that show no value on any capture here: names, or classes with their dot, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("span.", "tracers: nothing records them any more"),
    ("evtin.", "tracers: nothing records them any more"),
    ("mesos.", "no capture here is of a Mesos task; live_containers runs one that looks like one"),
    ("marathon.", "no capture here is of a Marathon task; live_containers runs one that looks like one"),
    ("swarm.", "no capture here is of a Swarm service; live_containers sets its labels"),
    ("compose.", "no capture here is of a Compose project; live_containers sets its labels"),
    ("container.label", "no record here has labels of its own; live_containers and metadata have"),
    ("container.env", "no record here has an environment; live_containers and metadata have"),
    ("container.command", "a member of our own records; live_containers has them"),
    ("container.user", "no record here tells of a user; live_containers has them"),
    ("container.ports", "no record here tells of ports; live_containers has them"),
    ("container.memory_limit", "no record here has a limit; live_containers and metadata have"),
    ("container.swap_limit", "no record here has a limit; live_containers has them"),
    ("container.cpu", "no record here has a limit; live_containers has them"),
    ("container.is_pod_sandbox", "no record here tells; live_containers has them"),
    ("container.is_late", "a member of our own records; live_containers has them"),
    ("evt.plugin", "events of plugins: no plugin is loaded"),
    ("fd.cip.name", "captures hold no host names, and none are asked for"),
    ("fd.sip.name", "captures hold no host names, and none are asked for"),
    ("fd.lip.name", "captures hold no host names, and none are asked for"),
    ("fd.rip.name", "captures hold no host names, and none are asked for"),
    ("evt.infra.", "no capture holds a notice of a container engine; tested beside the rows"),
    ("syslog.", "the writes to /dev/log in dns.scap.gz all failed; tested beside the rows"),
    ("util.cnt", "counts how often it is asked, so it depends on no event"),
    ("evt.asynctype", "no capture here has an event of the recorder itself; live suites have"),
    ("k8s.rc.", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.rs.", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.svc.", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.deployment.", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.ds.", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.sts.", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.job.", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.cronjob.", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.node.", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.pod.label", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.ns.label", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.ns.id", "no capture here was made beside a Kubernetes API server; tested in state/k8s.rs"),
    ("k8s.pod.sandbox_id", "no record here tells of the pod's sandbox"),
    ("k8s.pod.full_sandbox_id", "no record here tells of the pod's sandbox"),
    ("k8s.pod.cni.json", "no record here has the result of network plugins"),
    ("container.cni.json", "no record here has the result of network plugins"),
    ("container.host_", "no record here tells of shared namespaces"),
];

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(data_dir().join("fields/values.json")).expect("reads");
    serde_json::from_str(&text).expect("is JSON")
}

/// The field of a text such as `evt.arg.name`, `proc.env[HOME]` or `fd.name`.
fn base(text: &str) -> &'static str {
    let name = text.split('[').next().unwrap_or(text);
    let without_arg = name.rsplit_once('.').map_or(name, |(field, _)| field);
    let found = field_named(name).or_else(|| field_named(without_arg));
    found.unwrap_or_else(|| panic!("{text} is no field")).1.name
}

#[test]
fn each_field_shows_its_value() {
    let mut by_capture: BTreeMap<String, BTreeMap<u64, Vec<Row>>> = BTreeMap::new();
    for row in rows() {
        by_capture.entry(row.1.clone()).or_default().entry(row.2).or_default().push(row);
    }
    let mut wrong = Vec::new();
    for (capture, by_event) in &by_capture {
        let mut seen = 0;
        each_event(capture, |view| {
            let Some(rows) = by_event.get(&view.applied.num) else { return };
            seen += 1;
            for (field, _, event, wanted) in rows {
                let format = format!("*%{field}");
                let mut formatter = Formatter::new(&format, FormatOptions::default()).expect("a format");
                let mut line = Vec::new();
                formatter.write(view, &mut line);
                let value = String::from_utf8_lossy(&line);
                if value.strip_suffix('\n') != Some(wanted) {
                    wrong.push(format!("{capture} {event} {field}: {value:?}, not {wanted:?}"));
                }
            }
        });
        assert_eq!(seen, by_event.len(), "events of {capture}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Fields of filters only: a filter that matches something.
const FILTERS: &[(&str, &str)] = &[
    ("fd.ip=2607:f8b0:4004:802::2004", "curl_google.scap"),
    ("fd.port=80", "curl_google.scap"),
    ("fd.proto=http", "curl_google.scap"),
    ("fd.net=10.244.0.0/16", "k8s_dns.scap"),
    ("fd.cnet=10.244.0.0/16", "k8s_dns.scap"),
    ("fd.snet=10.244.0.0/16", "k8s_dns.scap"),
    ("fd.lnet=10.244.0.0/16", "k8s_dns.scap"),
    ("fd.rnet=10.244.0.0/16", "k8s_dns.scap"),
    ("evt.around[1534527348514670468]=1", "curl_google.scap"),
];

#[test]
fn fields_of_filters_match() {
    for (text, capture) in FILTERS {
        let mut filter =
            EventFilter::compile(text, &Library::new()).unwrap_or_else(|e| panic!("{text}: {e}"));
        let mut matched = 0;
        each_event(capture, |view| matched += usize::from(filter.matches(view)));
        assert!(matched > 0, "{text}");
    }
}

#[test]
fn no_field_is_left_out() {
    let shown: BTreeSet<&str> = rows().iter().map(|row| base(&row.0)).collect();
    let filtered = |name: &str| FILTERS.iter().any(|(text, _)| text.split(['=', '[']).next() == Some(name));
    let excused = |name: &str| WITHOUT.iter().any(|(start, _)| name.starts_with(start));
    let silent = |name: &&str| !shown.contains(name) && !filtered(name) && !excused(name);
    let silent: Vec<_> = fields::all().map(|f| f.name).filter(silent).collect();
    assert!(silent.is_empty(), "no value and no reason: {silent:#?}");
    for field in fields::all().filter(|f| f.usage == Use::Filter) {
        assert!(filtered(field.name), "{}", field.name);
    }
    for (start, reason) in WITHOUT.iter().filter(|(start, _)| !start.ends_with('.')) {
        let shown: Vec<_> = shown.iter().filter(|name| name.starts_with(start)).collect();
        assert!(shown.is_empty(), "{start} ({reason}): {shown:?}");
    }
}
