//! Registry client with the user's logins and proxies.

use std::{env, path::Path};

use sono_images::{ImageError, Options, Registry};

use crate::error::CliError;

/// Creates a client. It uses plain HTTP for registries in `insecure`, and, without `authorities`, for registries of
/// `images` on this machine.
pub(crate) fn client(insecure: &[String], authorities: Option<&Path>, images: &[String]) -> Result<Registry, CliError> {
    let names = images.iter().map(String::as_str);
    let options = Options::from_environment(|name| env::var_os(name), insecure, authorities, names)
        .map_err(|error| failed("cannot log in to registries", &error))?;
    Registry::new(options).map_err(|error| failed("cannot reach registries", &error))
}

fn failed(what: &str, error: &ImageError) -> CliError {
    CliError::new(what).caused_by(error)
}
