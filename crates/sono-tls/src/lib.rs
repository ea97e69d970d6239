//! The run's CA, server and client TLS configurations, and peer identity.
