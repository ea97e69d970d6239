//! What only tests use: a small Kubernetes API and a small image registry in memory, served over plain HTTP on loopback.
//!
//! For tests that `cargo xtask e2e` runs there is also a real registry, and a proxy that cuts connections.
//!
//! The API:
//! It stores what it is given, keeps the order of changes, serves watches, and refuses on demand. It knows no kubelet,
//! scheduler or controller: a test plays those with [`FakeApi::put`].

mod api;
pub mod corpus;
mod cutter;
mod identity;
mod registry;
mod server;
mod via;
mod who;

pub use api::{Executed, FakeApi, Trouble, forbidden};
pub use cutter::Cutter;
pub use identity::{Identity, Template, Validity};
pub use registry::{Contents, FakeRegistry, digest};
pub use server::{REGISTRY_PROGRAM, RegistryServer, ServerOptions};
pub use via::{ProxyLogin, ProxyServer};
pub use who::WhoServer;
