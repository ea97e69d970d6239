//! Verifies API servers with the authorities of a kubeconfig. Like Go, accepts a server that presents a configured
//! authority's own certificate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{pem, refreshed::Refreshed};

/// Verifies a chain to an authority, or the certificate of an authority itself.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Refreshed<Arc<Trust>>,
}

#[derive(Debug)]
struct Trust {
    chains: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

impl Trust {
    fn new(
        authorities: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<Self>, VerifierBuilderError> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(authorities.iter().cloned());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build()?;
        Ok(Arc::new(Self { chains, authorities }))
    }
}

impl Verifier {
    /// Trusts `authorities`, which are replaced by those of `file` when it changes. Fails if there are none.
    pub(super) fn new(
        authorities: Vec<CertificateDer<'static>>,
        file: Option<PathBuf>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let trust = Trust::new(authorities, &provider)?;
        Ok(Self {
            provider,
            trust: Refreshed::new(trust, file),
        })
    }

    /// The current authorities: the last ones, if the file is no longer readable.
    fn trust(&self) -> Arc<Trust> {
        self.trust.get(|file: &Path| {
            let certificates = fs_err::read(file)
                .map(|text| pem::certificates(&text))
                .unwrap_or_default();
            let authorities = certificates.into_iter().map(CertificateDer::from).collect();
            Trust::new(authorities, &self.provider)
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let trust = self.trust();
        let chained = trust
            .chains
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let is_authority = || trust.authorities.iter().any(|authority| authority == end_entity);
        match chained {
            Err(_) if is_authority() => verify_authority(end_entity, server_name, now),
            decided => decided,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust().chains.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust().chains.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust().chains.supported_verify_schemes()
    }
}

/// Checks time, purpose and name of a trusted certificate, which needs no issuer. The handshake's signature, which
/// proves possession of the key, is verified as usual.
fn verify_authority(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let seconds = |time: x509_parser::time::ASN1Time| {
        let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    };
    let (not_before, not_after) = (seconds(parsed.validity.not_before), seconds(parsed.validity.not_after));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    let purposes = parsed
        .extended_key_usage()
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    if purposes.is_some_and(|purposes| !purposes.value.any && !purposes.value.server_auth) {
        return Err(CertificateError::InvalidPurpose.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
    Ok(ServerCertVerified::assertion())
}
