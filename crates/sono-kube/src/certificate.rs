//! Explains TLS and credential failures found inside connection errors.

use std::{error::Error, io};

use jiff::Timestamp;
use kube::client::AuthError;
use rustls::{AlertDescription, CertificateError, pki_types::UnixTime};

use crate::error::{Cause, KubeError, PluginError};

/// The TLS or credential failure in the error chain of a connection; `None` for other failures.
pub(crate) fn failure(error: &(dyn Error + 'static), server: &str) -> Option<KubeError> {
    let server = server.to_owned();
    if let Some(error) = find::<AuthError>(error) {
        let source = Cause(error.to_string());
        return Some(KubeError::Credentials { server, source });
    }
    if let Some(PluginError { program, source }) = find(error) {
        return Some(KubeError::CredentialPlugin {
            program: program.clone(),
            install_hint: None,
            source: source.clone(),
        });
    }
    Some(match find::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(error) => KubeError::Certificate {
            server,
            source: Cause(reason(error)),
        },
        error => KubeError::Handshake {
            server,
            source: Cause(handshake(error)),
        },
    })
}

/// The first error of type `E` in a chain. `io::Error` wraps errors that are not its `source`.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = within.and_then(|within| find(within)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The reason why a certificate is rejected.
fn reason(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "it is not signed by any of the configured authorities".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => format!("it expired on {}", date(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!(
                "it is not valid before {}: check this machine's clock",
                date(*not_before)
            )
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let named: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            if named.is_empty() {
                return format!("it is not valid for {expected}: it has no alternative names");
            }
            format!("it is not valid for {expected}, only for {}", named.join(", "))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not meant for servers (extended key usage)".to_owned()
        }
        CertificateError::BadSignature => "its signature does not match the key of its authority".to_owned(),
        CertificateError::Other(error) if error.to_string().contains("CaUsedAsEndEntity") => {
            "it is a CA certificate (CA:TRUE) that is not among the configured authorities".to_owned()
        }
        other => other.to_string(),
    }
}

/// The reason why a handshake failed.
fn handshake(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server requires a client certificate, and the kubeconfig has none".to_owned()
        }
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied),
        ) => format!("the server refuses the client certificate: {alert:?}"),
        rustls::Error::InvalidMessage(_) => "the response is not TLS; the server may use plain http".to_owned(),
        other => other.to_string(),
    }
}

/// Strips the wrapping of `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
fn plain(name: &str) -> &str {
    name.split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name)
        .trim_matches('"')
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s after 1970"), |time| time.to_string())
}
