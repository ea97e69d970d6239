//! What can go wrong with certificates, keys and configurations.

use rustls::{pki_types::pem, server::VerifierBuilderError};

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No key could be made: the system gives no random numbers.
    #[error("generate a key")]
    GenerateKey,
    /// A key is not one that can sign here: ECDSA on P-256, as SEC1 or PKCS#8.
    #[error("load the signing key")]
    LoadKey(#[source] rcgen::Error),
    /// A name cannot stand in a certificate.
    #[error("put the name {name:?} into a certificate")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// The CA did not sign.
    #[error("sign the certificate of {subject}")]
    Sign {
        /// Whose certificate it would have been.
        subject: String,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// Text that holds no certificate.
    #[error("read the certificate of {whose}")]
    ReadCertificate {
        /// `the CA` or `this side`.
        whose: &'static str,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// Text that holds no private key.
    #[error("read the private key")]
    ReadKey(#[source] pem::Error),
    /// A CA's certificate that cannot be understood.
    #[error("understand the CA's certificate")]
    ParseCa,
    /// The certificate is another key's.
    #[error("the CA's certificate and key do not belong together")]
    ForeignKey,
    /// The CA's certificate is no trust anchor.
    #[error("trust the CA's certificate")]
    TrustCa(#[source] rustls::Error),
    /// Client certificates cannot be verified with this CA.
    #[error("set up the verification of client certificates")]
    Verifier(#[source] VerifierBuilderError),
    /// No protocol version that both rustls and its provider know.
    #[error("choose the protocol versions")]
    Versions(#[source] rustls::Error),
    /// Certificate and key were refused: they do not belong together, or the key is of a kind that is not known.
    #[error("use the certificate and its key")]
    UseIdentity(#[source] rustls::Error),
}
