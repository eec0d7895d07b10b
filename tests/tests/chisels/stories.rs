//! The built-in chisels that sysdig does not have, over real captures: what they find there.

use crate::support::{capture, run};
use capture_tests::data_dir;
use serde_json::Value;

/// What a chisel prints over a capture in tests/data/captures.
fn printed(capture_file: &str, words: &[&str]) -> String {
    let path = data_dir().join("captures").join(capture_file);
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(capture(), folder.path(), &[&["-r", path.to_str().expect("is text")], words].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{capture_file} {words:?}: {stderr}");
    String::from_utf8(output.stdout).expect("is text")
}

/// The same as JSON.
fn objects(capture_file: &str, words: &[&str]) -> Vec<Value> {
    let text = printed(capture_file, &[&["-j"], words].concat());
    text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

/// Which of the objects have these members.
fn having<'a>(objects: &'a [Value], members: &[(&str, Value)]) -> Vec<&'a Value> {
    objects.iter().filter(|object| members.iter().all(|(name, value)| object[*name] == *value)).collect()
}

#[test]
fn dns_tells_what_a_resolver_did_with_a_name() {
    let all = objects("dns.scap.gz", &["-c", "dns"]);
    let queries = having(&all, &[("kind", "query".into())]);
    // The resolver's A and AAAA questions, each answered.
    assert_eq!(queries.len(), 62);
    assert!(queries.iter().all(|query| query["latency_ns"].as_u64().is_some_and(|ns| ns > 0)));
    let by_curl = having(
        &all,
        &[("name", "api.partner.example.com".into()), ("proc.name", "curl".into()), ("type", "A".into())],
    );
    let walked: Vec<(&Value, &Value)> =
        by_curl.iter().map(|query| (&query["search_domain"], &query["result"])).collect();
    let domains = ["critical-app.svc.cluster.local", "svc.cluster.local", "cluster.local", "localdomain"];
    let (denied, found) = (Value::from("NXDOMAIN"), Value::from("NOERROR"));
    let domains = domains.map(Value::from);
    let mut expected: Vec<(&Value, &Value)> = domains.iter().map(|domain| (domain, &denied)).collect();
    expected.push((&Value::Null, &found));
    assert_eq!(walked, expected);
    assert_eq!(by_curl[4]["answers"][0], "10.0.0.55");
    assert!(
        by_curl.iter().all(|query| query["container"] == "3ad7b26ded6d" && query["server"] == "10.0.2.15")
    );
    let names = having(&all, &[("kind", "name".into()), ("name", "no-such-service".into())]);
    assert_eq!((&names[0]["queries"], &names[0]["nxdomain"]), (&Value::from(12), &Value::from(8)));
    let text = printed("dns.scap.gz", &["-c", "dns"]);
    assert!(text.contains("nginx.critical-app.svc.cluster.local[.localdomain]"), "{text}");
    assert!(text.ends_with("38 of 62 queries tried a search domain in vain.\n"), "{text}");
    // A name with a final dot on the command line is no short name.
    assert!(
        text.contains(" curl(12917) 3ad7b26ded6d   A     nginx.critical-app.svc.cluster.local "),
        "{text}"
    );
}

#[test]
fn dns_of_pods() {
    let all = objects("k8s_dns.scap", &["-c", "dns", "k8s.ns.name=critical-app or proc.name=skydns"]);
    let pods: Vec<&Value> =
        having(&all, &[("kind", "query".into())]).iter().map(|query| &query["container"]).collect();
    assert_eq!(pods, ["client-x7k2p", "kube-dns-v9-r2w1"]);
    assert_eq!(printed("kitchen.scap.gz", &["-c", "dns"]), "no DNS messages\n");
}

#[test]
fn http_tells_who_asked_whom() {
    let all = objects("dns.scap.gz", &["-c", "http"]);
    let made = having(&all, &[("kind", "request".into()), ("serves", false.into())]);
    let served = having(&all, &[("kind", "request".into()), ("serves", true.into())]);
    assert_eq!((made.len(), served.len()), (7, 7));
    assert!(
        made.iter().all(|r| r["proc.name"] == "curl") && served.iter().all(|r| r["proc.name"] == "nginx")
    );
    let sums = having(&all, &[("kind", "sum".into()), ("host", "nginx".into()), ("serves", false.into())]);
    assert_eq!(sums[0]["requests"], 3);
}

#[test]
fn errors_say_what_failed() {
    let text = printed("shell.scap.gz", &["-c", "errors", "0"]);
    assert!(
        text.lines()
            .any(|line| line.contains("cat(") && line.contains("EACCES") && line.ends_with("/etc/shadow"))
    );
    assert!(text.lines().any(|line| line.contains("connect") && line.ends_with("/var/run/nscd/socket")));
    let text = printed("kitchen.scap.gz", &["-c", "errors", "0"]);
    assert!(
        text.contains("ECONNREFUSED connection refused: nobody listens") && !text.contains("EAGAIN"),
        "{text}"
    );
    assert!(printed("kitchen.scap.gz", &["-c", "errors", "0 all"]).contains("EAGAIN not ready yet"));
    assert!(printed("shell.scap.gz", &["-c", "errors", "3"]).lines().count() == 5);
}

#[test]
fn trees_have_each_process_once() {
    for capture_file in ["shell.scap.gz", "build.scap.gz", "tools.scap.gz"] {
        let all = objects(capture_file, &["-c", "tree"]);
        let mut ids: Vec<(Value, Value)> =
            all.iter().map(|process| (process["proc.pid"].clone(), process["start_ns"].clone())).collect();
        let found = ids.len();
        ids.sort_by_key(|id| format!("{id:?}"));
        ids.dedup();
        assert_eq!(ids.len(), found, "{capture_file}");
        let known: Vec<&Value> = all.iter().map(|process| &process["proc.pid"]).collect();
        assert!(
            all.iter().all(|p| p["proc.ppid"].is_null() || known.contains(&&p["proc.ppid"])),
            "{capture_file}"
        );
    }
    let all = objects("shell.scap.gz", &["-c", "tree"]);
    let cat = having(&all, &[("proc.cmdline", "cat /etc/shadow".into())]);
    assert_eq!(cat[0]["exit"], "1");
    assert!(all.iter().any(|process| process["exit"] == "SIGTERM"), "a job was ended");
}

#[test]
fn files_tell_what_happened_to_each() {
    let all = objects("shell.scap.gz", &["-c", "files", "0"]);
    let zeros = having(&all, &[("file", "/tmp/zeros".into()), ("proc.name", "dd".into())]);
    assert_eq!(zeros[0]["created"], true);
    assert!(zeros[0]["written"].as_u64().is_some_and(|bytes| bytes > 1 << 20));
    assert!(all.iter().any(|file| file["deleted"] == true));
    let moved =
        all.iter().find(|file| file["renamed"] == true && file["proc.name"] == "mv").expect("mv renames");
    assert!(moved["renamed_to"].as_str().is_some_and(|name| name.ends_with("backup.tgz")), "{moved}");
    assert!(all.iter().any(|file| file["file"] == "/etc/shadow" && file["refused"] == 1));
}

#[test]
fn slow_names_what_was_waited_for() {
    let all = objects("shell.scap.gz", &["-c", "slow", "0"]);
    let share = |object: &Value, name: &str| {
        object[name].as_u64().expect("a number") as f64 / object["time_ns"].as_u64().expect("a number") as f64
    };
    let sleep = having(&all, &[("proc.name", "sleep".into())]);
    assert!(sleep.len() > 2 && sleep.iter().all(|thread| share(thread, "sleep_ns") > 0.9));
    assert!(share(having(&all, &[("proc.name", "unshare".into())])[0], "child_ns") > 0.9);
}

#[test]
fn follow_puts_both_directions_together() {
    let words = ["-c", "follow", "10.0.0.54:80", "proc.name=curl"];
    let text = printed("dns.scap.gz", &words);
    let (asked, answered) = text.split_once("<<<").expect("an answer");
    assert!(
        asked.starts_with(">>> ") && asked.contains("GET /health.json HTTP/1.1\nHost: backend.prod\n"),
        "{text}"
    );
    assert!(
        answered.contains("HTTP/1.1 200 OK\n") && answered.ends_with("0B not in the capture\n"),
        "{text}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = data_dir().join("captures/dns.scap.gz");
    let head =
        ["-r", path.to_str().expect("is text"), "-c", "follow", "10.0.0.54:80 raw conn", "proc.name=curl"];
    assert!(run(capture(), folder.path(), &head).status.success());
    let sent = std::fs::read(folder.path().join("conn.1.out")).expect("was written");
    assert!(sent.starts_with(b"GET /health.json HTTP/1.1\r\n") && sent.ends_with(b"\r\n\r\n"));
}

#[test]
fn flame_gives_folded_stacks_and_a_drawing() {
    let folded = printed("build.scap.gz", &["-c", "flame"]);
    let is_stack = |line: &str| {
        line.rsplit_once(' ')
            .is_some_and(|(stack, us)| stack.contains(';') && us.bytes().all(|b| b.is_ascii_digit()))
    };
    assert!(folded.lines().count() > 100 && folded.lines().all(is_stack));
    assert!(folded.lines().any(|line| line.contains("make;") && line.contains(";cc1;")), "{folded}");
    let svg = printed("build.scap.gz", &["-c", "flame", "svg"]);
    assert!(svg.starts_with("<?xml") && svg.ends_with("</svg>\n") && svg.contains("<title>cc1 "));
}
