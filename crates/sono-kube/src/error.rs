//! Errors of requests to the API server.

use std::{error::Error, fmt, time::Duration};

use kube::core::Status;

use crate::certificate;

/// The innermost cause of an error, as one line. The wrapping errors repeat it up to five times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause(pub String);

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Cause {}

impl Cause {
    /// The innermost cause of `error`.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut last = error;
        while let Some(next) = last.source() {
            last = next;
        }
        Self(last.to_string())
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// No kubeconfig was found, and the process does not run in a pod.
    #[error("no cluster configured: no kubeconfig found, and not running in a pod")]
    NoConfiguration(#[source] Cause),
    /// The configuration is invalid.
    #[error("cannot use the cluster configuration")]
    Configuration(#[source] Cause),
    /// The server did not accept a connection.
    #[error("cannot reach the cluster at {server}")]
    Unreachable {
        /// URL of the API server.
        server: String,
        /// The network error.
        source: Cause,
    },
    /// The server's certificate is invalid or not trusted.
    #[error("cannot verify the certificate of {server}")]
    Certificate {
        /// URL of the API server.
        server: String,
        /// The reason.
        source: Cause,
    },
    /// The TLS handshake failed: one side rejected the other, or the server does not speak TLS.
    #[error("the TLS handshake with {server} failed")]
    Handshake {
        /// URL of the API server.
        server: String,
        /// The reason.
        source: Cause,
    },
    /// The kubeconfig's credential plugin is missing or failed.
    #[error("cannot use the credential plugin `{program}` of the kubeconfig")]
    CredentialPlugin {
        /// Its name or path.
        program: String,
        /// The kubeconfig's install hint; `None` if the plugin was found.
        install_hint: Option<String>,
        /// The reason.
        source: Cause,
    },
    /// The server accepted the connection but did not respond in time.
    #[error("no response from {server} within {} s: {request}", .limit.as_secs())]
    NoAnswer {
        /// URL of the API server.
        server: String,
        /// The request.
        request: String,
        /// The timeout.
        limit: Duration,
    },
    /// An auth provider or a token file failed.
    #[error("no credentials for {server}")]
    Credentials {
        /// URL of the API server.
        server: String,
        /// The reason.
        source: Cause,
    },
    /// The server rejected the credentials.
    #[error("{server} does not accept the credentials: {message}")]
    Unauthorized {
        /// URL of the API server.
        server: String,
        /// The server's message.
        message: String,
    },
    /// The account lacks a permission.
    #[error("forbidden: user \"{user}\" cannot {verb} resource \"{resource}\" {}", scope(.namespace.as_deref()))]
    Forbidden {
        /// The account's name on the server.
        user: String,
        /// The missing verb.
        verb: String,
        /// Plural of the resource, followed by a dot and its API group unless that is the core group.
        resource: String,
        /// The namespace; `None` for the cluster scope.
        namespace: Option<String>,
    },
    /// An object of this name exists already.
    #[error("{kind} `{name}` already exists")]
    AlreadyExists {
        /// Its kind, singular or plural as in the server's response.
        kind: String,
        /// Its name.
        name: String,
    },
    /// No object of this name exists, or its namespace does not exist.
    #[error("{kind} `{name}` not found")]
    NotFound {
        /// Its kind, singular or plural as in the server's response.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The namespace is being deleted, so objects cannot be created in it.
    #[error("namespace `{0}` is being deleted")]
    NamespaceTerminating(String),
    /// Any other refusal.
    #[error("{request} was refused ({code}): {message}")]
    Refused {
        /// The request.
        request: String,
        /// HTTP status code.
        code: u16,
        /// The server's message.
        message: String,
    },
    /// The response is not of the expected form.
    #[error("unexpected response to {request}")]
    Answer {
        /// The request.
        request: String,
        /// The reason.
        source: Cause,
    },
    /// The request is invalid and was not sent.
    #[error("cannot build the request for {request}")]
    Request {
        /// The request.
        request: String,
        /// The reason.
        source: Cause,
    },
    /// The connection broke during the request.
    #[error("the connection to {server} was lost during {request}")]
    Broken {
        /// URL of the API server.
        server: String,
        /// The request.
        request: String,
        /// The reason.
        source: Cause,
    },
    /// sono does not create objects of this kind.
    #[error("unsupported kind `{kind}` (`{api_version}`)")]
    UnknownKind {
        /// `kind` of the object.
        kind: String,
        /// `apiVersion` of the object.
        api_version: String,
    },
    /// An object lacks its name or namespace.
    #[error("{kind} `{name}` has no {missing}")]
    Incomplete {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The missing field.
        missing: &'static str,
    },
}

/// A credential plugin failed, or its output is invalid.
#[derive(Debug, thiserror::Error)]
#[error("the credential plugin `{program}` failed")]
pub(crate) struct PluginError {
    pub(crate) program: String,
    pub(crate) source: Cause,
}

impl From<PluginError> for KubeError {
    fn from(PluginError { program, source }: PluginError) -> Self {
        Self::CredentialPlugin {
            program,
            install_hint: None,
            source,
        }
    }
}

fn scope(namespace: Option<&str>) -> String {
    namespace.map_or_else(
        || "at the cluster scope".to_owned(),
        |namespace| format!("in namespace \"{namespace}\""),
    )
}

impl KubeError {
    /// Whether the account lacks a permission (403) or is not known (401).
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::Unauthorized { .. })
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the server does not serve objects of that kind.
    pub fn is_not_served(&self) -> bool {
        self.is_not_found() || matches!(self, Self::Refused { code: 404, .. })
    }

    /// Whether an object of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists { .. })
    }

    /// Whether the server was not reached or the connection to it was lost. Worth a retry.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::Broken { .. }
        )
    }

    /// Whether a retry may succeed: the server was not reached, is too busy or failed, or another writer was faster (a
    /// conflict on a quota's count, an expired resourceVersion of a watch).
    pub fn is_transient(&self) -> bool {
        let busy = matches!(self, Self::Refused { code, .. } if matches!(code, 409 | 410 | 429) || *code >= 500);
        // Certificates are renewed during a run, and not on all servers at once.
        let renewed = matches!(self, Self::Certificate { .. } | Self::Handshake { .. });
        busy || renewed || self.is_unreachable()
    }

    /// Whether the resourceVersion that a watch resumes from has expired. The watch lists again, and loses nothing.
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Refused { code: 410, .. })
    }

    pub(crate) fn from_kube(error: kube::Error, server: &str, request: &str) -> Self {
        let (server, request) = (server.to_owned(), request.to_owned());
        match error {
            kube::Error::Api(status) => Self::from_status(&status, server, request),
            kube::Error::Service(source) => certificate::failure(source.as_ref(), &server).unwrap_or_else(|| {
                let source = Cause::of(source.as_ref());
                Self::Unreachable { server, source }
            }),
            kube::Error::HyperError(source) => certificate::failure(&source, &server).unwrap_or_else(|| {
                let source = Cause::of(&source);
                Self::Broken {
                    server,
                    request,
                    source,
                }
            }),
            kube::Error::ReadEvents(source) => Self::Broken {
                server,
                request,
                source: Cause::of(&source),
            },
            kube::Error::Auth(source) => Self::Credentials {
                server,
                source: Cause::of(&source),
            },
            kube::Error::SerdeError(source) => Self::Answer {
                request,
                source: Cause::of(&source),
            },
            kube::Error::FromUtf8(source) => Self::Answer {
                request,
                source: Cause::of(&source),
            },
            kube::Error::BuildRequest(source) => Self::Request {
                request,
                source: Cause::of(&source),
            },
            other => Self::Broken {
                server,
                request,
                source: Cause::of(&other),
            },
        }
    }

    pub(crate) fn from_status(status: &Status, server: String, request: String) -> Self {
        let details = status.details.as_ref();
        let kind = details.map_or("object", |details| details.kind.as_str()).to_owned();
        let name = details.map_or_else(String::new, |details| details.name.clone());
        let terminating = details.is_some_and(|details| {
            details
                .causes
                .iter()
                .any(|cause| cause.reason == "NamespaceTerminating")
        });
        if terminating {
            // Only the message has the namespace's name.
            let namespace = between(&status.message, "in namespace ", " because").unwrap_or_default();
            return Self::NamespaceTerminating(namespace);
        }
        let text = page(&status.message);
        match status.code {
            401 => Self::Unauthorized { server, message: text },
            403 => forbidden(&status.message).unwrap_or(Self::Refused {
                request,
                code: status.code,
                message: text,
            }),
            404 if status.is_not_found() && !name.is_empty() => Self::NotFound { kind, name },
            409 if status.is_already_exists() => Self::AlreadyExists { kind, name },
            code => Self::Refused {
                request,
                code,
                message: text,
            },
        }
    }
}

/// Reduces a web page to its title: proxies and load balancers respond with one in place of the API server.
fn page(message: &str) -> String {
    if !message.trim_start().starts_with('<') {
        return message.to_owned();
    }
    let lower = message.to_ascii_lowercase();
    let title = between(&lower, "<title", "</title>").and_then(|found| {
        let start = lower.find(&found)? + found.find('>')? + 1;
        let end = lower[start..].find('<')? + start;
        Some(message[start..end].split_whitespace().collect::<Vec<_>>().join(" "))
    });
    match title.filter(|title| !title.is_empty()) {
        Some(title) => format!("a web page, probably of a proxy: {title}"),
        None => "a web page, probably of a proxy".to_owned(),
    }
}

/// Parses the authorizer's message: `… User "u" cannot create resource "pods" in API group "" in the namespace "n"`.
/// Admission and quota use other messages.
fn forbidden(message: &str) -> Option<KubeError> {
    let user = between(message, "User \"", "\"")?;
    let verb = between(message, "cannot ", " ")?;
    let resource = between(message, "resource \"", "\"").or_else(|| between(message, "path \"", "\""))?;
    let group = between(message, "API group \"", "\"").filter(|group| !group.is_empty());
    let resource = match group {
        Some(group) => format!("{resource}.{group}"),
        None => resource,
    };
    Some(KubeError::Forbidden {
        user,
        verb,
        resource,
        namespace: between(message, "in the namespace \"", "\""),
    })
}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let rest = text.split_once(start)?.1;
    Some(rest.split_once(end)?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(status: Value) -> String {
        let status: Status = serde_json::from_value(status).unwrap();
        KubeError::from_status(&status, "https://s".to_owned(), "creating pod x".to_owned()).to_string()
    }

    #[test]
    fn web_page_is_quoted_by_its_title() {
        let page = "<!DOCTYPE HTML>\n<html><head>\n<title>502 Bad\n Gateway</title></head><body>nginx</body></html>";
        assert_eq!(
            said(json!({"code": 502, "reason": "", "message": page})),
            "creating pod x was refused (502): a web page, probably of a proxy: 502 Bad Gateway"
        );
        assert_eq!(
            said(json!({"code": 503, "reason": "", "message": "<html>oops</html>"})),
            "creating pod x was refused (503): a web page, probably of a proxy"
        );
    }

    #[test]
    fn a_missing_permission_names_user_verb_resource_and_place() {
        assert_eq!(
            said(json!({"code": 403, "reason": "Forbidden", "message":
                "namespaces is forbidden: User \"ci\" cannot create resource \"namespaces\" in API group \"\" at the cluster scope"})),
            "forbidden: user \"ci\" cannot create resource \"namespaces\" at the cluster scope"
        );
        assert_eq!(
            said(json!({"code": 403, "reason": "Forbidden", "message":
                "roles.rbac.authorization.k8s.io is forbidden: User \"system:serviceaccount:a:b\" cannot create resource \"roles\" in API group \"rbac.authorization.k8s.io\" in the namespace \"n\""})),
            "forbidden: user \"system:serviceaccount:a:b\" cannot create resource \"roles.rbac.authorization.k8s.io\" in namespace \"n\""
        );
    }

    #[test]
    fn transient_errors_are_recognised() {
        let transient = |code: u16, reason: &str| {
            let status =
                json!({"code": code, "reason": reason, "message": "m", "details": {"name": "x", "kind": "pods"}});
            let status: Status = serde_json::from_value(status).unwrap();
            KubeError::from_status(&status, "https://s".to_owned(), "creating pod x".to_owned()).is_transient()
        };
        for (code, reason) in [
            (409, "Conflict"),
            (429, "TooManyRequests"),
            (500, "InternalError"),
            (504, "Timeout"),
        ] {
            assert!(transient(code, reason), "{code}");
        }
        for (code, reason) in [
            (400, "BadRequest"),
            (401, "Unauthorized"),
            (403, "Forbidden"),
            (404, "NotFound"),
            (409, "AlreadyExists"),
            (422, "Invalid"),
        ] {
            assert!(!transient(code, reason), "{code}");
        }
    }

    #[test]
    fn other_refusals_quote_the_server() {
        assert_eq!(
            said(json!({"code": 403, "reason": "Forbidden", "message":
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged"})),
            "creating pod x was refused (403): pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged"
        );
        assert_eq!(
            said(json!({"code": 401, "reason": "Unauthorized", "message": "Unauthorized"})),
            "https://s does not accept the credentials: Unauthorized"
        );
    }

    #[test]
    fn namespace_being_deleted_is_named() {
        assert_eq!(
            said(json!({"code": 403, "reason": "Forbidden",
                "message": "pods \"x\" is forbidden: unable to create new content in namespace n because it is being terminated",
                "details": {"name": "x", "kind": "pods", "causes": [
                    {"reason": "NamespaceTerminating", "message": "namespace n is being terminated", "field": "metadata.namespace"}]}})),
            "namespace `n` is being deleted"
        );
    }

    #[test]
    fn presence_and_absence_name_the_object() {
        assert_eq!(
            said(
                json!({"code": 409, "reason": "AlreadyExists", "message": "m", "details": {"name": "x", "kind": "pods"}})
            ),
            "pods `x` already exists"
        );
        assert_eq!(
            said(json!({"code": 404, "reason": "NotFound", "message": "m", "details": {"name": "x", "kind": "pods"}})),
            "pods `x` not found"
        );
    }
}
