//! Which server is asked, and as whom.

use crate::enrich::kubernetes::KubernetesOptions;
use crate::enrich::kubernetes::access::{Access, AccessError, Material, Server, Surroundings, Trust};
use std::collections::HashMap;
use std::path::Path;

/// A machine with these variables, and files in a folder of its own.
struct Machine {
    env: HashMap<&'static str, String>,
    dir: tempfile::TempDir,
}

impl Machine {
    fn new(env: &[(&'static str, &str)], files: &[(&str, &str)]) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let here = dir.path().display().to_string();
        let env = env.iter().map(|(name, value)| (*name, value.replace("DIR", &here))).collect();
        Machine { env, dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn find(&self, options: &KubernetesOptions) -> Result<Option<Access>, AccessError> {
        let env = |name: &str| self.env.get(name).cloned();
        Access::find_in(options, &Surroundings { env: &env, account: &self.dir.path().join("account") })
    }

    fn wrong(&self, options: &KubernetesOptions) -> String {
        self.find(options).unwrap_err().to_string()
    }
}

fn url(url: &str) -> KubernetesOptions {
    KubernetesOptions { url: Some(url.into()), ..KubernetesOptions::default() }
}

const CONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: here
clusters:
- name: other
  cluster: {server: 'https://other:6443'}
- name: one
  cluster:
    server: https://10.0.0.1:6443/base/
    certificate-authority: pki/ca.crt
    tls-server-name: kubernetes
users:
- name: me
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: |
      S0
      VZ
contexts:
- {name: here, context: {cluster: one, user: me, namespace: x}}
- {name: program, context: {cluster: other, user: plugin}}
";

#[test]
fn urls() {
    let check = |text: &str, shown: &str| {
        let (server, _) = Server::parse(text).unwrap();
        assert_eq!(server.to_string(), shown, "{text}");
    };
    check("http://localhost:8080", "http://localhost:8080");
    check("https://10.96.0.1", "https://10.96.0.1:443");
    check("https://[::1]:6443/k8s/clusters/c-1/", "https://[::1]:6443/k8s/clusters/c-1");
    let (_, login) = Server::parse("http://me:pa:ss@host/").unwrap();
    assert_eq!(login, Some("me:pa:ss".into()));
    for text in [
        "localhost:8080",
        "ftp://x",
        "https://",
        "https://h:99999",
        "https://h:x",
        "https://h/?q",
        "http://a b",
    ] {
        let error = Server::parse(text).unwrap_err().to_string();
        assert!(error.contains("is no URL of an API server") && error.contains(text), "{error}");
    }
}

#[test]
fn a_url_alone_sends_no_credentials_anywhere_else() {
    let machine = Machine::new(
        &[("KUBECONFIG", "DIR/config"), ("HOME", "DIR")],
        &[("config", CONFIG), ("pki/ca.crt", "CA")],
    );
    let access = machine.find(&url("https://evil:6443")).unwrap().unwrap();
    assert!(access.identity.certificate.is_none() && access.trust == Trust::System);
    // The same server as in the kubeconfig: that is what it is for.
    let access = machine.find(&url("https://10.0.0.1:6443/base")).unwrap().unwrap();
    let (cert, key) = access.identity.certificate.unwrap();
    assert_eq!((cert, key), (Material::Text(b"CERT".into()), Material::Text(b"KEY".into())));
    assert_eq!(access.trust, Trust::Certificates(Material::File(machine.path("pki/ca.crt").into())));
    assert_eq!(access.tls_name.as_deref(), Some("kubernetes"));
}

#[test]
fn the_account_of_the_pod_comes_before_a_kubeconfig() {
    let files =
        [("account/token", "t"), ("account/ca.crt", "CA"), (".kube/config", CONFIG), ("pki/ca.crt", "CA")];
    let in_pod =
        [("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("KUBERNETES_SERVICE_PORT", "443"), ("HOME", "DIR")];
    let machine = Machine::new(&in_pod, &files);
    let access = machine.find(&KubernetesOptions::default()).unwrap().unwrap();
    assert_eq!(access.server.to_string(), "https://10.96.0.1:443");
    assert_eq!(access.identity.token, Some(Material::File(machine.path("account/token").into())));
    assert!(!access.is_guess);
    // Outside of a pod: the home's kubeconfig, whose CA is beside it and not there.
    let machine = Machine::new(&[("HOME", "DIR")], &files);
    assert!(machine.wrong(&KubernetesOptions::default()).contains(".kube/pki/ca.crt"));
    let machine = Machine::new(&[("HOME", "DIR")], &[(".kube/config", CONFIG), (".kube/pki/ca.crt", "CA")]);
    assert!(machine.find(&KubernetesOptions::default()).unwrap().unwrap().is_guess);
    let off = KubernetesOptions { is_off: true, ..url("http://x") };
    assert_eq!(machine.find(&off).unwrap(), None);
    assert_eq!(Machine::new(&[], &[]).find(&KubernetesOptions::default()).unwrap(), None);
}

#[test]
fn credentials_of_the_command_line() {
    let machine = Machine::new(&[], &[("token", "t"), ("c", "C"), ("k", "K"), ("ca", "CA")]);
    let with = |text: &str| KubernetesOptions {
        credentials: Some(text.replace("DIR", &machine.path(""))),
        ..url("https://h")
    };
    let access = machine.find(&with("DIRtoken")).unwrap().unwrap();
    assert_eq!(access.identity.token, Some(Material::File(machine.path("token").into())));
    let access = machine.find(&with("DIRc:DIRk:DIRca")).unwrap().unwrap();
    assert!(access.identity.certificate.is_some());
    assert_eq!(access.trust, Trust::Certificates(Material::File(machine.path("ca").into())));
    assert!(machine.find(&with("DIRc:DIRk#:DIRca")).unwrap().is_some());
    assert!(machine.wrong(&with("DIRc:DIRk#secret")).contains("openssl pkey"));
    assert!(!machine.wrong(&with("DIRc:DIRk#secret")).contains("secret"));
    assert!(machine.wrong(&with("DIRnone")).contains("none: No such file"));
    for text in ["", ":", "c:", "a:b:c:d"] {
        assert!(machine.wrong(&with(text)).contains("neither a file"), "{text}");
    }
    let ca = KubernetesOptions { ca: Some("/no/such".into()), ..url("https://h") };
    assert!(machine.wrong(&ca).contains("/no/such"));
}

#[test]
fn kubeconfigs_that_do_not_do_say_why() {
    let check = |text: &str, reason: &str| {
        let machine = Machine::new(&[], &[("config", text), ("pki/ca.crt", "CA")]);
        let kubeconfig = Some(machine.path("config").into());
        let error = machine.wrong(&KubernetesOptions { kubeconfig, ..KubernetesOptions::default() });
        assert!(error.contains(reason) && error.contains("config"), "{error}");
    };
    check("", "no current-context");
    check("current-context: x", "no context `x`");
    check("a: [", "line");
    check(&CONFIG.replace("user: me", "user: you"), "names no user");
    check(&CONFIG.replace("S0\n      VZ", "%"), "no base64");
    check(&CONFIG.replace("https://10.0.0.1:6443/base/", "10.0.0.1"), "no URL");
    check(&CONFIG.replace("tls-server-name: k", "proxy-url: http://p\n    tls-server-name: k"), "proxy-url");
    let plugin = format!("{CONFIG}- name: x\n").replace("current-context: here", "current-context: program");
    let plugin = plugin
        .replace("- name: x\n", "")
        .replace("contexts:", "- {name: plugin, user: {exec: {command: aws}}}\ncontexts:");
    check(&plugin, "kubectl create token");
    let missing = KubernetesOptions { kubeconfig: Some("/no/such".into()), ..KubernetesOptions::default() };
    assert!(Machine::new(&[], &[]).wrong(&missing).contains("/no/such"));
}

#[test]
fn several_kubeconfigs_are_one() {
    let machine = Machine::new(
        &[("KUBECONFIG", "DIR/none:DIR/a:DIR/b/config")],
        &[
            ("a", "current-context: here\nusers:\n- {name: me, user: {token: first}}"),
            ("b/config", CONFIG),
            ("b/pki/ca.crt", "CA"),
        ],
    );
    let access = machine.find(&KubernetesOptions::default()).unwrap().unwrap();
    assert_eq!(access.identity.token, Some(Material::Text(b"first".into())));
    assert_eq!(
        access.trust,
        Trust::Certificates(Material::File(Path::new(&machine.path("b/pki/ca.crt")).into()))
    );
}

#[test]
fn secrets_do_not_show() {
    let machine = Machine::new(
        &[],
        &[
            (
                "config",
                &CONFIG
                    .replace("client-key-data", "token: s3cret\n    username: s3cret\n    client-key-data"),
            ),
            ("pki/ca.crt", "CA"),
        ],
    );
    let kubeconfig = Some(machine.path("config").into());
    let access = machine.find(&KubernetesOptions { kubeconfig, ..KubernetesOptions::default() }).unwrap();
    let shown = format!("{access:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("KEY"), "{shown}");
}
