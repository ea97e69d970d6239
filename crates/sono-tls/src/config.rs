//! rustls configurations for servers and clients.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{Identity, TlsError};

/// Makes aws-lc-rs the default crypto provider of the process, for libraries that use the default. Later calls have no
/// effect.
pub fn install_provider() {
    // Fails only if a provider is already installed.
    drop(aws_lc_rs::default_provider().install_default());
}

/// A server that sends its certificate and the CA's, and requires client certificates of that CA. TLS 1.2 or newer.
/// HTTP/1.1 only: workers use nothing else, and an HTTP/2 connection could carry any number of requests past the limits
/// on connections.
pub fn server_config(identity: &Identity, ca_pem: &str) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca_pem)?), provider())
        .build()
        .map_err(TlsError::Verifier)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate("this process", &identity.certificate_pem)?, ca(ca_pem)?],
            private_key(&identity.key_pem)?,
        )
        .map_err(TlsError::UseIdentity)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A client that trusts only that CA and sends its own certificate. The key may be SEC1 or PKCS#8.
pub fn client_config(ca_pem: &str, certificate_pem: &str, key_pem: &str) -> Result<ClientConfig, TlsError> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?
        .with_root_certificates(roots(ca_pem)?)
        .with_client_auth_cert(
            vec![certificate("this process", certificate_pem)?],
            private_key(key_pem)?,
        )
        .map_err(TlsError::UseIdentity)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(ca_pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca(ca_pem)?).map_err(TlsError::TrustCa)?;
    Ok(roots)
}

fn ca(pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    certificate("the CA", pem)
}

fn certificate(owner: &'static str, pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|source| TlsError::ReadCertificate { owner, source })
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(TlsError::ReadKey)
}
