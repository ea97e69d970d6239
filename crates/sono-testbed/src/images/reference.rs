//! References of the images. The first three are `sono`'s defaults in development builds.
//!
//! The registry name does not exist, and the tag is not `latest`, so that the pull policy is `IfNotPresent` and images are never
//! pulled.

/// The slim sidecar that uploads results.
pub const WORKER: &str = "sono.local/sono-worker:dev";
/// Both programs as `/sonobuoy aggregator|worker|…`, so that it can also be the `--sonobuoy-image`.
pub const AGGREGATOR: &str = "sono.local/sono:dev";
/// The command-line program, for runs started inside a cluster.
pub const COMMAND_LINE: &str = "sono.local/sono-cli:dev";
/// The built-in plugin systemd-logs.
pub const SYSTEMD_LOGS: &str = "sono.local/sono-systemd-logs:dev";
/// A shell and small tools, for the test plugins.
pub const TEST_PLUGIN: &str = "sono.local/testplugin:dev";
/// Holds a pod's namespaces open in the test cluster.
pub const PAUSE: &str = "sono.local/pause:dev";
/// Cluster DNS of the test cluster.
pub const COREDNS: &str = "sono.local/coredns:dev";

/// The real Kubernetes suite, with the image names that plugins and the suite use. The conformance image's tag is `v` and the
/// version of Kubernetes.
pub const CONFORMANCE: &str = "registry.k8s.io/conformance";
/// Two tags, since parts of the suite still use the older one.
pub const AGNHOST: [&str; 2] = [
    "registry.k8s.io/e2e-test-images/agnhost:2.66.1",
    "registry.k8s.io/e2e-test-images/agnhost:2.55",
];
pub const BUSYBOX: &str = "registry.k8s.io/e2e-test-images/busybox:1.37.0-2";
pub const SUITE_PAUSE: &str = "registry.k8s.io/pause:3.10.2";
