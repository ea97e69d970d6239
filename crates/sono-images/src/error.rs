//! Errors of image operations, one variant per step.

use std::{io, path::PathBuf};

use oci_client::errors::{OciDistributionError, OciErrorCode};

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("invalid image reference `{image}`")]
    Reference {
        image: String,
        source: oci_client::ParseError,
    },
    #[error("cannot set up a client for registries")]
    Client { source: OciDistributionError },
    #[error("cannot read the certificate authorities {}", .path.display())]
    Authorities { path: PathBuf, source: io::Error },
    #[error("{} contains no PEM certificate", .path.display())]
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
    #[error("unsupported manifest type of {image}: {media_type}")]
    MediaType { image: String, media_type: String },
    #[error("cannot parse the manifest of {image}")]
    Manifest { image: String, source: serde_json::Error },
    #[error("{artifact} must contain exactly one file ending in {endings}; it contains {found}")]
    ArtifactFile {
        artifact: String,
        endings: String,
        found: String,
    },
    #[error("the file in {artifact} is larger than {max_bytes} bytes")]
    ArtifactSize { artifact: String, max_bytes: u64 },
    #[error("{image} is available for {available}, but not for {requested}")]
    NoPlatform {
        image: String,
        available: String,
        requested: String,
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
    #[error("{image} was pushed, but its digest in the registry is {found} instead of {expected}")]
    ReadBack {
        image: String,
        expected: String,
        found: String,
    },
    #[error("digest mismatch: the content of {what} has the digest {found}")]
    Digest { what: String, found: String },
    #[error("cannot {action} {}", .path.display())]
    Layout {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot parse the image index {}", .path.display())]
    Index { path: PathBuf, source: serde_json::Error },
    #[error("{image} is not in {}", .layout.display())]
    NotStored { image: String, layout: PathBuf },
    #[error("cannot read the archive {}", .path.display())]
    Archive { path: PathBuf, source: io::Error },
    #[error("{} contains no image", .path.display())]
    NoImages { path: PathBuf },
    #[error("{image} has two different images for {platform}: {digests}")]
    DuplicatePlatform {
        image: String,
        platform: String,
        /// Both digests.
        digests: String,
    },
    #[error("the configuration of image {image} ({digest}) has no platform")]
    UnknownPlatform { image: String, digest: String },
    #[error("cannot read the credentials in {}", .path.display())]
    Credentials { path: PathBuf, source: io::Error },
    #[error("cannot parse {}", .path.display())]
    CredentialsFormat { path: PathBuf, source: serde_json::Error },
    #[error("`{helper} get` for {registry} failed: {reason}")]
    Helper {
        helper: String,
        registry: String,
        reason: String,
    },
}

impl ImageError {
    /// Whether a retry may succeed: the connection broke or the registry is busy.
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

    /// Whether the registry has no image of that name.
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

    /// Whether the registry rejected the credentials or requires some.
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
