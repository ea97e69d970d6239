//! The CA of a run and the certificates that it signs.

use std::{fmt, net::IpAddr, time::Duration};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sono_types::PluginName;
use x509_parser::parse_x509_certificate;

use crate::{
    TlsError,
    key::{self, SigningKey},
};

/// Clocks of nodes differ, so certificates are valid from a day ago (weakness W-30).
const BACKDATED: Duration = Duration::from_hours(24);
/// Longer than any run; the CA is discarded with its run (weakness W-30: two days were too short).
const VALID: Duration = Duration::from_hours(24 * 3652);

/// The CA of a run.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    key_pem: String,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, without that of the CA.
    pub certificate_pem: String,
    /// The key as SEC1 (`EC PRIVATE KEY`) with the curve's identifier, the only form that Sonobuoy's worker accepts.
    pub key_pem: String,
}

impl Authority {
    /// Creates a CA, valid from a day before `now` for ten years.
    pub fn new(now: Timestamp) -> Result<Self, TlsError> {
        let SigningKey { pair, pem } = key::generate()?;
        let mut params = ca_params();
        set_validity(&mut params, now);
        let certificate = params.self_signed(&pair).map_err(|source| TlsError::Sign {
            subject: "the CA".to_owned(),
            source,
        })?;
        Ok(Self {
            issuer: Issuer::new(params, pair),
            certificate_pem: certificate.pem(),
            key_pem: pem,
        })
    }

    /// Loads a CA that [`Authority::new`] created, in this or an earlier process.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let SigningKey { pair, pem } = key::from_pem(key_pem)?;
        let der =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|source| TlsError::ReadCertificate {
                owner: "the CA",
                source,
            })?;
        let (_, certificate) = parse_x509_certificate(&der).map_err(|_| TlsError::ParseCa)?;
        if certificate.public_key().subject_public_key.data.as_ref() != pair.public_key_raw() {
            return Err(TlsError::ForeignKey);
        }
        Ok(Self {
            issuer: Issuer::new(ca_params(), pair),
            certificate_pem: certificate_pem.to_owned(),
            key_pem: pem,
        })
    }

    /// The CA's certificate.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The CA's key, as SEC1.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Creates a certificate for a server with these `names`: addresses or DNS names.
    pub fn server(&self, now: Timestamp, names: &[String]) -> Result<Identity, TlsError> {
        let alternative = names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
        self.sign(now, "sono aggregator", alternative, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Creates a certificate for the workers of one plugin. As in Sonobuoy, its DNS name is the plugin's name.
    pub fn client(&self, now: Timestamp, plugin: &PluginName) -> Result<Identity, TlsError> {
        self.sign(
            now,
            &format!("plugin {plugin}"),
            vec![dns_name(plugin.as_str())?],
            ExtendedKeyUsagePurpose::ClientAuth,
        )
    }

    fn sign(
        &self,
        now: Timestamp,
        subject: &str,
        alternative: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity, TlsError> {
        let SigningKey { pair, pem } = key::generate()?;
        let mut params = CertificateParams::default();
        set_validity(&mut params, now);
        params.distinguished_name = distinguished_name(subject);
        params.subject_alt_names = alternative;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&pair, &self.issuer).map_err(|source| TlsError::Sign {
            subject: subject.to_owned(),
            source,
        })?;
        Ok(Identity {
            certificate_pem: certificate.pem(),
            key_pem: pem,
        })
    }
}

/// All parameters of the CA except its validity. They are constant, so a stored CA can be used without parsing its
/// certificate. rcgen derives the serial number from the key.
fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name("sono run CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // X.520 limits a common name to 64 characters, which some verifiers check.
    name.push(DnType::CommonName, common_name.chars().take(64).collect::<String>());
    name
}

fn server_name(name: &str) -> Result<SanType, TlsError> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => dns_name(name),
    }
}

fn dns_name(name: &str) -> Result<SanType, TlsError> {
    name.try_into().map(SanType::DnsName).map_err(|source| TlsError::Name {
        name: name.to_owned(),
        source,
    })
}

/// Sets the validity. Computed from the epoch, because rcgen does not export its time type.
fn set_validity(params: &mut CertificateParams, now: Timestamp) {
    let now = Duration::from_secs(now.as_second().unsigned_abs());
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + now + VALID;
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authority")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}
