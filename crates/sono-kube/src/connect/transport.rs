//! Builds clients from settings: TLS, proxy, credentials and retries around hyper, like kube.

use std::sync::Arc;

use futures::FutureExt as _;
use http::{HeaderName, HeaderValue, Uri, header::PROXY_AUTHORIZATION};
use hyper::rt::{Read, Write};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        Builder,
        connect::{
            Connection, HttpConnector,
            proxy::{SocksV5, Tunnel},
        },
    },
    rt::TokioExecutor,
};
use kube::{
    Client,
    client::{Body, ConfigExt as _, middleware::AuthLayer, retry::RetryPolicy},
};
use rustls::{
    ClientConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName},
};
use tower::{
    BoxError, Service, ServiceBuilder,
    filter::{AsyncFilterLayer, FilterLayer},
    retry::RetryLayer,
};
use tower_http::decompression::DecompressionLayer;

use super::{
    forward::Forward,
    pem,
    plugin::{self, PluginToken},
    proxy::{Protocol, Proxy},
    settings::Settings,
    token::TokenFile,
    url::{self, Login},
    verifier::Verifier,
};
use crate::{KubeError, error::Cause};

/// The source of the `Authorization` header.
#[derive(Default)]
struct Authorization {
    token: Option<TokenFile>,
    plugin: Option<PluginToken>,
    /// kube's layer for a token, a password or an auth provider.
    layer: Option<AuthLayer>,
}

/// Creates a client. Runs the credential plugin, if one is configured.
pub(super) fn client(settings: &Settings, retries: bool) -> Result<Client, KubeError> {
    install_provider();
    let mut answered = None;
    let mut authorization = Authorization::default();
    if let Some(path) = settings.token_file.clone() {
        let token = TokenFile::read(path, settings.token.as_deref())
            .map_err(|error| KubeError::Configuration(Cause(format!("its tokenFile: {error}"))))?;
        authorization.token = Some(token);
    } else if let Some(exec) = &settings.plugin {
        let credential = plugin::run(exec)?;
        if let Some((certificate, key)) = &credential.identity {
            let identified = settings.with_identity(certificate, key);
            answered = Some(identified.map_err(KubeError::Configuration)?);
        }
        authorization.plugin = PluginToken::of(exec, credential);
    } else {
        authorization.layer = settings.config.auth_layer().map_err(failure)?;
    }
    let settings = answered.as_ref().unwrap_or(settings);
    let tls = tls(settings)?;
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    let Some(Proxy { protocol, uri, login }) = settings.proxy.clone() else {
        return assemble(settings, retries, authorization, &tls, connector);
    };
    let secure = settings.config.cluster_url.scheme_str() == Some("https");
    let header = login.as_ref().and_then(basic);
    let wrapped = || https(settings, &tls, connector.clone());
    let tunnelled = |header: Option<HeaderValue>| header.map(|header| (PROXY_AUTHORIZATION, header));
    match (protocol, secure) {
        (Protocol::Socks5, _) => {
            let socks = SocksV5::new(uri, connector);
            let socks = match login {
                Some(Login { user, password }) => socks.with_auth(user, password),
                None => socks,
            };
            assemble(settings, retries, authorization, &tls, socks)
        }
        (Protocol::Http, true) => assemble(settings, retries, authorization, &tls, tunnel(uri, connector, header)),
        (Protocol::Https, true) => assemble(settings, retries, authorization, &tls, tunnel(uri, wrapped()?, header)),
        (Protocol::Http, false) => {
            let settings = with_header(settings, tunnelled(header));
            let inner = connector;
            assemble(&settings, retries, authorization, &tls, Forward { proxy: uri, inner })
        }
        (Protocol::Https, false) => {
            let inner = wrapped()?;
            let settings = with_header(settings, tunnelled(header));
            assemble(&settings, retries, authorization, &tls, Forward { proxy: uri, inner })
        }
    }
}

/// Installs the process-wide crypto provider, which kube uses for TLS.
pub(super) fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // Fails only if another thread has installed one.
        drop(aws_lc_rs::default_provider().install_default());
    }
}

fn failure(error: kube::Error) -> KubeError {
    KubeError::Configuration(match error {
        kube::Error::Auth(error) => Cause(error.to_string()),
        error => Cause::of(&error),
    })
}

/// The TLS configuration of a client.
pub(super) fn tls(settings: &Settings) -> Result<ClientConfig, KubeError> {
    let mut config = settings.config.clone();
    let verified = !config.accept_invalid_certs && config.cluster_url.scheme_str() == Some("https");
    let authorities = if verified && settings.authorities.is_empty() {
        system_authorities()?
    } else {
        settings.authorities.clone()
    };
    // The verifier below decides; an empty list prevents kube from building its own.
    if !verified || !authorities.is_empty() {
        config.root_cert = Some(Vec::new());
    }
    let mut tls = config.rustls_client_config().map_err(failure)?;
    if verified && !authorities.is_empty() {
        let provider = Arc::clone(tls.crypto_provider());
        let verifier = Verifier::new(authorities, settings.authority_file.clone(), provider)
            .map_err(|error| KubeError::Configuration(Cause(error.to_string())))?;
        tls.dangerous().set_certificate_verifier(Arc::new(verifier));
    }
    Ok(tls)
}

/// The certificates of a file-based system store; empty where the system verifies (macOS, Windows).
#[cfg(all(unix, not(target_vendor = "apple")))]
fn system_authorities() -> Result<Vec<CertificateDer<'static>>, KubeError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let reason = found
            .errors
            .first()
            .map(|error| format!(": {error}"))
            .unwrap_or_default();
        return Err(KubeError::Configuration(Cause(format!(
            "the kubeconfig sets no certificate-authority, and the system's trust store is empty{reason}"
        ))));
    }
    Ok(found.certs)
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
fn system_authorities() -> Result<Vec<CertificateDer<'static>>, KubeError> {
    Ok(Vec::new())
}

fn tunnel<C>(proxy: Uri, connector: C, header: Option<HeaderValue>) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy, connector);
    match header {
        Some(header) => tunnel.with_auth(header),
        None => tunnel,
    }
}

fn with_header(settings: &Settings, header: Option<(HeaderName, HeaderValue)>) -> Settings {
    let mut settings = settings.clone();
    settings.config.headers.extend(header);
    settings
}

fn basic(login: &Login) -> Option<HeaderValue> {
    let encoded = pem::encode_data(format!("{}:{}", login.user, login.password).as_bytes());
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn https<C>(
    settings: &Settings,
    tls: &ClientConfig,
    connector: C,
) -> Result<hyper_rustls::HttpsConnector<C>, KubeError> {
    let fixed = settings.config.tls_server_name.as_deref().map(server_name).transpose();
    let fixed = fixed.map_err(|_| {
        let name = settings.config.tls_server_name.clone().unwrap_or_default();
        KubeError::Configuration(Cause(format!("its tls-server-name `{name}` is not a name")))
    })?;
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_or_http()
        .with_server_name_resolver(move |uri: &Uri| match &fixed {
            Some(name) => Ok(name.clone()),
            None => server_name(url::host(uri)),
        })
        .enable_http1()
        .wrap_connector(connector))
}

/// The name for a host's certificate, without a final dot.
fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    ServerName::try_from(host.strip_suffix('.').unwrap_or(host).to_owned())
}

fn assemble<C>(
    settings: &Settings,
    retries: bool,
    authorization: Authorization,
    tls: &ClientConfig,
    connector: C,
) -> Result<Client, KubeError>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let config = &settings.config;
    let mut connector = TimeoutConnector::new(https(settings, tls, connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let sender: hyper_util::client::legacy::Client<_, Body> = Builder::new(TokioExecutor::new()).build(connector);

    let Authorization { token, plugin, layer } = authorization;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(
            DecompressionLayer::new()
                .no_br()
                .no_deflate()
                .no_zstd()
                .gzip(!config.disable_compression),
        )
        .option_layer(retries.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(token.map(|token| FilterLayer::new(move |request| token.authorize(request))))
        .option_layer(
            plugin.map(|plugin| AsyncFilterLayer::new(move |request| plugin.clone().authorize(request).boxed())),
        )
        .option_layer(layer)
        .layer(config.extra_headers_layer().map_err(failure)?)
        .map_err(BoxError::from)
        .service(sender);
    Ok(Client::new(service, config.default_namespace.clone()))
}
