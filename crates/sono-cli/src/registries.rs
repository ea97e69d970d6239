//! A client for registries, with this user's logins and proxies.

use std::{
    env,
    net::IpAddr,
    path::{Path, PathBuf},
};

use sono_images::{Credentials, Options, Registry};

use crate::error::CliError;

/// A client. Registries of `images` on this machine, and those in `insecure`, speak plain HTTP.
pub(crate) fn client(insecure: &[String], authorities: Option<&Path>, images: &[String]) -> Result<Registry, CliError> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let credentials = match Credentials::usual_path(variable) {
        Some(path) => {
            Credentials::read(&path).map_err(|error| CliError::new("cannot log in to registries").caused_by(&error))?
        }
        None => Credentials::default(),
    };
    let hosts = images.iter().filter_map(|image| image.split('/').next());
    let loopback = hosts.filter(|host| is_loopback(host)).map(ToOwned::to_owned);
    let text = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let options = Options {
        credentials,
        plain_http: insecure.iter().cloned().chain(loopback).collect(),
        authorities: authorities.map(Path::to_owned),
        https_proxy: text(["HTTPS_PROXY", "https_proxy"]),
        no_proxy: text(["NO_PROXY", "no_proxy"]),
    };
    Registry::new(options).map_err(|error| CliError::new("cannot reach registries").caused_by(&error))
}

/// Registries on this machine speak plain HTTP, as container engines take it.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
