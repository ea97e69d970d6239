//! The wire and disk contract of sono.
