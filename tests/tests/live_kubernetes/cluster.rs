//! The story: a client in a pod asks a resolver for a service, through four search domains, and fetches
//! a page from it; recorded on the node, looked at afterwards.

use crate::server::{Kubernetes, folder, record, replay};
use std::time::Duration;

const STORY: &str = "fd.type in (ipv4, ipv6) and (k8s.ns.name=critical-app or proc.name=dnsmasq)";

#[test]
fn the_story_of_a_slow_name_is_told_by_pods() {
    const TEST: &str = "the_story_of_a_slow_name_is_told_by_pods";
    let Some(kubernetes) = Kubernetes::start(TEST, "cluster") else { return };
    let (dir, file) = folder();
    let fact = |name: &str| kubernetes.fact(name).to_owned();
    let (api, token, ca) = (fact("KUBE_API"), fact("KUBE_TOKEN_FILE"), fact("KUBE_CA"));
    let (socket, node) = (fact("CRI_SOCK"), fact("NODE_NAME"));
    let access =
        ["-k", &api, "-K", &token, "--k8s-ca", &ca, "--node-name", &node, "--cri", &socket, "-s8192"];
    record(&file, &access, || {
        std::thread::sleep(Duration::from_secs(10));
        // What comes while it is recorded is known as well.
        kubernetes.kubectl(&["-n", "critical-app", "scale", "deployment", "backend", "--replicas=4"]);
        std::thread::sleep(Duration::from_secs(15));
    });

    // Every event inside of a pod carries its names.
    let ids = kubernetes.container_ids();
    let inside = format!("container.id in ({})", ids.join(", "));
    let nameless = format!("{inside} and (not k8s.pod.name exists or not k8s.ns.name exists)");
    let nameless = replay(&file, &["-p", "*%container.id %container.name %proc.name %evt.type", &nameless]);
    assert!(nameless.is_empty(), "{} events without a pod: {:?}", nameless.len(), nameless.first());
    let format = "*%k8s.pod.name|%k8s.ns.name|%k8s.ns.label[team]|%k8s.deployment.name|%k8s.rs.name|%k8s.svc.name|%k8s.node.name";
    let lines = replay(&file, &["-p", format, &format!("{inside} and evt.type = execve and evt.dir = <")]);
    let fields: Vec<Vec<&str>> = lines.iter().map(|line| line.split('|').collect()).collect();
    let backends: Vec<_> = fields.iter().filter(|line| line[0].starts_with("backend-")).collect();
    assert!(!backends.is_empty(), "{fields:?}");
    for line in backends {
        assert!(line[0].starts_with(line[4]), "{line:?}");
        assert_eq!(
            [line[1], line[2], line[3], line[5], line[6]],
            ["critical-app", "core", "backend", "backend", &node]
        );
    }
    assert!(fields.iter().any(|line| line[0] == "client" && line[3] == "<NA>"), "{fields:?}");

    let story = replay(&file, &["-pk", "-NA", STORY]);
    assert!(story.iter().any(|line| line.contains(" client (") && line.contains(" curl (")), "{story:?}");
    assert!(story.iter().any(|line| line.contains(" kube-dns-") && line.contains(" dnsmasq (")), "{story:?}");
    assert!(story.iter().any(|line| line.contains(" backend-") && line.contains(" httpd (")), "{story:?}");
    let echoed =
        replay(&file, &["-pk", "-NA", "-c", "echo_fds", "fd.type=file and fd.name=/etc/resolv.conf"]);
    let echoed = echoed.join("\n");
    assert!(echoed.contains("[client] [") && echoed.contains("/etc/resolv.conf (curl)"), "{echoed}");
    assert!(echoed.contains("critical-app.svc.cluster.local") && echoed.contains("ndots:5"), "{echoed}");
    let queries = replay(&file, &["-c", "dns", "k8s.ns.name=critical-app"]).join("\n");
    assert!(
        queries.contains("backend.critical-app.svc.cluster.local") && queries.contains("client"),
        "{queries}"
    );

    // The file alone knows it, when the cluster is gone.
    drop(kubernetes);
    assert_eq!(
        replay(&file, &["-p", format, &format!("{inside} and evt.type = execve and evt.dir = <")]),
        lines
    );
    // Kept for who wants to look at it.
    if let Some(keep) = std::env::var_os("CAPTURE_KEEP") {
        std::fs::copy(&file, keep).expect("the file is kept");
    }
    drop(dir);
}
