//! The one crate that talks to the Kubernetes API server.
