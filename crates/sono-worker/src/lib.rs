//! The sidecar that watches a plugin's results and uploads them.
