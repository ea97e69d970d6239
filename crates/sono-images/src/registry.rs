//! A client for all registries.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};

use crate::{Credentials, ImageError};

/// Settings for access to registries.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub credentials: Credentials,
    /// Registries (`host[:port]`) that speak plain HTTP.
    pub plain_http: BTreeSet<String>,
    /// A PEM file of certificate authorities, in addition to the system's.
    pub authorities: Option<PathBuf>,
    /// The values of `HTTPS_PROXY` and `NO_PROXY`.
    pub https_proxy: Option<String>,
    pub no_proxy: Option<String>,
}

impl Options {
    /// This user's logins and proxies, from environment variables. Registries in `plain` use plain HTTP, and so do
    /// those of `images` on this machine, as in container engines, unless `authorities` are given.
    pub fn from_environment<'name>(
        variable: impl Fn(&str) -> Option<OsString>,
        plain: &[String],
        authorities: Option<&Path>,
        images: impl IntoIterator<Item = &'name str>,
    ) -> Result<Self, ImageError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let credentials = match Credentials::default_path(|name| set(name).map(PathBuf::from)) {
            Some(path) => Credentials::read(&path)?,
            None => Credentials::default(),
        };
        let hosts = images.into_iter().filter_map(|image| image.split('/').next());
        let loopback = hosts.filter(|host| authorities.is_none() && is_on_loopback(host));
        let text = |names: [&str; 2]| names.into_iter().find_map(|name| set(name)?.into_string().ok());
        Ok(Self {
            credentials,
            plain_http: plain.iter().cloned().chain(loopback.map(ToOwned::to_owned)).collect(),
            authorities: authorities.map(Path::to_owned),
            https_proxy: text(["HTTPS_PROXY", "https_proxy"]),
            no_proxy: text(["NO_PROXY", "no_proxy"]),
        })
    }
}

/// Whether a registry (`host[:port]`) is on this machine.
fn is_on_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A client for all registries.
pub struct Registry {
    pub(crate) client: Client,
    credentials: Credentials,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Timeout of a read; slow but steady transfers continue.
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
            // A blob is pushed in one request; chunks would be one request each.
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

    /// Parses a reference like Docker: `busybox` is in Docker's library.
    pub fn reference(image: &str) -> Result<Reference, ImageError> {
        image.parse().map_err(|source| ImageError::Reference {
            image: image.to_owned(),
            source,
        })
    }

    pub(crate) fn auth(&self, reference: &Reference) -> Result<RegistryAuth, ImageError> {
        self.credentials.auth(reference.registry())
    }

    /// Logs in, so that blobs can be read and written.
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

/// One entry per certificate, since the client uses only the first of a bundle.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_on_this_machine_speak_plain_http_unless_an_authority_is_named() {
        let images = [
            "127.0.0.1:5000/a/b:1",
            "localhost/b",
            "[::1]:5000/c",
            "a.example/d",
            "e",
        ];
        let options = |authorities: Option<&Path>| {
            let plain = ["a.example:80".to_owned()];
            Options::from_environment(|_| None, &plain, authorities, images)
                .unwrap()
                .plain_http
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(
            options(None),
            names(&["127.0.0.1:5000", "localhost", "[::1]:5000", "a.example:80"])
        );
        assert_eq!(options(Some(Path::new("ca.pem"))), names(&["a.example:80"]));
    }

    #[test]
    fn proxies_are_those_of_the_environment() {
        let variable = |name: &str| match name {
            "HTTPS_PROXY" => Some(OsString::new()),
            "https_proxy" => Some("http://proxy.example".into()),
            "NO_PROXY" => Some("a.example".into()),
            _ => None,
        };
        let Options {
            https_proxy, no_proxy, ..
        } = Options::from_environment(variable, &[], None, []).unwrap();
        assert_eq!(https_proxy.as_deref(), Some("http://proxy.example"));
        assert_eq!(no_proxy.as_deref(), Some("a.example"));
    }
}
