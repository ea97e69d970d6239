//! Credential plugins: programs that print credentials (`client.authentication.k8s.io`).

use std::{
    io::{self, IsTerminal as _, Read, stdin},
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use http::{HeaderValue, Request, header::AUTHORIZATION};
use jiff::{SignedDuration, Timestamp};
use kube::{
    client::Body,
    config::{ExecConfig, ExecInteractiveMode},
};
use serde_json::{Value, json};
use sono_types::{text::decode, yaml};
use tokio::sync::Mutex;

use super::token::bearer;
use crate::error::{Cause, PluginError};

/// How long before its expiry a credential is renewed.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// Maximum size of a plugin's output; a credential has a few KiB.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// The credential that a plugin printed.
pub(super) struct Credential {
    token: Option<HeaderValue>,
    /// Certificate and key as PEM.
    pub(super) identity: Option<(String, String)>,
    expires: Option<Timestamp>,
}

/// Runs the plugin and parses its output.
pub(super) fn run(exec: &ExecConfig) -> Result<Credential, PluginError> {
    let program = exec.command.clone().unwrap_or_default();
    execute(exec, &program).map_err(|source| PluginError { program, source })
}

fn execute(exec: &ExecConfig, program: &str) -> Result<Credential, Cause> {
    let silent = exec.interactive_mode == Some(ExecInteractiveMode::Never);
    let interactive = !silent && stdin().is_terminal();
    let mut spec = json!({ "interactive": interactive });
    if let Some(cluster) = &exec.cluster {
        spec["cluster"] = serde_json::to_value(cluster).map_err(|error| Cause(error.to_string()))?;
    }
    let version = exec.api_version.as_deref().unwrap_or("client.authentication.k8s.io/v1");
    let information = json!({ "kind": "ExecCredential", "apiVersion": version, "spec": spec });
    let variables = exec.env.iter().flatten();
    let variables = variables.filter_map(|variable| Some((variable.get("name")?, variable.get("value")?)));
    let mut child = Command::new(program)
        .args(exec.args.iter().flatten())
        .envs(variables)
        .env("KUBERNETES_EXEC_INFO", information.to_string())
        .stdin(if interactive { Stdio::inherit() } else { Stdio::null() })
        // The plugin may ask the user on standard error.
        .stderr(if silent { Stdio::piped() } else { Stdio::inherit() })
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Cause(error.to_string()))?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let errors = thread::spawn(move || read_limited(errors));
    let output = read_limited(output);
    if output.as_ref().is_ok_and(|output| output.len() > MAX_OUTPUT_BYTES) {
        // The program would wait for a reader.
        child.kill().ok();
    }
    let status = child.wait().map_err(|error| Cause(error.to_string()))?;
    let output = output.map_err(|error| Cause(error.to_string()))?;
    if output.len() > MAX_OUTPUT_BYTES {
        return Err(Cause(format!("its output is longer than {MAX_OUTPUT_BYTES} bytes")));
    }
    if !status.success() {
        let errors = errors.join().ok().and_then(Result::ok).unwrap_or_default();
        let said = String::from_utf8_lossy(&errors);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        return Err(Cause(match last {
            Some(last) => format!("{status}: {last}"),
            None => status.to_string(),
        }));
    }
    parse(&output)
}

/// Reads up to one byte more than the limit, and then closes the stream.
fn read_limited(stream: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(MAX_OUTPUT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Parses an `ExecCredential`. It may contain a token, so errors never quote it.
pub(super) fn parse(output: &[u8]) -> Result<Credential, Cause> {
    let text = decode(output).map_err(|_| Cause("its output is not text".to_owned()))?;
    let answer: Value =
        yaml::first_document(&text).map_err(|_| Cause("its output is not an ExecCredential".to_owned()))?;
    credential(&answer)
}

fn credential(answer: &Value) -> Result<Credential, Cause> {
    let status = &answer["status"];
    let text = |name: &str| status[name].as_str().filter(|text| !text.is_empty());
    let identity = match (text("clientCertificateData"), text("clientKeyData")) {
        (Some(certificate), Some(key)) => Some((certificate.to_owned(), key.to_owned())),
        (None, None) => None,
        _ => {
            return Err(Cause(
                "its output has a certificate without a key, or a key without a certificate".to_owned(),
            ));
        }
    };
    let token = text("token")
        .map(bearer)
        .transpose()
        .map_err(|error| Cause(error.to_string()))?;
    if token.is_none() && identity.is_none() {
        return Err(Cause("its output has neither a token nor a certificate".to_owned()));
    }
    let expires = text("expirationTimestamp").map(str::parse).transpose();
    Ok(Credential {
        token,
        identity,
        expires: expires.map_err(|_| Cause("the expirationTimestamp of its output is not a time".to_owned()))?,
    })
}

/// The token of a plugin, renewed before it expires. Cheap to clone.
#[derive(Clone)]
pub(super) struct PluginToken {
    exec: Arc<ExecConfig>,
    current: Arc<Mutex<(HeaderValue, Option<Timestamp>)>>,
}

impl PluginToken {
    /// `None` if the credential has no token.
    pub(super) fn of(exec: &ExecConfig, credential: Credential) -> Option<Self> {
        Some(Self {
            exec: Arc::new(exec.clone()),
            current: Arc::new(Mutex::new((credential.token?, credential.expires))),
        })
    }

    /// Adds the token to a request. Fails if the plugin cannot provide a new token.
    pub(super) async fn authorize(self, mut request: Request<Body>) -> Result<Request<Body>, PluginError> {
        let mut current = self.current.lock().await;
        if current.1.is_some_and(|expires| now() + MARGIN >= expires) {
            let exec = Arc::clone(&self.exec);
            let program = exec.command.clone().unwrap_or_default();
            let failed = |source| PluginError { program, source };
            let asked = tokio::task::spawn_blocking(move || run(&exec)).await;
            let asked = asked.map_err(|error| Cause::of(&error));
            let credential = match asked {
                Ok(credential) => credential?,
                Err(error) => return Err(failed(error)),
            };
            let token = credential.token;
            let token = token.ok_or_else(|| {
                failed(Cause(
                    "the plugin returned a token earlier, but its latest output has none".to_owned(),
                ))
            })?;
            *current = (token, credential.expires);
        }
        request.headers_mut().insert(AUTHORIZATION, current.0.clone());
        Ok(request)
    }
}

#[expect(clippy::disallowed_methods, reason = "credentials expire while requests are made")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &Value) -> String {
        match credential(&json!({ "status": status })) {
            Ok(credential) => format!(
                "{:?} {} {:?}",
                credential.token.as_ref().and_then(|token| token.to_str().ok()),
                credential.identity.is_some(),
                credential.expires.map(|time| time.to_string()),
            ),
            Err(error) => error.0,
        }
    }

    #[test]
    fn output_with_half_a_credential_is_refused() {
        assert_eq!(said(&json!({"token": " t\n"})), "Some(\"Bearer t\") false None");
        assert_eq!(
            said(
                &json!({"token": "t", "clientCertificateData": "c", "clientKeyData": "k", "expirationTimestamp": "2030-01-01T00:00:00Z"})
            ),
            "Some(\"Bearer t\") true Some(\"2030-01-01T00:00:00Z\")"
        );
        assert_eq!(
            said(&json!({"clientCertificateData": "c"})),
            "its output has a certificate without a key, or a key without a certificate"
        );
        for status in [
            json!(null),
            json!({}),
            json!({"token": ""}),
            json!({"token": 1}),
            json!("x"),
        ] {
            assert_eq!(said(&status), "its output has neither a token nor a certificate");
        }
        assert_eq!(
            said(&json!({"token": "t", "expirationTimestamp": "soon"})),
            "the expirationTimestamp of its output is not a time"
        );
        assert_eq!(
            said(&json!({"token": "t\u{0}"})),
            "the token contains invalid characters"
        );
    }
}
