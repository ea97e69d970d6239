//! What only tests use: builders, tiny plugins, hostile archives, a fake Kubernetes API.
