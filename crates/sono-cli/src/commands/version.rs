//! `sono version`.

use sono_types::{constants, exit};

use crate::{aggregator::text, args, error::CliError, output::Printer, settings::connect};

/// This program's version.
pub(super) const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

pub(super) fn version(arguments: &args::Version, printer: &Printer) -> Result<u8, CliError> {
    let args::Version { short, cluster } = arguments;
    if *short {
        printer.line(VERSION)?;
        return Ok(exit::SUCCESS);
    }
    printer.line(&format!("sono version:    {VERSION}"))?;
    printer.line(&format!("Archive format:  {}", constants::ARCHIVE_VERSION))?;
    printer.line(&format!(
        "Platform:        {}/{}",
        std::env::consts::OS,
        std::env::consts::ARCH
    ))?;
    // Only who names a cluster asks about one: a version is wanted at once, and offline too.
    if cluster.kubeconfig.is_none() && cluster.context.is_none() {
        printer.line("API version:     not asked; name a cluster with --kubeconfig or --context")?;
        return Ok(exit::SUCCESS);
    }
    let asked = async { Ok::<_, CliError>(connect(cluster).await?.server_version().await?) };
    match super::in_runtime(asked) {
        Ok(version) => printer.line(&format!("API version:     {}", text(&version, "/gitVersion")))?,
        Err(error) => {
            printer.line("API version:     not known")?;
            printer.error(&error);
        }
    }
    Ok(exit::SUCCESS)
}
