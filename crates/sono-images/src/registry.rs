//! One client for all registries.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use fs_err as fs;
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};

use crate::{Credentials, ImageError};

/// How registries are reached.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub credentials: Credentials,
    /// Registries (`host[:port]`) that speak plain HTTP. Those on the loopback interface need not be named.
    pub plain_http: BTreeSet<String>,
    /// A PEM file of authorities to trust beside the system's.
    pub authorities: Option<PathBuf>,
    /// `NAME=value` of the usual proxy variables.
    pub https_proxy: Option<String>,
    pub no_proxy: Option<String>,
}

/// A client for registries.
pub struct Registry {
    pub(crate) client: Client,
    credentials: Credentials,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Says that a registry has stopped answering; a slow one goes on.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

impl Registry {
    pub fn new(options: Options) -> Result<Self, ImageError> {
        let Options {
            credentials,
            plain_http,
            authorities,
            https_proxy,
            no_proxy,
        } = options;
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain_http.into_iter().collect()),
            extra_root_certificates: authorities.map(read_authorities).transpose()?.unwrap_or_default(),
            // One request for a blob, however large; chunks are a request each.
            use_monolithic_push: true,
            read_timeout: Some(READ_TIMEOUT),
            connect_timeout: Some(CONNECT_TIMEOUT),
            user_agent: concat!("sono/", env!("CARGO_PKG_VERSION")),
            https_proxy,
            no_proxy,
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|source| ImageError::Client { source })?;
        Ok(Self { client, credentials })
    }

    /// Parses a name as Docker does: `busybox` is in Docker's library.
    pub fn reference(image: &str) -> Result<Reference, ImageError> {
        image.parse().map_err(|source| ImageError::Reference {
            image: image.to_owned(),
            source,
        })
    }

    pub(crate) fn auth(&self, reference: &Reference) -> Result<RegistryAuth, ImageError> {
        self.credentials.auth(reference.registry())
    }

    /// Logs in once, so that blobs can be read and written.
    pub(crate) async fn log_in(&self, reference: &Reference, operation: RegistryOperation) -> Result<(), ImageError> {
        let auth = self.auth(reference)?;
        self.client
            .auth(reference, &auth, operation)
            .await
            .map_err(|source| ImageError::Login {
                image: reference.whole(),
                source,
            })?;
        Ok(())
    }
}

/// One entry per certificate: the client takes a bundle's first alone.
fn read_authorities(path: PathBuf) -> Result<Vec<Certificate>, ImageError> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(ImageError::Authorities { path, source }),
    };
    let certificates: Vec<_> = text
        .split_inclusive(END)
        .filter_map(|part| {
            let begin = part.find("-----BEGIN CERTIFICATE-----")?;
            part.ends_with(END).then(|| Certificate {
                encoding: CertificateEncoding::Pem,
                data: part.as_bytes()[begin..].to_vec(),
            })
        })
        .collect();
    if certificates.is_empty() {
        return Err(ImageError::NoAuthority { path });
    }
    Ok(certificates)
}
