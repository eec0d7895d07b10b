//! [`Access`]: which API server to ask, and as whom.
//!
//! What the user says comes first (`-k`, `-K`, `--k8s-ca`, `--kubeconfig`), then the account of the
//! pod that capture itself runs in, then `$KUBECONFIG` and `~/.kube/config`. A credential is sent to the
//! server that it was made for and to no other.

use super::kubeconfig::{self, KubeconfigError};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a pod finds what it needs to speak to the API server.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Variables that hold the name of the node, which manifests set (downward API).
const NODE_VARIABLES: [&str; 3] = ["NODE_NAME", "KUBE_NODE_NAME", "K8S_NODE_NAME"];
/// Longest file of credentials.
const FILE_MAX: u64 = 1 << 20;

/// What the user says of Kubernetes.
#[derive(Clone, Debug, Default)]
pub struct KubernetesOptions {
    /// URL of the API server (`-k`).
    pub url: Option<String>,
    /// Credentials (`-K`): a file with a bearer token, or `cert:key[#password][:ca]`.
    pub credentials: Option<String>,
    /// File with the certificates that the server's is checked by.
    pub ca: Option<PathBuf>,
    /// Kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// Name of this machine's node.
    pub node: Option<String>,
    /// Ask no server.
    pub is_off: bool,
}

/// Why an API server cannot be asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum AccessError {
    #[error("`{url}` is no URL of an API server ({reason}), such as https://10.96.0.1:443")]
    Url { url: String, reason: &'static str },
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("{}: more than {FILE_MAX} bytes: no file of a key, certificate or token", path.display())]
    TooLong { path: PathBuf },
    #[error("`{0}` is neither a file with a bearer token nor CERT:KEY[#PASSWORD][:CA]")]
    Credentials(String),
    #[error(
        "{}: keys with a password are not read; take it away by `openssl pkey -in {} -out KEY`",
        .0.display(), .0.display()
    )]
    Encrypted(PathBuf),
    #[error("{0}")]
    Kubeconfig(#[from] KubeconfigError),
    #[error("{what}: {reason}")]
    Tls { what: String, reason: String },
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) is_tls: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What stands before every path; without a slash at its end.
    pub(super) prefix: String,
}

/// Text of a key, a certificate or a token: at hand, or in a file, which is read anew for each
/// connection, since such files are replaced while they are in use.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Material {
    Text(Vec<u8>),
    File(PathBuf),
}

/// How the server is known to be the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// By the certificates of the system.
    System,
    /// By these certificates.
    Certificates(Material),
    /// It is not: the kubeconfig says `insecure-skip-tls-verify`.
    Blind,
}

/// As whom the server is asked.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Identity {
    pub(super) token: Option<Material>,
    /// Certificate and key.
    pub(super) certificate: Option<(Material, Material)>,
    /// `USER:PASSWORD`.
    pub(super) login: Option<Material>,
}

/// Everything that is needed to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) server: Server,
    pub(super) trust: Trust,
    /// The name that the server's certificate must have, where it is not that of the URL.
    pub(super) tls_name: Option<String>,
    pub(super) identity: Identity,
    /// Where this comes from, for messages.
    pub(super) source: String,
    /// Whether it was found without being asked for, in a place that need not concern this machine.
    pub(super) is_guess: bool,
}

/// The environment that a search looks at.
pub(super) struct Surroundings<'a> {
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) account: &'a Path,
}

impl Access {
    /// What the options, else the environment, say; `None` where there is nothing to ask.
    pub(super) fn find(options: &KubernetesOptions) -> Result<Option<Access>, AccessError> {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Access::find_in(options, &Surroundings { env: &env, account: Path::new(ACCOUNT) })
    }

    pub(super) fn find_in(
        options: &KubernetesOptions,
        around: &Surroundings<'_>,
    ) -> Result<Option<Access>, AccessError> {
        if options.is_off {
            return Ok(None);
        }
        let found = match &options.url {
            Some(url) => Some(of_url(url, options, around)?),
            None => found(options, around)?,
        };
        let Some(mut access) = found else { return Ok(None) };
        if let Some(text) = &options.credentials {
            access.identity = credentials(text, &mut access.trust)?;
        }
        if let Some(path) = &options.ca {
            access.trust = Trust::Certificates(Material::File(path.clone()));
        }
        access.check()?;
        Ok(Some(access))
    }

    /// Reads once what will be read again and again, so that a mistake is told at the start.
    fn check(&self) -> Result<(), AccessError> {
        let trust = match &self.trust {
            Trust::Certificates(material) if self.server.is_tls => Some(material),
            _ => None,
        };
        let certificate = self.identity.certificate.iter().flat_map(|(cert, key)| [cert, key]);
        for material in trust.into_iter().chain(certificate).chain(&self.identity.token) {
            material.read()?;
        }
        Ok(())
    }
}

/// The server that the user names; credentials only where they are for this server.
fn of_url(url: &str, options: &KubernetesOptions, around: &Surroundings<'_>) -> Result<Access, AccessError> {
    let (server, login) = Server::parse(url)?;
    // A kubeconfig that is named must be right; one that is found need not be for this.
    let known = match &options.kubeconfig {
        Some(_) => found(options, around)?,
        None => found(options, around).unwrap_or_default(),
    };
    if let Some(known) = known.filter(|known| known.server == server) {
        return Ok(Access { is_guess: false, ..known });
    }
    let login = login.map(|login| Material::Text(login.into()));
    let identity = Identity { login, ..Identity::default() };
    let (trust, source) = (Trust::System, "-k".to_owned());
    Ok(Access { server, trust, tls_name: None, identity, source, is_guess: false })
}

/// What there is without a URL.
fn found(options: &KubernetesOptions, around: &Surroundings<'_>) -> Result<Option<Access>, AccessError> {
    if let Some(path) = &options.kubeconfig {
        return Ok(Some(kubeconfig::read(std::slice::from_ref(path))?));
    }
    if let Some(access) = of_pod(around) {
        return Ok(Some(access));
    }
    let named = (around.env)("KUBECONFIG");
    let files: Vec<PathBuf> = match &named {
        Some(list) => std::env::split_paths(list).filter(|path| path.exists()).collect(),
        None => {
            let home = (around.env)("HOME").map(|home| Path::new(&home).join(".kube/config"));
            home.into_iter().filter(|path| path.exists()).collect()
        }
    };
    if files.is_empty() {
        return Ok(None);
    }
    Ok(Some(Access { is_guess: true, ..kubeconfig::read(&files)? }))
}

/// The account of the pod that this runs in.
fn of_pod(around: &Surroundings<'_>) -> Option<Access> {
    let host = (around.env)("KUBERNETES_SERVICE_HOST")?;
    let port = (around.env)("KUBERNETES_SERVICE_PORT").map_or(Some(443), |port| port.parse().ok())?;
    let token = around.account.join("token");
    token.exists().then(|| Access {
        server: Server { is_tls: true, host, port, prefix: String::new() },
        trust: Trust::Certificates(Material::File(around.account.join("ca.crt"))),
        tls_name: None,
        identity: Identity { token: Some(Material::File(token)), ..Identity::default() },
        source: "the account of this pod".into(),
        is_guess: false,
    })
}

/// `-K`: a file with a token, or `cert:key[#password][:ca]`.
fn credentials(text: &str, trust: &mut Trust) -> Result<Identity, AccessError> {
    let mut parts = text.split(':');
    let (Some(first), second, third) = (parts.next(), parts.next(), parts.next()) else {
        return Err(AccessError::Credentials(text.into()));
    };
    if first.is_empty() || parts.next().is_some() {
        return Err(AccessError::Credentials(text.into()));
    }
    let Some(key) = second else {
        return Ok(Identity { token: Some(Material::File(first.into())), ..Identity::default() });
    };
    let (key, password) = key.split_once('#').map_or((key, ""), |(key, password)| (key, password));
    let ca = third.filter(|ca| !ca.is_empty());
    if key.is_empty() {
        return Err(AccessError::Credentials(text.into()));
    }
    if !password.is_empty() {
        return Err(AccessError::Encrypted(key.into()));
    }
    if let Some(ca) = ca {
        *trust = Trust::Certificates(Material::File(ca.into()));
    }
    let certificate = Some((Material::File(first.into()), Material::File(key.into())));
    Ok(Identity { certificate, ..Identity::default() })
}

/// The name of this machine's node, as the user or the environment says it.
pub(super) fn node_told(options: &KubernetesOptions) -> Option<String> {
    let by_env = || NODE_VARIABLES.iter().find_map(|name| std::env::var(name).ok());
    options.node.clone().or_else(by_env).filter(|node| !node.is_empty())
}

impl Server {
    /// Reads a URL; `USER:PASSWORD` in it comes apart.
    pub(super) fn parse(url: &str) -> Result<(Server, Option<String>), AccessError> {
        let wrong = |reason| AccessError::Url { url: url.into(), reason };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no http:// or https://"))?;
        let is_tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        };
        if rest.contains(['?', '#', ' ', '\r', '\n']) {
            return Err(wrong("it has more than a host, a port and a path"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let parsed: hyper::http::uri::Authority =
            address.parse().map_err(|_| wrong("its host or port is none"))?;
        let port = match parsed.port() {
            Some(port) => Some(port.as_u16()),
            // `host:` and `host:99999` have a colon and no port.
            None if parsed.as_str().len() > parsed.host().len() => None,
            None => Some(if is_tls { 443 } else { 80 }),
        };
        let host = parsed.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let port = port.filter(|&port| port > 0).ok_or_else(|| wrong("its port is none"))?;
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok((Server { is_tls, host, port, prefix }, login.map(str::to_owned)))
    }

    /// What stands in the `Host` header.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}{}", if self.is_tls { "s" } else { "" }, self.authority(), self.prefix)
    }
}

impl Material {
    /// The text, as it is now.
    pub(super) fn read(&self) -> Result<Vec<u8>, AccessError> {
        let path = match self {
            Material::Text(text) => return Ok(text.clone()),
            Material::File(path) => path,
        };
        let wrong = |error| AccessError::File { path: path.clone(), error };
        let text = read_bounded(path).map_err(wrong)?;
        text.ok_or_else(|| AccessError::TooLong { path: path.clone() })
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Material::Text(_) => "the kubeconfig".into(),
            Material::File(path) => path.display().to_string(),
        }
    }
}

/// A whole file; `None` where it is too long.
pub(super) fn read_bounded(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut text)?;
    Ok((text.len() as u64 <= FILE_MAX).then_some(text))
}

/// Secrets are not shown.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Material::Text(text) => write!(f, "{} bytes", text.len()),
            Material::File(path) => write!(f, "{}", path.display()),
        }
    }
}
