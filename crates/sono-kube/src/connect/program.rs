//! Finds the credential plugin of a kubeconfig before it is run, for a better error message.

use std::path::{Path, PathBuf};

use kube::config::ExecConfig;

use super::environment::Environment;
use crate::{KubeError, error::Cause};

/// Replaces the plugin's command by its path. Like Go, searches the `PATH` of this process, not the one that the
/// kubeconfig sets for the plugin. A missing plugin is reported with its install hint.
pub(super) fn find(exec: &mut ExecConfig, environment: &Environment) -> Result<(), KubeError> {
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

/// On Windows, the extension of a program may be omitted.
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
