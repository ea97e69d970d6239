//! The built-in host-check plugin.
