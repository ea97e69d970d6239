//! Looks for the credential plugin of a kubeconfig before it is run, so that a missing one is named.

use std::path::{Path, PathBuf};

use kube::{Config, client::AuthError};

use super::environment::Environment;
use crate::{KubeError, error::Cause};

/// Replaces the plugin's command by its path, which is found in the `PATH` of this process and not in the one that the
/// kubeconfig gives to the plugin, as Go does it. Fails with the install hint where it is missing.
pub(super) fn find(config: &mut Config, environment: &Environment) -> Result<(), KubeError> {
    let Some(exec) = &mut config.auth_info.exec else {
        return Ok(());
    };
    let command = exec.command.clone().unwrap_or_default();
    let path = environment.get("PATH").cloned().unwrap_or_default();
    let extensions = environment.either(["PATHEXT", "pathext"]);
    let named = if command.contains(['/', std::path::MAIN_SEPARATOR]) {
        vec![PathBuf::from(&command)]
    } else {
        std::env::split_paths(&path)
            .map(|directory| directory.join(&command))
            .collect()
    };
    let found = named
        .iter()
        .flat_map(|path| with_extensions(path, extensions.as_deref()))
        .find(|path| is_program(path));
    match found {
        Some(found) => {
            exec.command = Some(found.to_string_lossy().into_owned());
            Ok(())
        }
        None => Err(KubeError::CredentialPlugin {
            install_hint: exec.install_hint.clone().map(|hint| hint.trim().to_owned()),
            source: Cause(match named.as_slice() {
                [path] if path.exists() => format!("{} is not an executable file", path.display()),
                [path] if path == Path::new(&command) => format!("{}: no such file", path.display()),
                _ => "no such program in PATH".to_owned(),
            }),
            program: command,
        }),
    }
}

/// On Windows a program is found without its extension.
fn with_extensions(path: &Path, extensions: Option<&str>) -> Vec<PathBuf> {
    let mut candidates = vec![path.to_owned()];
    if cfg!(windows) {
        let extensions = extensions.unwrap_or(".COM;.EXE;.BAT;.CMD").split(';');
        candidates.extend(extensions.map(|extension| {
            let mut name = path.as_os_str().to_owned();
            name.push(extension);
            PathBuf::from(name)
        }));
    }
    candidates
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Why a client could not be made: the plugin's failure with what it said, or anything else. A plugin's output may hold
/// a token, so it is not shown.
pub(super) fn failure(error: kube::Error, config: &Config) -> KubeError {
    let kube::Error::Auth(error) = error else {
        return KubeError::Configuration(Cause::of(&error));
    };
    let Some(exec) = &config.auth_info.exec else {
        return KubeError::Configuration(Cause::of(&error));
    };
    KubeError::CredentialPlugin {
        program: exec.command.clone().unwrap_or_default(),
        install_hint: None,
        source: Cause(match error {
            AuthError::AuthExecRun { out, .. } => {
                let said = String::from_utf8_lossy(&out.stderr);
                let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
                last.map_or_else(|| out.status.to_string(), |last| format!("{}: {last}", out.status))
            }
            AuthError::AuthExecStart(error) => error.to_string(),
            AuthError::ExecPluginFailed => "its answer has no status".to_owned(),
            AuthError::AuthExecParse(_) => "its answer is not an ExecCredential".to_owned(),
            other => other.to_string(),
        }),
    }
}
