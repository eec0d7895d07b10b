//! Where engines listen: what the user and the environment say, and every usual place.

use super::requests::UNDER_WAY_MAX;
use std::path::{Path, PathBuf};

/// What an engine behind a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// The Docker API.
    Docker,
    /// The Kubernetes container runtime interface.
    Cri,
}

impl Protocol {
    /// Connections that a client uses at a time.
    pub(super) fn connections(self) -> usize {
        match self {
            // Questions, and the stream of events.
            Self::Docker => UNDER_WAY_MAX + 1,
            // All calls share one.
            Self::Cri => 1,
        }
    }
}

/// Usual sockets; `*` stands for each user's id.
const USUAL: &[(&str, Protocol)] = &[
    ("/run/docker.sock", Protocol::Docker),
    ("/run/user/*/docker.sock", Protocol::Docker),
    ("/run/podman/podman.sock", Protocol::Docker),
    ("/run/user/*/podman/podman.sock", Protocol::Docker),
    ("/run/containerd/containerd.sock", Protocol::Cri),
    ("/run/crio/crio.sock", Protocol::Cri),
    ("/run/k3s/containerd/containerd.sock", Protocol::Cri),
    ("/run/k0s/containerd.sock", Protocol::Cri),
    ("/run/cri-dockerd.sock", Protocol::Cri),
    ("/run/host-containerd/containerd.sock", Protocol::Cri),
    ("/var/snap/microk8s/common/run/containerd.sock", Protocol::Cri),
];
/// Variables by which the clients of the engines are told a socket.
const VARIABLES: &[(&str, Protocol)] = &[
    ("DOCKER_HOST", Protocol::Docker),
    ("CONTAINER_HOST", Protocol::Docker),
    ("CONTAINER_RUNTIME_ENDPOINT", Protocol::Cri),
];

/// All sockets to look at, each once.
pub(super) fn all(cri: &[PathBuf], env: impl Fn(&str) -> Option<String>) -> Vec<(PathBuf, Protocol)> {
    let mut all: Vec<(PathBuf, Protocol)> = Vec::new();
    let mut add = |path: PathBuf, protocol| {
        let path = without_link(&path);
        if !all.iter().any(|(known, of)| *known == path && *of == protocol) {
            all.push((path, protocol));
        }
    };
    for path in cri {
        add(path.clone(), Protocol::Cri);
    }
    for (name, protocol) in VARIABLES {
        // Other schemes (tcp, ssh) lead to other machines, whose containers are not here.
        if let Some(path) = env(name).and_then(|value| Some(value.strip_prefix("unix://")?.to_owned())) {
            add(path.into(), *protocol);
        }
    }
    for (pattern, protocol) in USUAL {
        match pattern.split_once('*') {
            None => add(pattern.into(), *protocol),
            Some((parent, rest)) => {
                let users = std::fs::read_dir(parent).into_iter().flatten().flatten();
                users.for_each(|user| add(user.path().join(rest.trim_start_matches('/')), *protocol));
            }
        }
    }
    all
}

/// `/var/run` is a link to `/run`.
fn without_link(path: &Path) -> PathBuf {
    match path.strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest),
        Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_says_comes_first_and_nothing_twice() {
        let env = |name: &str| match name {
            "DOCKER_HOST" => Some("unix:///var/run/docker.sock".to_owned()),
            "CONTAINER_HOST" => Some("ssh://elsewhere/podman.sock".to_owned()),
            _ => None,
        };
        let all = all(&["/x/cri.sock".into()], env);
        assert_eq!(all[0], ("/x/cri.sock".into(), Protocol::Cri));
        assert_eq!(all[1], ("/run/docker.sock".into(), Protocol::Docker));
        assert_eq!(all.iter().filter(|(p, _)| p == Path::new("/run/docker.sock")).count(), 1);
        assert!(all.iter().all(|(p, _)| !p.to_string_lossy().contains('*') && !p.ends_with("podman.sock/x")));
        assert!(all.iter().any(|(p, _)| p == Path::new("/run/crio/crio.sock")));
    }
}
