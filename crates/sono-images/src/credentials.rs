//! Logins from the files written by `docker login` and compatible tools.
//!
//! The precedence is that of the Docker CLI: `credHelpers` for a registry, then `credsStore`, then `auths`.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fs_err as fs;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::ImageError;

/// Logins from a configuration file; anonymous without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    file: File,
}

/// The source of a registry's login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    Anonymous,
    Password {
        user: String,
        password: String,
    },
    /// The program `docker-credential-<name>`.
    Helper {
        name: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Entry {
    /// base64 of `user:password`.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// Names of Docker's own registry in these files.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "https://index.docker.io/v1/"];

impl Credentials {
    /// Reads the file at `path`; a missing file has no logins.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(ImageError::Credentials {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        Self::parse(&text).map_err(|source| ImageError::CredentialsFormat {
            path: path.to_owned(),
            source,
        })
    }

    /// The default path of this user, from environment variables: `$DOCKER_CONFIG`, else `.docker` in the home
    /// directory.
    pub fn default_path(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
        let directory = variable("DOCKER_CONFIG")
            .or_else(|| Some(variable("HOME").or_else(|| variable("USERPROFILE"))?.join(".docker")))?;
        Some(directory.join("config.json"))
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Self {
            file: serde_json::from_str(text)?,
        })
    }

    /// The source of the login for a registry (`host[:port]`).
    pub fn login(&self, registry: &str) -> Login {
        let names = names(registry);
        let File {
            auths,
            creds_store,
            cred_helpers,
        } = &self.file;
        if let Some(name) = names.iter().find_map(|name| cred_helpers.get(name)) {
            return Login::Helper { name: name.clone() };
        }
        let entry = auths
            .iter()
            .find(|(key, _)| names.iter().any(|name| name == *key || host(key) == name))
            .map(|(_, entry)| entry);
        if let Some(login) = entry.and_then(Entry::login) {
            return login;
        }
        match creds_store {
            Some(name) => Login::Helper { name: name.clone() },
            None => Login::Anonymous,
        }
    }

    /// The login for a registry, from a helper if configured. A helper without a login for it means anonymous.
    pub(crate) fn auth(&self, registry: &str) -> Result<RegistryAuth, ImageError> {
        match self.login(registry) {
            Login::Anonymous => Ok(RegistryAuth::Anonymous),
            Login::Password { user, password } => Ok(RegistryAuth::Basic(user, password)),
            Login::Helper { name } => run_helper(&name, registry),
        }
    }
}

fn names(registry: &str) -> Vec<String> {
    if DOCKER_HUB.contains(&registry) {
        return DOCKER_HUB.map(ToOwned::to_owned).to_vec();
    }
    vec![registry.to_owned()]
}

/// The host of a key, which may be a URL.
fn host(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    key.split('/').next().unwrap_or(key)
}

impl Entry {
    fn login(&self) -> Option<Login> {
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Some(Login::Password {
                user: user.clone(),
                password: password.clone(),
            });
        }
        let decoded = BASE64_STANDARD.decode(self.auth.as_deref()?.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Login::Password {
            user: user.to_owned(),
            // Some tools pad with NUL.
            password: password.trim_end_matches('\0').to_owned(),
        })
    }
}

/// Runs a credential helper: address on standard input, JSON on standard output.
fn run_helper(name: &str, registry: &str) -> Result<RegistryAuth, ImageError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let helper = format!("docker-credential-{name}");
    let failed = |reason: String| ImageError::Helper {
        helper: helper.clone(),
        registry: registry.to_owned(),
        reason,
    };
    let address = if DOCKER_HUB.contains(&registry) {
        DOCKER_HUB[2]
    } else {
        registry
    };
    let mut child = Command::new(&helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut input = child.stdin.take().expect("it was piped");
    let asked = input.write_all(address.as_bytes());
    drop(input);
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        // The message of helpers without a login for the registry.
        if said.contains("credentials not found") {
            return Ok(RegistryAuth::Anonymous);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{} {}", said.trim(), errors.trim()).trim().to_owned()));
    }
    asked.map_err(|error| failed(error.to_string()))?;
    let answer: Answer = serde_json::from_str(&said).map_err(|error| failed(error.to_string()))?;
    Ok(RegistryAuth::Basic(answer.username, answer.secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Login {
        Login::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    #[test]
    fn logins_are_found_by_registry() {
        // "a:b:c" and "hub:pass".
        let file = r#"{
            "auths": {
                "one.example:5000": {"auth": "YTpiOmM="},
                "https://two.example/v2/": {"username": "me", "password": "secret"},
                "https://index.docker.io/v1/": {"auth": "aHViOnBhc3M="},
                "three.example": {}
            },
            "credsStore": "desktop",
            "credHelpers": {"four.example": "cloud"}
        }"#;
        let credentials = Credentials::parse(file).unwrap();
        let helper = |name: &str| Login::Helper { name: name.to_owned() };
        assert_eq!(credentials.login("one.example:5000"), password("a", "b:c"));
        assert_eq!(credentials.login("two.example"), password("me", "secret"));
        assert_eq!(credentials.login("docker.io"), password("hub", "pass"));
        assert_eq!(credentials.login("index.docker.io"), password("hub", "pass"));
        assert_eq!(credentials.login("three.example"), helper("desktop"));
        assert_eq!(credentials.login("four.example"), helper("cloud"));
        assert_eq!(Credentials::default().login("one.example:5000"), Login::Anonymous);
    }

    #[test]
    fn missing_file_means_no_logins() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        assert_eq!(Credentials::read(&path).unwrap(), Credentials::default());
        fs::write(&path, "{").unwrap();
        let error = Credentials::read(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot parse {}", path.display()));
    }

    #[test]
    fn default_path_of_the_file() {
        let variables = |set: &'static [(&str, &str)]| {
            Credentials::default_path(|name| {
                set.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| PathBuf::from(value))
            })
        };
        assert_eq!(
            variables(&[("HOME", "/home/me")]),
            Some(PathBuf::from("/home/me/.docker/config.json"))
        );
        assert_eq!(
            variables(&[("HOME", "/home/me"), ("DOCKER_CONFIG", "/etc/d")]),
            Some(PathBuf::from("/etc/d/config.json"))
        );
        assert_eq!(variables(&[]), None);
    }
}
