//! TLS to the API server: whom to trust, and who we are.

use super::access::{Access, AccessError, Material, Trust};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Names of HTTP/2 and HTTP/1.1 in the handshake, the wanted one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// How a key with a password begins, in both its forms.
const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

/// What a connection needs, from files as they are now.
pub(super) fn config(access: &Access) -> Result<Arc<ClientConfig>, AccessError> {
    let provider = Arc::new(ring::default_provider());
    let wrong = |error: rustls::Error| tls_error("TLS", error);
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?;
    let builder = match &access.trust {
        Trust::System => builder.with_root_certificates(of_system()?),
        Trust::Certificates(material) => builder.with_root_certificates(roots(material)?),
        Trust::Blind => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
    };
    let mut config = match &access.identity.certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let wrong = |error: rustls::Error| tls_error(key.name(), error);
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(wrong)?
        }
    };
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// The name that the server's certificate must have.
pub(super) fn server_name(access: &Access) -> Result<ServerName<'static>, AccessError> {
    let name = access.tls_name.clone().unwrap_or_else(|| access.server.host.clone());
    ServerName::try_from(name.clone()).map_err(|error| tls_error(name, error))
}

fn tls_error(what: impl Into<String>, reason: impl ToString) -> AccessError {
    AccessError::Tls { what: what.into(), reason: reason.to_string() }
}

fn of_system() -> Result<RootCertStore, AccessError> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        return Err(tls_error(
            "certificates of the system",
            "there are none to check the server's by; give those of the cluster by --k8s-ca FILE",
        ));
    }
    Ok(store)
}

fn roots(material: &Material) -> Result<RootCertStore, AccessError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(material)? {
        store.add(certificate).map_err(|error| tls_error(material.name(), error))?;
    }
    Ok(store)
}

fn certificates(material: &Material) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let text = material.read()?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| tls_error(material.name(), error))?;
    if all.is_empty() { Err(tls_error(material.name(), "no certificate (PEM) in it")) } else { Ok(all) }
}

fn private_key(material: &Material) -> Result<PrivateKeyDer<'static>, AccessError> {
    let text = material.read()?;
    let is_encrypted = ENCRYPTED.iter().any(|sign| memchr::memmem::find(&text, sign.as_bytes()).is_some());
    if let (true, Material::File(path)) = (is_encrypted, material) {
        return Err(AccessError::Encrypted(path.clone()));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| tls_error(material.name(), error))
}

/// Trusts whoever answers: the kubeconfig asks for it.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
