//! Client settings from a selected context. Reads files through a function; runs no programs.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use kube::{
    Config,
    config::{AuthInfo, ExecAuthCluster, ExecConfig},
};
use rustls::{RootCertStore, pki_types::CertificateDer};
use serde_json::{Map, Value, json};

use super::{
    environment::Environment,
    kubeconfig::{Fields, Selected},
    pem,
    proxy::{Proxy, is_this_machine},
    token::bearer,
    url::{self, Login},
};
use crate::error::Cause;

/// The settings of a client.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) config: Config,
    /// File of a bearer token, which is read again periodically.
    pub(super) token_file: Option<PathBuf>,
    /// The token that is used while the file cannot be read.
    pub(super) token: Option<String>,
    /// Trusted certificate authorities; empty means the system's store.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// File of certificate authorities that replace those when it changes.
    pub(super) authority_file: Option<PathBuf>,
    pub(super) proxy: Option<Proxy>,
    /// The credential plugin.
    pub(super) plugin: Option<ExecConfig>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("server", &self.config.cluster_url)
            .finish_non_exhaustive()
    }
}

/// Fields of a user that are not credentials.
const IMPERSONATION: [&str; 4] = ["as", "as-uid", "as-groups", "as-user-extra"];

/// Reads a file named by a kubeconfig.
pub(super) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

impl Settings {
    /// The settings for a selected context.
    pub(super) fn of(selected: &Selected, environment: &Environment, read: ReadFile<'_>) -> Result<Self, Cause> {
        let Selected { cluster, user, .. } = selected;
        let text = cluster
            .text("server")
            .ok_or_else(|| Cause("the cluster entry has no server".to_owned()))?;
        let insecure = cluster.boolean("insecure-skip-tls-verify");
        let has = |fields: &Fields, names: [&str; 2]| names.iter().any(|name| fields.text(name).is_some());
        let tls = insecure
            || has(cluster, ["certificate-authority", "certificate-authority-data"])
            || has(user, ["client-certificate", "client-certificate-data"]);
        let (server, login) =
            url::server(&text, tls).ok_or_else(|| Cause(format!("the server `{text}` is not a URL or host:port")))?;

        let secure = server.scheme_str() == Some("https");
        // kubectl sends credentials over TLS only. Sending them to this machine does no harm.
        let exposed = !secure && !is_this_machine(url::host(&server));
        let user = &if exposed {
            user.only(&IMPERSONATION)
        } else {
            user.clone()
        };
        let mut config = Config::new(server);
        config.default_namespace = selected.namespace.clone().unwrap_or_else(|| "default".to_owned());
        config.accept_invalid_certs = insecure;
        config.disable_compression = cluster.boolean("disable-compression");
        config.tls_server_name = cluster.text("tls-server-name");
        let authorities = if secure && !insecure {
            authorities(cluster, read)?
        } else {
            Vec::new()
        };
        config.auth_info = account(user, login, read)?;
        let mut plugin = config.auth_info.exec.take();
        if let Some(exec) = &mut plugin
            && exec.provide_cluster_info
        {
            exec.cluster = Some(described(cluster, &config.cluster_url, read)?);
        }
        let proxy = match cluster.text("proxy-url") {
            // As in Go, this proxy is also used for this machine, and `NO_PROXY` is ignored.
            Some(text) => {
                Some(Proxy::parse(text.trim()).ok_or_else(|| Cause(format!("its proxy-url `{text}` is not a URL")))?)
            }
            None => Proxy::of_variables(environment, &config.cluster_url),
        };
        Ok(Self {
            token_file: user.path("tokenFile"),
            token: user.text("token"),
            authorities,
            authority_file: None,
            plugin,
            proxy,
            config,
        })
    }

    /// A copy with the certificate and key of a credential plugin, both in PEM.
    pub(super) fn with_identity(&self, certificate: &str, key: &str) -> Result<Self, Cause> {
        let (certificate, key) = encoded(certificate.as_bytes(), key.as_bytes())?;
        let fields = json!({"client-certificate-data": certificate, "client-key-data": key});
        let made: AuthInfo = serde_json::from_value(fields).map_err(|error| Cause(error.to_string()))?;
        let mut settings = self.clone();
        settings.config.auth_info.client_certificate_data = made.client_certificate_data;
        settings.config.auth_info.client_key_data = made.client_key_data;
        Ok(settings)
    }

    /// A copy without credential and auth plugins.
    pub(super) fn without_programs(&self) -> Self {
        let mut settings = self.clone();
        settings.plugin = None;
        settings.config.auth_info.auth_provider = None;
        settings
    }
}

/// The content of a field, from `NAME-data` or from the file that it names.
fn content(fields: &Fields, name: &str, read: ReadFile<'_>) -> Result<Option<Vec<u8>>, Cause> {
    let data = format!("{name}-data");
    if let Some(text) = fields.text(&data) {
        return pem::decode_data(&text)
            .map(Some)
            .ok_or_else(|| Cause(format!("its {data} is not base64")));
    }
    let Some(path) = fields.path(name) else {
        return Ok(None);
    };
    read(&path)
        .map(Some)
        .map_err(|error| Cause(format!("its {name} {}: {error}", path.display())))
}

/// The valid certificates of a cluster's authorities; empty means the system's store.
fn authorities(cluster: &Fields, read: ReadFile<'_>) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let Some(bundle) = content(cluster, "certificate-authority", read)? else {
        return Ok(Vec::new());
    };
    let mut store = RootCertStore::empty();
    let usable: Vec<CertificateDer<'static>> = pem::certificates(&bundle)
        .into_iter()
        .map(CertificateDer::from)
        .filter(|certificate| store.add(certificate.clone()).is_ok())
        .collect();
    if usable.is_empty() {
        return Err(Cause("its certificate-authority has no valid certificate".to_owned()));
    }
    Ok(usable)
}

/// Credentials by precedence: token, password, credential or auth plugin.
fn account(user: &Fields, login: Option<Login>, read: ReadFile<'_>) -> Result<AuthInfo, Cause> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    let identity = identity(user, read)?;
    let identified = identity.is_some();
    if let Some((certificate, key)) = identity {
        set("client-certificate-data", Some(certificate.into()));
        set("client-key-data", Some(key.into()));
    }
    for name in ["as", "as-uid"] {
        set(name, user.text(name).map(Value::from));
    }
    set("as-groups", Some(user.list("as-groups").into()));
    let extra = user.map("as-user-extra").unwrap_or_default();
    let extra: Map<String, Value> = extra
        .lists()
        .map(|(name, values)| (name.clone(), values.into()))
        .collect();
    set("as-user-extra", Some(Value::Object(extra)));

    let login = match (user.text("username"), login) {
        (Some(name), _) => Some((name, user.text("password").unwrap_or_default())),
        (None, login) => login.map(|login| (login.user, login.password)),
    };
    if user.text("tokenFile").is_some() {
        // `TokenFile` reads it once a minute; kube does not.
    } else if let Some(token) = user.text("token") {
        bearer(&token).map_err(|error| Cause(format!("its token: {error}")))?;
        set("token", Some(token.trim().into()));
    } else if let Some((name, password)) = login {
        set("username", Some(name.into()));
        set("password", Some(password.into()));
    } else if let Some(exec) = user.map("exec") {
        // As in kubectl, the plugin is not run if a client certificate exists.
        if !identified {
            set("exec", Some(program(&exec)?));
        }
    } else if let Some(provider) = user.map("auth-provider")
        && let Some(name) = provider.text("name")
    {
        let config = provider.map("config").unwrap_or_default();
        let config: Map<String, Value> = config
            .lists()
            .filter_map(|(name, values)| Some((name.clone(), values.into_iter().next()?.into())))
            .collect();
        set("auth-provider", Some(json!({"name": name, "config": config})));
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| Cause(format!("its user: {error}")))
}

/// Certificate and key as base64 of PEM. As in Go, a key without a certificate is ignored.
fn identity(user: &Fields, read: ReadFile<'_>) -> Result<Option<(String, String)>, Cause> {
    let Some(certificate) = content(user, "client-certificate", read)? else {
        return Ok(None);
    };
    let key = content(user, "client-key", read)?
        .ok_or_else(|| Cause("it has a client-certificate without a client-key".to_owned()))?;
    encoded(&certificate, &key).map(Some)
}

/// Certificates and a key as base64 of PEM, without other content.
fn encoded(certificate: &[u8], key: &[u8]) -> Result<(String, String), Cause> {
    let chain = pem::certificates(certificate);
    if chain.is_empty() {
        return Err(Cause("its client-certificate has no certificate".to_owned()));
    }
    let key = pem::private_key(key).ok_or_else(|| Cause("its client-key has no valid private key".to_owned()))?;
    let chain: String = chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
    Ok((pem::encode_data(chain.as_bytes()), pem::encode_data(key.as_bytes())))
}

/// The credential plugin.
fn program(exec: &Fields) -> Result<Value, Cause> {
    let command = exec
        .text("command")
        .ok_or_else(|| Cause("its exec plugin has no command".to_owned()))?;
    // Only commands with a slash are relative to the kubeconfig; others are searched in PATH.
    let command = if command.contains(['/', std::path::MAIN_SEPARATOR]) {
        exec.directory().join(&command).to_string_lossy().into_owned()
    } else {
        command
    };
    let variables: Vec<Value> = exec
        .named("env", "value")
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            };
            json!({"name": name, "value": value})
        })
        .collect();
    let mode = exec.text("interactiveMode");
    let mode = mode.filter(|mode| matches!(mode.as_str(), "Never" | "IfAvailable" | "Always"));
    Ok(json!({
        "apiVersion": exec.text("apiVersion"),
        "command": command,
        "args": exec.list("args"),
        "env": variables,
        "installHint": exec.text("installHint"),
        "interactiveMode": mode,
        "provideClusterInfo": exec.boolean("provideClusterInfo"),
    }))
}

/// The cluster's data for a credential plugin with `provideClusterInfo`.
fn described(cluster: &Fields, server: &http::Uri, read: ReadFile<'_>) -> Result<ExecAuthCluster, Cause> {
    let config = cluster
        .named("extensions", "extension")
        .into_iter()
        .find_map(|(name, value)| (name == "client.authentication.k8s.io/exec").then_some(value));
    Ok(ExecAuthCluster {
        server: Some(server.to_string().trim_end_matches('/').to_owned()),
        insecure_skip_tls_verify: cluster.boolean("insecure-skip-tls-verify").then_some(true),
        certificate_authority_data: content(cluster, "certificate-authority", read)?,
        proxy_url: cluster.text("proxy-url"),
        tls_server_name: cluster.text("tls-server-name"),
        config,
    })
}
