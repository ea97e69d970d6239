//! What can go wrong with an image, one variant per step.

use std::{io, path::PathBuf};

use oci_client::errors::{OciDistributionError, OciErrorCode};

/// A step that failed; the cause is its source.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("`{image}` is no image reference")]
    Reference {
        image: String,
        source: oci_client::ParseError,
    },
    #[error("cannot set up a client for registries")]
    Client { source: OciDistributionError },
    #[error("cannot read the certificate authorities {}", .path.display())]
    Authorities { path: PathBuf, source: io::Error },
    #[error("{} holds no PEM certificate", .path.display())]
    NoAuthority { path: PathBuf },
    #[error("cannot read the manifest of {image}")]
    PullManifest {
        image: String,
        source: OciDistributionError,
    },
    #[error("cannot read {digest} of {image}")]
    PullBlob {
        image: String,
        digest: String,
        source: OciDistributionError,
    },
    #[error("the manifest of {image} is not one we know ({media_type})")]
    MediaType { image: String, media_type: String },
    #[error("the manifest of {image} does not parse")]
    Manifest { image: String, source: serde_json::Error },
    #[error("{artifact} does not hold one file that ends in {endings}, but {there}")]
    ArtifactFile {
        artifact: String,
        endings: String,
        there: String,
    },
    #[error("the file in {artifact} is larger than {max_bytes} bytes")]
    ArtifactSize { artifact: String, max_bytes: u64 },
    #[error("{image} is there for {there}, none of which is wanted ({wanted})")]
    NoPlatform {
        image: String,
        there: String,
        wanted: String,
    },
    #[error("cannot log in to the registry of {image}")]
    Login {
        image: String,
        source: OciDistributionError,
    },
    #[error("cannot write {digest} to {image}")]
    PushBlob {
        image: String,
        digest: String,
        source: OciDistributionError,
    },
    #[error("cannot write the manifest of {image}")]
    PushManifest {
        image: String,
        source: OciDistributionError,
    },
    #[error("{image} was written, but reads back as {found} instead of {expected}")]
    ReadBack {
        image: String,
        expected: String,
        found: String,
    },
    #[error("{what} does not have the digest that its name says: {found}")]
    Digest { what: String, found: String },
    #[error("cannot {action} {}", .path.display())]
    Layout {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} does not parse as an image index", .path.display())]
    Index { path: PathBuf, source: serde_json::Error },
    #[error("{image} is not in {}", .layout.display())]
    NotStored { image: String, layout: PathBuf },
    #[error("cannot read the archive {}", .path.display())]
    Archive { path: PathBuf, source: io::Error },
    #[error("{} holds no image", .path.display())]
    NoImages { path: PathBuf },
    #[error("there are two different images {image} for {platform}: {digests}")]
    TwoOfOnePlatform {
        image: String,
        platform: String,
        /// Both.
        digests: String,
    },
    #[error("the image {image} ({digest}) does not say which platform it is for")]
    NoPlatformSaid { image: String, digest: String },
    #[error("cannot read the logins in {}", .path.display())]
    Credentials { path: PathBuf, source: io::Error },
    #[error("{} does not parse", .path.display())]
    CredentialsFormat { path: PathBuf, source: serde_json::Error },
    #[error("`{helper} get` for {registry} failed: {reason}")]
    Helper {
        helper: String,
        registry: String,
        reason: String,
    },
}

impl ImageError {
    /// Whether trying again may help: the connection broke or the registry is busy.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::PullManifest { source, .. }
            | Self::PullBlob { source, .. }
            | Self::PushBlob { source, .. }
            | Self::PushManifest { source, .. }
            | Self::Login { source, .. } => transient(source),
            Self::Digest { .. } => true,
            _ => false,
        }
    }

    /// Whether the registry has nothing under that name.
    pub fn is_not_found(&self) -> bool {
        let Self::PullManifest { source, .. } = self else {
            return false;
        };
        match source {
            OciDistributionError::ImageManifestNotFoundError(_) => true,
            OciDistributionError::ServerError { code, .. } => *code == 404,
            OciDistributionError::RegistryError { envelope, .. } => envelope.errors.iter().any(|error| {
                let code = &error.code;
                matches!(
                    code,
                    OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound
                )
            }),
            _ => false,
        }
    }

    /// Whether the registry wants other credentials.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::PullManifest { source, .. }
            | Self::PullBlob { source, .. }
            | Self::PushBlob { source, .. }
            | Self::PushManifest { source, .. }
            | Self::Login { source, .. } => matches!(
                source,
                OciDistributionError::UnauthorizedError { .. }
                    | OciDistributionError::AuthenticationFailure(_)
                    | OciDistributionError::ServerError { code: 401 | 403, .. }
            ),
            _ => false,
        }
    }
}

fn transient(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::RequestError(error) => {
            !error.is_builder() && error.status().is_none_or(|status| status.is_server_error())
        }
        OciDistributionError::IoError(_) | OciDistributionError::DigestError(_) => true,
        OciDistributionError::ServerError { code, .. } => matches!(code, 429 | 500..=599),
        _ => false,
    }
}
