//! The certificates of a cluster. Keys are generated for every cluster and never leave its directory.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fs_err as fs;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::{
    node::{API_SERVICE_ADDRESS, HOST_ADDRESS, Node},
    state,
};

/// A certificate and its key, as files.
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

pub(crate) fn pair(name: &str) -> Pair {
    let directory = state::path("certificates");
    Pair {
        certificate: directory.join(format!("{name}.crt")),
        key: directory.join(format!("{name}.key")),
    }
}

pub(crate) const AUTHORITY: &str = "authority";
pub(crate) const API_SERVER: &str = "kube-apiserver";
pub(crate) const SERVICE_ACCOUNTS: &str = "service-accounts";
pub(crate) const ADMINISTRATOR: &str = "administrator";
pub(crate) const CONTROLLER_MANAGER: &str = "kube-controller-manager";
pub(crate) const SCHEDULER: &str = "kube-scheduler";
pub(crate) const PROXY: &str = "kube-proxy";
/// The API server's client certificate for kubelets (logs and exec).
pub(crate) const KUBELET_CLIENT: &str = "kubelet-client";

pub(crate) fn kubelet(node: Node) -> String {
    format!("kubelet-{}", node.name())
}

pub(crate) fn create_authority() -> anyhow::Result<()> {
    fs::create_dir_all(state::path("certificates"))?;
    let key = KeyPair::generate()?;
    let certificate = authority_parameters()?.self_signed(&key)?;
    write(&pair(AUTHORITY), &certificate.pem(), &key.serialize_pem())?;
    let key = KeyPair::generate()?;
    // Not a certificate: the API server needs the public key of the key that signs tokens.
    write(&pair(SERVICE_ACCOUNTS), &key.public_key_pem(), &key.serialize_pem())
}

pub(crate) fn create_control_plane() -> anyhow::Result<()> {
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        HOST_ADDRESS,
        API_SERVICE_ADDRESS,
    ];
    issue(API_SERVER, "kube-apiserver", None, &names.map(str::to_owned))?;
    issue(ADMINISTRATOR, "sono-testbed-administrator", Some("system:masters"), &[])?;
    issue(CONTROLLER_MANAGER, "system:kube-controller-manager", None, &[])?;
    issue(SCHEDULER, "system:kube-scheduler", None, &[])?;
    issue(PROXY, "system:kube-proxy", None, &[])?;
    issue(
        KUBELET_CLIENT,
        "kube-apiserver-kubelet-client",
        Some("system:masters"),
        &[],
    )
}

/// Creates the kubelet's certificate, for both its client and its server role.
pub(crate) fn create_node(node: Node) -> anyhow::Result<()> {
    let names = [node.name(), node.address()];
    issue(
        &kubelet(node),
        &format!("system:node:{}", node.name()),
        Some("system:nodes"),
        &names,
    )
}

fn issue(file: &str, common_name: &str, organization: Option<&str>, names: &[String]) -> anyhow::Result<()> {
    let authority_key = KeyPair::from_pem(&fs::read_to_string(pair(AUTHORITY).key)?)?;
    // The issuer needs only the name and the key, so the certificate itself is not read back.
    let issuer = Issuer::new(authority_parameters()?, authority_key);
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(names)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    parameters.distinguished_name = name;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    set_validity(&mut parameters);
    let certificate = parameters
        .signed_by(&key, &issuer)
        .with_context(|| format!("cannot issue {file}"))?;
    write(&pair(file), &certificate.pem(), &key.serialize_pem())
}

fn authority_parameters() -> anyhow::Result<CertificateParams> {
    let mut parameters = CertificateParams::new([] as [String; 0])?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "sono-testbed");
    parameters.distinguished_name = name;
    set_validity(&mut parameters);
    Ok(parameters)
}

/// Sets fixed dates, so that the task needs no clock.
fn set_validity(parameters: &mut CertificateParams) {
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2100, 1, 1);
}

fn write(pair: &Pair, certificate: &str, key: &str) -> anyhow::Result<()> {
    fs::write(&pair.certificate, certificate)?;
    write_private(&pair.key, key)
}

pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text)?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    Ok(())
}
