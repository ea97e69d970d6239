//! Kubeconfig files with inline credentials, so that they can be copied.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fs_err as fs;

use super::{
    certificates::{AUTHORITY, pair, write_private},
    control_plane::API_PORT,
    node::HOST_ADDRESS,
};

pub(crate) fn write(path: &Path, identity: &str) -> anyhow::Result<()> {
    let encoded = |path: &Path| anyhow::Ok(STANDARD.encode(fs::read(path)?));
    let authority = encoded(&pair(AUTHORITY).certificate)?;
    let certificate = encoded(&pair(identity).certificate)?;
    let key = encoded(&pair(identity).key)?;
    let text = format!(
        "\
apiVersion: v1
kind: Config
current-context: sono-testbed
clusters:
- name: sono-testbed
  cluster:
    server: https://{HOST_ADDRESS}:{API_PORT}
    certificate-authority-data: {authority}
users:
- name: {identity}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: sono-testbed
  context:
    cluster: sono-testbed
    user: {identity}
"
    );
    write_private(path, &text)
}
