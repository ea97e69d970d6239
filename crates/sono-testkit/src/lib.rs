//! What only tests use: a small Kubernetes API and a small image registry in memory, served over plain HTTP on loopback.
//!
//! The API:
//! It stores what it is given, keeps the order of changes, serves watches, and refuses on demand. It knows no kubelet,
//! scheduler or controller: a test plays those with [`FakeApi::put`].

mod api;
mod registry;

pub use api::{FakeApi, Trouble, forbidden};
pub use registry::{Contents, FakeRegistry, digest};
