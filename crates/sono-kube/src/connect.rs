//! From a kubeconfig, or the place inside a cluster, to a client.

use std::path::PathBuf;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use crate::{Cluster, KubeError, error::Cause};

/// Which cluster to talk to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// Path of a kubeconfig; otherwise `KUBECONFIG`, `~/.kube/config`, then the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; otherwise its current one.
    pub context: Option<String>,
}

impl Cluster {
    /// Reads the configuration and makes a client of it. Nothing is sent yet: an unreachable cluster shows at the first
    /// request.
    pub async fn connect(connection: &Connection) -> Result<Self, KubeError> {
        let (config, names) = configuration(connection).await?;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = Client::try_from(config.clone()).map_err(|error| KubeError::Configuration(Cause::of(&error)))?;
        Ok(Self::new(client, config, server, names))
    }
}

/// What the configuration calls things.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) context: Option<String>,
    pub(crate) user: Option<String>,
}

async fn configuration(connection: &Connection) -> Result<(Config, Names), KubeError> {
    let unusable = |error: KubeconfigError| KubeError::Configuration(cause(&error));
    let kubeconfig = match &connection.kubeconfig {
        Some(path) => Kubeconfig::read_from(path).map_err(unusable)?,
        None => match Kubeconfig::read() {
            Ok(kubeconfig) => kubeconfig,
            Err(error) if connection.context.is_none() && is_absent(&error) => return in_cluster(&error),
            Err(error) => return Err(unusable(error)),
        },
    };
    if connection.kubeconfig.is_none() && kubeconfig.clusters.is_empty() && connection.context.is_none() {
        return in_cluster(&KubeconfigError::CurrentContextNotSet);
    }
    let context = connection
        .context
        .clone()
        .or_else(|| kubeconfig.current_context.clone());
    let user = kubeconfig
        .contexts
        .iter()
        .find(|named| Some(&named.name) == context.as_ref())
        .and_then(|named| named.context.as_ref()?.user.clone());
    let options = KubeConfigOptions {
        context: context.clone(),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(unusable)?;
    Ok((config, Names { context, user }))
}

/// In the user's words where the client's own would hide what is wrong.
fn cause(error: &KubeconfigError) -> Cause {
    Cause(match error {
        KubeconfigError::ReadConfig(error, path) => format!("{}: {error}", path.display()),
        KubeconfigError::LoadContext(name) => format!("it has no context `{name}`"),
        KubeconfigError::LoadClusterOfContext(name) => format!("it has no cluster `{name}`"),
        KubeconfigError::CurrentContextNotSet => "it has no current context".to_owned(),
        // The others end with what is behind them.
        other => other.to_string(),
    })
}

/// No file at the place where one is looked for without being told.
fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn in_cluster(absent: &KubeconfigError) -> Result<(Config, Names), KubeError> {
    let config = Config::incluster().map_err(|_| KubeError::NoConfiguration(cause(absent)))?;
    Ok((config, Names::default()))
}
