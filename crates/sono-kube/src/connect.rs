//! Clients from a kubeconfig or from the service account of a pod.
//!
//! Files are read and normalised here, before kube sees them, so that sono connects wherever kubectl does
//! (`docs/configuration.md`, "Kubeconfig"). [`kubeconfig`], [`settings`], [`proxy`], [`url`] and [`pem`] are pure.

mod environment;
mod forward;
mod kubeconfig;
mod pem;
mod plugin;
mod program;
mod proxy;
mod refreshed;
mod settings;
mod token;
mod transport;
mod url;
mod verifier;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use kube::{Client, Config};
use rustls::pki_types::CertificateDer;

pub use self::environment::Environment;
use self::{kubeconfig::Kubeconfig, settings::Settings};
use crate::error::{Cause, KubeError};

/// Largest kubeconfig, or file that it names, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The cluster to connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// Path of a kubeconfig; otherwise `KUBECONFIG`, `~/.kube/config`, then the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; otherwise its current context.
    pub context: Option<String>,
}

/// Reads the configuration and creates a client. Runs credential plugins, and so may block until the user has logged in.
pub(crate) fn first_client(
    connection: &Connection,
    environment: &Environment,
) -> Result<(Client, ClientFactory, Names), KubeError> {
    let (settings, names) = configuration(connection, environment)?;
    let factory = ClientFactory(settings);
    Ok((factory.client(true)?, factory, names))
}

/// Creates clients of one configuration.
#[derive(Debug, Clone)]
pub(crate) struct ClientFactory(Settings);

impl ClientFactory {
    /// A client that retries transient errors, or one that returns the first response.
    pub(crate) fn client(&self, retries: bool) -> Result<Client, KubeError> {
        transport::client(&self.0, retries)
    }

    /// URL of the API server.
    pub(crate) fn server(&self) -> String {
        let url = self.0.config.cluster_url.to_string();
        url.trim_end_matches('/').to_owned()
    }
}

/// Names in the kubeconfig.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) context: Option<String>,
    pub(crate) user: Option<String>,
}

/// Parses a kubeconfig like [`crate::Cluster::connect_in`], up to the client, without reading other files or running programs.
/// Returns the URL of the API server.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub fn check_kubeconfig(text: &[u8], environment: &Environment) -> Result<String, KubeError> {
    let mut kubeconfig = Kubeconfig::default();
    let absent = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let mut settings = kubeconfig
        .add(Path::new("kubeconfig"), text)
        .and_then(|()| kubeconfig.select(None))
        .and_then(|selected| Settings::of(&selected, environment, &absent))
        .map_err(KubeError::Configuration)?
        .without_programs();
    // The system's certificate store is not checked here.
    settings.config.accept_invalid_certs |= settings.authorities.is_empty();
    settings.token_file = None;
    transport::client(&settings, true)?;
    Ok(settings.config.cluster_url.to_string())
}

/// Kubeconfig that credentials are checked with.
const ANY_CLUSTER: &[u8] = b"current-context: c\ncontexts: [{name: c, context: {cluster: c}}]\n\
clusters: [{name: c, cluster: {server: 'https://localhost', insecure-skip-tls-verify: true}}]\n";

/// Parses the output of a credential plugin (`ExecCredential`) like [`crate::Cluster::connect_in`], up to the TLS configuration.
pub fn check_credential(answer: &[u8]) -> Result<(), KubeError> {
    let credential = plugin::parse(answer).map_err(KubeError::Configuration)?;
    let Some((certificate, key)) = &credential.identity else {
        return Ok(());
    };
    let mut kubeconfig = Kubeconfig::default();
    let absent = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let settings = kubeconfig
        .add(Path::new("kubeconfig"), ANY_CLUSTER)
        .and_then(|()| kubeconfig.select(None))
        .and_then(|selected| Settings::of(&selected, &Environment::default(), &absent))
        .and_then(|settings| settings.with_identity(certificate, key))
        .map_err(KubeError::Configuration)?;
    transport::install_provider();
    transport::tls(&settings)?;
    Ok(())
}

fn configuration(connection: &Connection, environment: &Environment) -> Result<(Settings, Names), KubeError> {
    let mut kubeconfig = Kubeconfig::default();
    let mut absent = None;
    for path in files(connection, environment) {
        match read(&path) {
            Ok(bytes) => kubeconfig.add(&path, &bytes).map_err(KubeError::Configuration)?,
            // Missing files of a list or the default file are skipped.
            Err(error) if error.kind() == io::ErrorKind::NotFound && connection.kubeconfig.is_none() => {
                absent.get_or_insert_with(|| described(&path, &error));
            }
            Err(error) => return Err(KubeError::Configuration(described(&path, &error))),
        }
    }
    if connection.kubeconfig.is_none() && kubeconfig.is_empty() && connection.context.is_none() {
        return in_cluster(absent.unwrap_or_else(|| Cause("the kubeconfig is empty".to_owned())));
    }
    let selected = kubeconfig
        .select(connection.context.as_deref())
        .map_err(|error| KubeError::Configuration(absent.unwrap_or(error)))?;
    let mut settings = Settings::of(&selected, environment, &read).map_err(KubeError::Configuration)?;
    if let Some(plugin) = &mut settings.plugin {
        program::find(plugin, environment)?;
    }
    let names = Names {
        context: Some(selected.context),
        user: selected.user_name,
    };
    Ok((settings, names))
}

/// The kubeconfig files to read, in order.
fn files(connection: &Connection, environment: &Environment) -> Vec<PathBuf> {
    if let Some(path) = &connection.kubeconfig {
        return vec![path.clone()];
    }
    if let Some(list) = environment.get("KUBECONFIG") {
        let named: Vec<PathBuf> = std::env::split_paths(list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        if !named.is_empty() {
            return named;
        }
    }
    let home = environment.home().map(|home| home.join(".kube").join("config"));
    home.into_iter().collect()
}

#[expect(clippy::disallowed_types, reason = "its errors name the path twice")]
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

fn described(path: &Path, error: &io::Error) -> Cause {
    Cause(format!("{}: {error}", path.display()))
}

fn in_cluster(absent: Cause) -> Result<(Settings, Names), KubeError> {
    let mut config = Config::incluster().map_err(|_| KubeError::NoConfiguration(absent))?;
    let authorities = config.root_cert.take().into_iter().flatten();
    let settings = Settings {
        authorities: authorities.map(CertificateDer::from).collect(),
        authority_file: config.root_cert_file.take(),
        token_file: config.auth_info.token_file.take().map(PathBuf::from),
        token: None,
        proxy: None,
        plugin: None,
        config,
    };
    Ok((settings, Names::default()))
}
