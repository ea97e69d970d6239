//! Errors of certificates, keys and TLS configurations.

use rustls::{pki_types::pem, server::VerifierBuilderError};

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No key could be generated: the system provides no random numbers.
    #[error("cannot generate a key")]
    GenerateKey,
    /// The key is not ECDSA on P-256 in SEC1 or PKCS#8.
    #[error("cannot load the signing key")]
    LoadKey(#[source] rcgen::Error),
    /// The name is not allowed in a certificate.
    #[error("cannot create a certificate with the name {name:?}")]
    Name {
        /// The name.
        name: String,
        /// The reason.
        #[source]
        source: rcgen::Error,
    },
    /// The CA could not sign a certificate.
    #[error("cannot sign the certificate of {subject}")]
    Sign {
        /// The subject of the certificate.
        subject: String,
        /// The reason.
        #[source]
        source: rcgen::Error,
    },
    /// The text is not a certificate.
    #[error("cannot read the certificate of {owner}")]
    ReadCertificate {
        /// `the CA` or `this process`.
        owner: &'static str,
        /// The reason.
        #[source]
        source: pem::Error,
    },
    /// The text is not a private key.
    #[error("cannot read the private key")]
    ReadKey(#[source] pem::Error),
    /// The CA's certificate cannot be parsed.
    #[error("cannot parse the CA's certificate")]
    ParseCa,
    /// The certificate is for another key.
    #[error("the CA's certificate and key do not match")]
    ForeignKey,
    /// The CA's certificate is not a valid trust anchor.
    #[error("cannot trust the CA's certificate")]
    TrustCa(#[source] rustls::Error),
    /// Client certificates cannot be verified with this CA.
    #[error("cannot set up the verification of client certificates")]
    Verifier(#[source] VerifierBuilderError),
    /// rustls and its provider have no protocol version in common.
    #[error("cannot choose the protocol versions")]
    Versions(#[source] rustls::Error),
    /// Certificate and key were rejected: they do not match, or the key type is unknown.
    #[error("cannot use the certificate and its key")]
    UseIdentity(#[source] rustls::Error),
}
