//! `sono get`: names of pods, for scripts (cli §17.3).

use sono_kube::Kind;
use sono_types::{constants, exit};

use crate::{
    aggregator::text,
    args::{self, GetWhat},
    error::CliError,
    output::Printer,
    settings::connect,
};

pub(super) async fn get(arguments: args::Get, printer: &Printer) -> Result<u8, CliError> {
    let GetWhat::Pod(args::GetPod {
        location: args::RunLocation { namespace, cluster },
        plugin,
    }) = arguments.what;
    let (label, component) = constants::COMPONENT;
    let mut selector = format!("{label}={component},{}=plugin", constants::COMPONENT_LABEL);
    if let Some(plugin) = plugin {
        selector = format!("{selector},{}={plugin}", constants::PLUGIN_LABEL);
    }
    let cluster = connect(&cluster).await?;
    let pods = cluster.list(Kind::Pod, Some(&namespace), &selector).await;
    let pods =
        pods.map_err(|error| CliError::of_cluster(format!("cannot list the pods in namespace `{namespace}`"), &error))?;
    for pod in &pods {
        printer.line(text(pod, "/metadata/name"))?;
    }
    if pods.is_empty() {
        printer.note(&format!("no plugin pods in namespace `{namespace}`"));
    }
    Ok(exit::SUCCESS)
}
