//! What a request to the API server can end with.

use std::{error::Error, fmt, time::Duration};

use kube::core::Status;

use crate::{certificate, connect::PluginError};

/// The last cause of a failure, as one line. The clients underneath say the same thing up to five times.
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

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// No kubeconfig, and not inside a cluster.
    #[error("there is no cluster to talk to: no kubeconfig, and this is no pod of a cluster")]
    NoConfiguration(#[source] Cause),
    /// There is a configuration, but it cannot be used.
    #[error("the cluster configuration cannot be used")]
    Configuration(#[source] Cause),
    /// Nothing answers there.
    #[error("the cluster at {server} cannot be reached")]
    Unreachable {
        /// URL of the API server.
        server: String,
        /// What the network says.
        source: Cause,
    },
    /// The server's certificate does not pass.
    #[error("the certificate of {server} is refused")]
    Certificate {
        /// URL of the API server.
        server: String,
        /// Why.
        source: Cause,
    },
    /// The connection is not secured: one of both refuses the other, or the server does not speak TLS.
    #[error("the TLS handshake with {server} failed")]
    Handshake {
        /// URL of the API server.
        server: String,
        /// Why.
        source: Cause,
    },
    /// The program that the kubeconfig names for credentials is missing, or failed.
    #[error("the credential plugin `{program}` of the kubeconfig cannot be used")]
    CredentialPlugin {
        /// Its name or path.
        program: String,
        /// How it is installed, in the words of the kubeconfig; none where it was found.
        install_hint: Option<String>,
        /// Why.
        source: Cause,
    },
    /// Connected, but no answer came in time.
    #[error("no answer from {server} within {} s: {request}", .limit.as_secs())]
    NoAnswer {
        /// URL of the API server.
        server: String,
        /// What was asked for.
        request: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The credentials could not be had: an exec plugin or a token file failed.
    #[error("no credentials for {server}")]
    Credentials {
        /// URL of the API server.
        server: String,
        /// Why.
        source: Cause,
    },
    /// The server does not know the credentials.
    #[error("{server} does not accept the credentials: {message}")]
    Unauthorized {
        /// URL of the API server.
        server: String,
        /// What it says.
        message: String,
    },
    /// The account lacks a permission.
    #[error("forbidden: user \"{user}\" cannot {verb} resource \"{resource}\" {}", scope(.namespace.as_deref()))]
    Forbidden {
        /// The account, as the server knows it.
        user: String,
        /// What it may not do.
        verb: String,
        /// Plural, with the API group after a dot when there is one.
        resource: String,
        /// Where; otherwise at the cluster scope.
        namespace: Option<String>,
    },
    /// There is one of that name.
    #[error("{kind} `{name}` already exists")]
    AlreadyExists {
        /// Its kind, singular or plural as the server has it.
        kind: String,
        /// Its name.
        name: String,
    },
    /// There is none of that name, or its namespace is not there.
    #[error("{kind} `{name}` not found")]
    NotFound {
        /// Its kind, singular or plural as the server has it.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Nothing can be created in a namespace that is going away.
    #[error("namespace `{0}` is being deleted")]
    NamespaceTerminating(String),
    /// Any other refusal.
    #[error("{request} was refused ({code}): {message}")]
    Refused {
        /// What was asked for.
        request: String,
        /// HTTP status code.
        code: u16,
        /// What the server says.
        message: String,
    },
    /// The answer is not what was asked for.
    #[error("the answer to {request} makes no sense")]
    Answer {
        /// What was asked for.
        request: String,
        /// Why.
        source: Cause,
    },
    /// The request cannot be made.
    #[error("{request} is no request that can be made")]
    Request {
        /// What was to be asked for.
        request: String,
        /// Why.
        source: Cause,
    },
    /// A connection broke in the middle.
    #[error("the connection to {server} broke during {request}")]
    Broken {
        /// URL of the API server.
        server: String,
        /// What was asked for.
        request: String,
        /// Why.
        source: Cause,
    },
    /// An object of a kind that runs are not made of.
    #[error("an object of kind `{kind}` and version `{api_version}` is none that runs are made of")]
    UnknownKind {
        /// `kind` of the object.
        kind: String,
        /// `apiVersion` of the object.
        api_version: String,
    },
    /// An object that lives in a namespace names none, or has no name.
    #[error("{kind} `{name}` has no {missing}")]
    Incomplete {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is missing.
        missing: &'static str,
    },
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
    /// The account may not do that (403), or is not known (401).
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::Unauthorized { .. })
    }

    /// There is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The server does not have objects of that kind.
    pub fn is_not_served(&self) -> bool {
        self.is_not_found() || matches!(self, Self::Refused { code: 404, .. })
    }

    /// There is such an object already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists { .. })
    }

    /// The server was not reached, or the connection to it was lost: worth another try.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::Broken { .. }
        )
    }

    /// Nothing is wrong with what was asked for: the server was not reached, is too busy or failed, or somebody else was
    /// quicker (a quota's count, for one; the versions that a watch began with). Worth another try in a moment.
    pub fn is_passing(&self) -> bool {
        let busy = matches!(self, Self::Refused { code, .. } if matches!(code, 409 | 410 | 429) || *code >= 500);
        // Certificates are renewed while a run lasts, and not everywhere at once.
        let renewed = matches!(self, Self::Certificate { .. } | Self::Handshake { .. });
        busy || renewed || self.is_unreachable()
    }

    /// The server does not have the versions any more that a watch wants to go on from. It begins anew, and nothing is lost.
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
            // The message is the only place that has the namespace's name.
            let namespace = between(&status.message, "in namespace ", " because").unwrap_or_default();
            return Self::NamespaceTerminating(namespace);
        }
        let said = page(&status.message);
        match status.code {
            401 => Self::Unauthorized { server, message: said },
            403 => forbidden(&status.message).unwrap_or(Self::Refused {
                request,
                code: status.code,
                message: said,
            }),
            404 if status.is_not_found() && !name.is_empty() => Self::NotFound { kind, name },
            409 if status.is_already_exists() => Self::AlreadyExists { kind, name },
            code => Self::Refused {
                request,
                code,
                message: said,
            },
        }
    }
}

/// Of a web page its title: proxies and load balancers answer with one in the API server's place.
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
        Some(title) => format!("a web page, as a proxy sends: {title}"),
        None => "a web page, as a proxy sends".to_owned(),
    }
}

/// Reads the authorizer's sentence: `… User "u" cannot create resource "pods" in API group "" in the namespace "n"`.
/// Refusals of other parts (admission, quota) have other sentences.
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

    /// Whatever stands between may answer.
    #[test]
    fn a_web_page_is_told_by_its_title() {
        let page = "<!DOCTYPE HTML>\n<html><head>\n<title>502 Bad\n Gateway</title></head><body>nginx</body></html>";
        assert_eq!(
            said(json!({"code": 502, "reason": "", "message": page})),
            "creating pod x was refused (502): a web page, as a proxy sends: 502 Bad Gateway"
        );
        assert_eq!(
            said(json!({"code": 503, "reason": "", "message": "<html>oops</html>"})),
            "creating pod x was refused (503): a web page, as a proxy sends"
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
    fn what_passes_is_told_from_what_stays() {
        let passes = |code: u16, reason: &str| {
            let status =
                json!({"code": code, "reason": reason, "message": "m", "details": {"name": "x", "kind": "pods"}});
            let status: Status = serde_json::from_value(status).unwrap();
            KubeError::from_status(&status, "https://s".to_owned(), "creating pod x".to_owned()).is_passing()
        };
        for (code, reason) in [
            (409, "Conflict"),
            (429, "TooManyRequests"),
            (500, "InternalError"),
            (504, "Timeout"),
        ] {
            assert!(passes(code, reason), "{code}");
        }
        for (code, reason) in [
            (400, "BadRequest"),
            (401, "Unauthorized"),
            (403, "Forbidden"),
            (404, "NotFound"),
            (409, "AlreadyExists"),
            (422, "Invalid"),
        ] {
            assert!(!passes(code, reason), "{code}");
        }
    }

    #[test]
    fn other_refusals_keep_the_servers_words() {
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
    fn a_namespace_on_its_way_out_is_named() {
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
