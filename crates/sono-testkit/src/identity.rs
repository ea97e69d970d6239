//! Certificates of servers and clients, valid and invalid ones.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Validity period of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Valid now.
    Current,
    /// Until 2001.
    Past,
    /// From 2200 on.
    Future,
}

/// Contents of a certificate.
#[derive(Debug, Clone)]
pub struct Template<'a> {
    /// Common name.
    pub name: &'a str,
    /// Alternative names: hosts and addresses.
    pub hosts: &'a [&'a str],
    /// Whether the certificate is a CA's (CA:TRUE).
    pub authority: bool,
    /// Whether the certificate is for clients rather than servers.
    pub client: bool,
    /// Validity period.
    pub validity: Validity,
}

impl Default for Template<'_> {
    fn default() -> Self {
        Self {
            name: "sono-test",
            hosts: &["localhost", "127.0.0.1"],
            authority: false,
            client: false,
            validity: Validity::Current,
        }
    }
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Identity {
    parameters: CertificateParams,
    key: KeyPair,
    der: CertificateDer<'static>,
    pem: String,
}

impl Identity {
    /// Creates a self-signed certificate.
    pub fn self_signed(template: &Template<'_>) -> Self {
        let parameters = parameters(template);
        let key = KeyPair::generate().expect("keys can be generated");
        let certificate = parameters.self_signed(&key).expect("the template is valid");
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            parameters,
            key,
        }
    }

    /// Creates a certificate signed by this identity.
    #[must_use]
    pub fn issue(&self, template: &Template<'_>) -> Self {
        let parameters = parameters(template);
        let key = KeyPair::generate().expect("keys can be generated");
        let issuer = Issuer::from_params(&self.parameters, &self.key);
        let certificate = parameters.signed_by(&key, &issuer).expect("the template is valid");
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            parameters,
            key,
        }
    }

    /// The certificate as DER.
    pub fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key as PKCS #8 in PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("it is PKCS #8")
    }
}

fn parameters(template: &Template<'_>) -> CertificateParams {
    let hosts: Vec<String> = template.hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).expect("the hosts are valid");
    parameters.distinguished_name.push(DnType::CommonName, template.name);
    if template.authority {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    } else {
        let purpose = if template.client {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        };
        parameters.extended_key_usages = vec![purpose];
    }
    let (from, until) = match template.validity {
        Validity::Current => (2020, 2100),
        Validity::Past => (2000, 2001),
        Validity::Future => (2200, 2201),
    };
    parameters.not_before = date_time_ymd(from, 1, 1);
    parameters.not_after = date_time_ymd(until, 1, 1);
    parameters
}
