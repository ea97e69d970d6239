//! The run's CA, server and client TLS configurations, and peer identity (core spec §2.11).
//!
//! It knows certificates and keys only: what a peer may do with its identity is decided by those who ask for it, and
//! nothing here opens a socket or reads a clock.

mod authority;
mod config;
mod error;
mod key;
mod peer;

pub use authority::{Authority, Identity};
pub use config::{client_config, install_provider, server_config};
pub use error::TlsError;
pub use peer::certificate_names;
