//! The run's CA, server and client TLS configurations, and peer identity (core §2.11).
//!
//! It knows only certificates and keys. Callers decide about permissions; this crate opens no sockets and reads no
//! clock.

mod authority;
mod config;
mod error;
mod key;
mod peer;

pub use authority::{Authority, Identity};
pub use config::{client_config, install_provider, server_config};
pub use error::TlsError;
pub use peer::certificate_names;
