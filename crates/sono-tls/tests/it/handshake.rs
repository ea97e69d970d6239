use std::{sync::Arc, time::Duration};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig,
    ServerConnection,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    time_provider::TimeProvider,
};
use sono_tls::{Authority, Identity, certificate_names, client_config, server_config};

use crate::{now, plugin};

#[derive(Debug)]
struct At(u64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

fn at(hours: i64) -> Arc<At> {
    Arc::new(At(u64::try_from(now().as_second() + hours * 3600).unwrap()))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn server(authority: &Authority) -> ServerConfig {
    let identity = authority
        .server(
            now(),
            &names(&["10.0.0.7", "fd00::7", "sonobuoy-aggregator.sonobuoy.svc"]),
        )
        .unwrap();
    let mut config = server_config(&identity, authority.certificate_pem()).unwrap();
    config.time_provider = at(0);
    config
}

fn client(ca: &Authority, identity: &Identity) -> ClientConfig {
    let mut config = client_config(ca.certificate_pem(), &identity.certificate_pem, &identity.key_pem).unwrap();
    config.time_provider = at(0);
    config
}

/// Performs a handshake in memory and returns the result of each side; the server's includes the peer's names.
fn handshake(
    client: ClientConfig,
    server: ServerConfig,
    name: &str,
) -> (Result<(), Error>, Result<Vec<String>, Error>) {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let (mut client_end, mut server_end) = (Ok(()), Ok(()));
    // A handshake takes two flights each way; the rest are session tickets.
    for _ in 0..4 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() && server_end.is_ok() {
            server.read_tls(&mut rest).unwrap();
            server_end = server.process_new_packets().map(drop);
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() && client_end.is_ok() {
            client.read_tls(&mut rest).unwrap();
            client_end = client.process_new_packets().map(drop);
        }
    }
    if client_end.is_ok() && server_end.is_ok() {
        assert!(
            !client.is_handshaking() && !server.is_handshaking(),
            "neither success nor error"
        );
        assert_eq!(client.peer_certificates().map(<[_]>::len), Some(2), "leaf and CA");
    }
    let names = server_end.map(|()| certificate_names(&server.peer_certificates().unwrap()[0]));
    (client_end, names)
}

#[test]
fn client_is_identified_by_its_plugin() {
    let authority = Authority::new(now()).unwrap();
    // `cis-1.8` is not a valid DNS name, but must be returned.
    for name in ["e2e", "cis-1.8", "0"] {
        let identity = authority.client(now(), &plugin(name)).unwrap();
        for host in ["10.0.0.7", "fd00::7", "sonobuoy-aggregator.sonobuoy.svc"] {
            assert_eq!(
                handshake(client(&authority, &identity), server(&authority), host),
                (Ok(()), Ok(names(&[name]))),
                "{name} to {host}"
            );
        }
    }
}

#[test]
fn a_server_under_another_name_is_refused() {
    let authority = Authority::new(now()).unwrap();
    let identity = authority.client(now(), &plugin("e2e")).unwrap();
    for host in ["10.0.0.8", "elsewhere.svc"] {
        let (client_end, _) = handshake(client(&authority, &identity), server(&authority), host);
        assert!(
            matches!(
                client_end,
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForNameContext { .. }
                ))
            ),
            "{client_end:?}"
        );
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let authority = Authority::new(now()).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.time_provider = at(0);
    assert_eq!(
        handshake(config, server(&authority), "10.0.0.7"),
        (
            Err(Error::AlertReceived(AlertDescription::CertificateRequired)),
            Err(Error::NoCertificatesPresented)
        )
    );
}

#[test]
fn client_and_server_of_different_runs_refuse_each_other() {
    let (ours, theirs) = (Authority::new(now()).unwrap(), Authority::new(now()).unwrap());
    let stranger = theirs.client(now(), &plugin("e2e")).unwrap();
    let (_, server_end) = handshake(client(&ours, &stranger), server(&ours), "10.0.0.7");
    assert!(
        matches!(server_end, Err(Error::InvalidCertificate(_))),
        "{server_end:?}"
    );
    let (client_end, _) = handshake(client(&theirs, &stranger), server(&ours), "10.0.0.7");
    assert!(
        matches!(client_end, Err(Error::InvalidCertificate(_))),
        "{client_end:?}"
    );
}

#[test]
fn certificates_are_for_one_side_only() {
    let authority = Authority::new(now()).unwrap();
    let as_server = authority.server(now(), &names(&["e2e"])).unwrap();
    let (_, server_end) = handshake(client(&authority, &as_server), server(&authority), "10.0.0.7");
    assert!(
        matches!(server_end, Err(Error::InvalidCertificate(_))),
        "{server_end:?}"
    );
}

#[test]
fn clocks_may_differ_by_hours_and_runs_may_take_years() {
    let authority = Authority::new(now()).unwrap();
    let identity = authority.client(now(), &plugin("e2e")).unwrap();
    for (hours, good) in [(-25, false), (-23, true), (24 * 3650, true), (24 * 3653, false)] {
        let mut client = client(&authority, &identity);
        client.time_provider = at(hours);
        let mut server = server(&authority);
        server.time_provider = at(hours);
        let (client_end, server_end) = handshake(client, server, "10.0.0.7");
        assert_eq!((client_end.is_ok() && server_end.is_ok(), hours), (good, hours));
    }
}

#[test]
fn authority_survives_a_restart() {
    let first = Authority::new(now()).unwrap();
    let again = Authority::from_pem(first.certificate_pem(), first.key_pem()).unwrap();
    assert_eq!(again.certificate_pem(), first.certificate_pem());
    assert_eq!(again.key_pem(), first.key_pem());
    let identity = again.client(now(), &plugin("e2e")).unwrap();
    assert_eq!(
        handshake(client(&first, &identity), server(&first), "10.0.0.7"),
        (Ok(()), Ok(names(&["e2e"])))
    );
    let other = Authority::new(now()).unwrap();
    assert!(matches!(
        Authority::from_pem(first.certificate_pem(), other.key_pem()),
        Err(sono_tls::TlsError::ForeignKey)
    ));
}

#[test]
fn secrets_stay_out_of_logs() {
    let authority = Authority::new(now()).unwrap();
    let identity = authority.client(now(), &plugin("e2e")).unwrap();
    for text in [format!("{authority:?}"), format!("{identity:?}")] {
        assert!(
            text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE"),
            "{text}"
        );
    }
}

#[test]
fn pkcs8_keys_are_accepted() {
    let authority = Authority::new(now()).unwrap();
    let identity = authority.client(now(), &plugin("e2e")).unwrap();
    // The key must match the certificate, so the same key is encoded as PKCS#8.
    let sec1 = rustls::pki_types::PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let pair = aws_lc_rs::signature::EcdsaKeyPair::from_private_key_der(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        sec1.secret_der(),
    )
    .unwrap();
    let body = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        pair.to_pkcs8v1().unwrap().as_ref(),
    );
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let mut config = client_config(authority.certificate_pem(), &identity.certificate_pem, &pem).unwrap();
    config.time_provider = at(0);
    assert_eq!(
        handshake(config, server(&authority), "10.0.0.7"),
        (Ok(()), Ok(names(&["e2e"])))
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new(now()).unwrap();
    let (one, two) = (
        authority.client(now(), &plugin("e2e")).unwrap(),
        authority.client(now(), &plugin("e2e")).unwrap(),
    );
    assert!(matches!(
        client_config(authority.certificate_pem(), &one.certificate_pem, &two.key_pem),
        Err(sono_tls::TlsError::UseIdentity(_))
    ));
}
