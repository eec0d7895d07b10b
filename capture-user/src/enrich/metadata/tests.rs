//! Records of containers: what is in them, what is left out, and how long they get.

use super::*;

#[test]
fn names_of_images_are_split() {
    let check = |image, parts| assert_eq!(split_image(image), parts, "{image}");
    check("nginx", ("nginx", "", ""));
    check("nginx:1.25", ("nginx", "1.25", ""));
    check("reg.test:5000/team/nginx", ("reg.test:5000/team/nginx", "", ""));
    check("reg.test:5000/team/nginx:1@sha256:ab", ("reg.test:5000/team/nginx", "1", "sha256:ab"));
    check("sha256:abcd", ("", "", "sha256:abcd"));
    check("", ("", "", ""));
}

#[test]
fn newer_knowledge_replaces_older_but_nothing_is_forgotten() {
    let mut all = Metadata { name: "a".into(), image: "i".into(), ..Metadata::default() };
    all.merge(Metadata { name: "b".into(), privileged: Some(true), ..Metadata::default() });
    all.merge(Metadata { ip: "10.0.0.1".into(), ..Metadata::default() });
    assert_eq!((all.name.as_str(), all.image.as_str(), all.privileged), ("b", "i", Some(true)));
    assert!(all.is_named());
}

#[test]
fn the_record_has_the_stock_members_and_no_secrets() {
    let meta = Metadata {
        full_id: "3ad7".into(),
        kind: Some(ContainerKind::Podman),
        name: "web".into(),
        image: "reg/nginx:1.25".into(),
        env: vec!["A=b".into(), "DB_PASSWORD=hunter2".into()],
        ports: vec![Port { host_ip: Ipv4Addr::LOCALHOST, host: 80, container: 8080 }],
        ..Metadata::default()
    };
    let text = String::from_utf8(meta.to_json("3ad7", true)).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let record: Value = serde_json::from_str(&text).unwrap();
    let c = &record["container"];
    assert_eq!((c["type"].as_u64(), c["imagetag"].as_str()), (Some(11), Some("1.25")));
    assert_eq!(c["port_mappings"][0]["HostIp"].as_u64(), Some(0x7f00_0001));
    assert_eq!(c["env"][1].as_str(), Some("DB_PASSWORD=[redacted]"));
    assert_eq!((c["capture"]["late"].as_bool(), c["capture"]["redacted"].as_u64()), (Some(true), Some(1)));
}

#[test]
fn records_stay_small_whatever_engines_say() {
    let huge = "x".repeat(1 << 20);
    let mut meta = Metadata { name: huge.clone(), image: huge.clone(), ..Metadata::default() };
    for i in 0..10_000 {
        meta.labels.insert(format!("label{i}"), "v".repeat(100));
        meta.env.push(format!("E{i}={}", "v".repeat(100)));
        meta.command.push(huge[..100].into());
    }
    meta.labels.insert(huge.clone(), huge);
    let record = meta.to_json("id", false);
    assert!(record.len() < 300_000, "{}", record.len());
    let escaped = "\u{1}".repeat(1 << 20);
    let mut worst = Metadata { name: "n".into(), env: vec![escaped.clone(); 9], ..meta.clone() };
    worst.command = vec![escaped; 9];
    let record_of_worst = worst.to_json("id", false);
    assert!(record_of_worst.len() <= RECORD_MAX, "{}", record_of_worst.len());
    assert!(String::from_utf8(record_of_worst).unwrap().contains("\"name\":\"n\""));
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert!(record["container"]["capture"]["cut"].as_u64().unwrap() > 1000);
}

#[test]
fn a_pod_is_known_by_labels_or_gives_them() {
    let mut by_labels = Metadata::default();
    by_labels.labels.insert("io.kubernetes.pod.name".into(), "p".into());
    by_labels.labels.insert("io.kubernetes.pod.namespace".into(), "n".into());
    by_labels.settle_pod();
    assert_eq!(by_labels.pod.as_ref().map(|p| (p.name.as_str(), p.namespace.as_str())), Some(("p", "n")));
    let pod = Pod { name: "p".into(), namespace: "n".into(), ..Pod::default() };
    let mut by_pod = Metadata { pod: Some(pod), ..Metadata::default() };
    by_pod.settle_pod();
    assert_eq!(by_pod.labels["io.kubernetes.pod.namespace"], "n");
}
