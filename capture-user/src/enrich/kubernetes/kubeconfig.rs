//! Kubeconfig files: the cluster and the user of the current context. Several files count as one, in
//! which what comes first is true.

use super::access::{Access, Identity, Material, Server, Trust, read_bounded};
use super::yaml;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Why a kubeconfig was not understood.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub struct KubeconfigError {
    file: PathBuf,
    reason: String,
}

/// One entry of `clusters`, `users` or `contexts`, and the file that it stands in.
struct Entry<'a> {
    file: &'a Path,
    value: &'a Value,
}

/// Reads files; there is at least one.
pub(super) fn read(files: &[PathBuf]) -> Result<Access, KubeconfigError> {
    let mut documents = Vec::new();
    for file in files {
        documents.push((file.as_path(), document(file)?));
    }
    let file = files.first().map(PathBuf::as_path).unwrap_or_else(|| Path::new(""));
    let current = documents.iter().find_map(|(_, d)| text(d, "current-context"));
    let current = current.ok_or_else(|| error(file, "no current-context in it"))?;
    let context = find(&documents, "contexts", "context", current)
        .ok_or_else(|| error(file, format!("no context `{current}`, which is the current one, in it")))?;
    let part = |list: &str, member: &str| {
        let missing =
            || error(context.file, format!("the context `{current}` names no {member} that is there"));
        let name = text(context.value, member).ok_or_else(missing)?;
        find(&documents, list, member, name).ok_or_else(missing)
    };
    let (cluster, user) = (part("clusters", "cluster")?, part("users", "user")?);
    let url = text(cluster.value, "server").ok_or_else(|| cluster.error("a cluster without a server"))?;
    let (server, _) = Server::parse(url).map_err(|wrong| cluster.error(wrong.to_string()))?;
    for (member, what) in [("proxy-url", "a proxy"), ("as", "acting as another user")] {
        if [&cluster, &user].iter().any(|entry| text(entry.value, member).is_some()) {
            return Err(error(file, format!("{member}: {what} is not supported; give -k and -K instead")));
        }
    }
    Ok(Access {
        server,
        trust: cluster.trust()?,
        tls_name: text(cluster.value, "tls-server-name").map(str::to_owned),
        identity: user.identity()?,
        source: format!("context {current} of {}", context.file.display()),
        is_guess: false,
    })
}

fn error(file: &Path, reason: impl Into<String>) -> KubeconfigError {
    KubeconfigError { file: file.to_owned(), reason: reason.into() }
}

fn document(file: &Path) -> Result<Value, KubeconfigError> {
    let bytes = read_bounded(file).map_err(|wrong| error(file, wrong.to_string()))?;
    let bytes = bytes.ok_or_else(|| error(file, "too long for a kubeconfig"))?;
    let text = String::from_utf8(bytes).map_err(|_| error(file, "no text in UTF-8"))?;
    yaml::parse(&text).map_err(|wrong| error(file, wrong.to_string()))
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member)?.as_str().filter(|text| !text.is_empty())
}

fn find<'a>(documents: &'a [(&'a Path, Value)], list: &str, member: &str, name: &str) -> Option<Entry<'a>> {
    documents.iter().find_map(|(file, document)| {
        let entries = document.get(list)?.as_array()?;
        let entry = entries.iter().find(|entry| text(entry, "name") == Some(name))?;
        Some(Entry { file, value: entry.get(member)? })
    })
}

impl Entry<'_> {
    fn error(&self, reason: impl Into<String>) -> KubeconfigError {
        error(self.file, reason)
    }

    /// The material of a member `NAME-data` (base64) or `NAME` (a file, by its place beside this one).
    fn material(&self, member: &str) -> Result<Option<Material>, KubeconfigError> {
        let data = format!("{member}-data");
        if let Some(encoded) = text(self.value, &data) {
            let compact: String = encoded.split_ascii_whitespace().collect();
            let decoded = STANDARD.decode(compact);
            let decoded = decoded.map_err(|wrong| self.error(format!("{data}: no base64: {wrong}")))?;
            return Ok(Some(Material::Text(decoded)));
        }
        Ok(text(self.value, member).map(|path| Material::File(self.beside(path))))
    }

    fn beside(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or_else(|| Path::new("")).join(path)
    }

    fn trust(&self) -> Result<Trust, KubeconfigError> {
        let is_blind = self.value.get("insecure-skip-tls-verify") == Some(&Value::Bool(true));
        Ok(match self.material("certificate-authority")? {
            _ if is_blind => Trust::Blind,
            Some(material) => Trust::Certificates(material),
            None => Trust::System,
        })
    }

    fn identity(&self) -> Result<Identity, KubeconfigError> {
        let certificate = self.material("client-certificate")?.zip(self.material("client-key")?);
        let by_file = text(self.value, "tokenFile").map(|path| Material::File(self.beside(path)));
        let token = by_file.or_else(|| text(self.value, "token").map(|t| Material::Text(t.into())));
        let password = text(self.value, "password").unwrap_or("");
        let login = text(self.value, "username").map(|user| format!("{user}:{password}"));
        let login = login.map(|login| Material::Text(login.into()));
        let identity = Identity { token, certificate, login };
        let has_none = identity == Identity::default();
        for member in ["exec", "auth-provider"] {
            if has_none && self.value.get(member).is_some_and(Value::is_object) {
                return Err(self.error(format!(
                    "the user's credentials come from a program ({member}), which capture does not run; write a \
                     token to a file (`kubectl create token ACCOUNT > FILE`) and give it by -K FILE"
                )));
            }
        }
        Ok(identity)
    }
}
