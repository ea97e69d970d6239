//! A registry in which everything that it can choose is hostile: error bodies, header fields, manifests, media types, platforms,
//! annotations, digests and files.

use serde_json::{Value, json};
use sono_testkit::{Contents, FakeRegistry, Fixed, digest};
use tokio::runtime::Runtime;

use super::world::{LINE, NAME, TEXT};

/// Repositories whose manifest `1` is hostile in one way each.
pub(super) const IMAGES: [&str; 13] = [
    "refused",
    "forbidden",
    "unauthorized",
    "failing",
    "text",
    "redirected",
    "typed",
    "shapeless",
    "digests",
    "platforms",
    "layers",
    "config",
    "renamed",
];

/// Artifacts that contain a definition, or should.
pub(super) const ARTIFACTS: [&str; 4] = ["titles", "definition", "untitled", "nothing"];

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) struct Registry {
    registry: FakeRegistry,
    /// Serves it.
    _runtime: Runtime,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.registry.fmt(formatter)
    }
}

impl Registry {
    pub(super) fn start(definition: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let registry = runtime.block_on(FakeRegistry::serve(contents(definition)));
        Self {
            registry,
            _runtime: runtime,
        }
    }

    pub(super) fn address(&self) -> &str {
        self.registry.address()
    }
}

/// A header field cannot have control characters in ASCII; all others, C1 among them, it can.
fn header() -> Vec<u8> {
    LINE.chars()
        .filter(|character| !character.is_ascii_control())
        .collect::<String>()
        .into_bytes()
}

#[expect(clippy::too_many_lines, reason = "a table of repositories and their hostile answers")]
fn contents(definition: &str) -> Contents {
    let errors = json!({"errors": [{"code": TEXT, "message": TEXT, "detail": TEXT}, {"code": LINE, "message": LINE, "detail": {TEXT: TEXT}}]});
    let fixed = |status, headers: Vec<(&'static str, Vec<u8>)>, body: &str| Fixed {
        status,
        headers,
        body: body.to_owned().into(),
    };
    let json_type = || ("content-type", b"application/json".to_vec());
    let challenge = [
        b"Bearer realm=\"http://127.0.0.1:1/".to_vec(),
        header(),
        b"\",service=\"".to_vec(),
        header(),
        b"\"".to_vec(),
    ]
    .concat();
    let mut contents = Contents::default();
    for (name, response) in [
        ("refused", fixed(400, vec![json_type()], &errors.to_string())),
        ("forbidden", fixed(403, vec![json_type()], &errors.to_string())),
        (
            "unauthorized",
            fixed(401, vec![("www-authenticate", challenge)], &errors.to_string()),
        ),
        ("failing", fixed(500, vec![("content-type", header())], TEXT)),
        ("text", fixed(418, Vec::new(), TEXT)),
        (
            "redirected",
            fixed(
                307,
                vec![("location", [b"http://127.0.0.1:1/".to_vec(), header()].concat())],
                TEXT,
            ),
        ),
        (
            "typed",
            fixed(
                200,
                vec![("content-type", header()), ("docker-content-digest", header())],
                "{}",
            ),
        ),
        (
            "shapeless",
            fixed(200, vec![("content-type", MANIFEST.as_bytes().to_vec())], TEXT),
        ),
    ] {
        contents = contents.with_fixed(&format!("{name}/manifests/1"), response);
    }
    let text = |media_type: &str, text: &str| json!({"mediaType": media_type, "digest": digest(text.as_bytes()), "size": text.len()});
    let config = json!({"os": LINE, "architecture": LINE, "config": {"Labels": {TEXT: TEXT}}}).to_string();
    let layer = "layer";
    let manifest = |config: &Value, layers: Value| json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": {TEXT: TEXT}});
    let plain_config = text("application/vnd.oci.image.config.v1+json", &config);
    for blob in [config.as_str(), layer, "{}", definition] {
        contents.blobs.insert(digest(blob.as_bytes()), blob.to_owned().into());
    }
    let platform = |digest: &str| {
        json!({"schemaVersion": 2, "mediaType": INDEX, "annotations": {TEXT: TEXT}, "manifests": [
            {"mediaType": MANIFEST, "digest": digest, "size": 2, "platform": {"os": LINE, "architecture": LINE, "variant": LINE, "os.version": LINE}},
            {"mediaType": LINE, "digest": digest, "size": 2, "annotations": {TEXT: TEXT}, "platform": {"os": "linux", "architecture": LINE}}]})
    };
    let named = |title: &str, content: &str| {
        let mut layer = text("application/yaml", content);
        layer["annotations"] = json!({"org.opencontainers.image.title": title});
        layer
    };
    let empty = text("application/vnd.oci.empty.v1+json", "{}");
    let yaml = format!("{NAME}.yaml");
    for (name, media_type, manifest) in [
        ("digests", INDEX, platform(LINE)),
        ("platforms", INDEX, platform(&digest(b"{}"))),
        (
            "layers",
            MANIFEST,
            manifest(
                &plain_config,
                json!([{"mediaType": LINE, "digest": LINE, "size": 5}, {"mediaType": TEXT, "digest": TEXT, "size": -1}]),
            ),
        ),
        (
            "config",
            MANIFEST,
            manifest(
                &plain_config,
                json!([text("application/vnd.oci.image.layer.v1.tar", layer)]),
            ),
        ),
        (
            "renamed",
            MANIFEST,
            json!({"schemaVersion": 2, "mediaType": TEXT, "config": plain_config, "layers": TEXT}),
        ),
        (
            "titles",
            MANIFEST,
            manifest(
                &empty,
                json!([
                    named(&yaml, definition),
                    named(&format!("../../{yaml}"), definition),
                    named(TEXT, "{}")
                ]),
            ),
        ),
        (
            "definition",
            MANIFEST,
            manifest(&empty, json!([named(&format!("../../{yaml}"), definition)])),
        ),
        (
            "untitled",
            MANIFEST,
            manifest(&empty, json!([text(LINE, definition), text(LINE, "{}")])),
        ),
        (
            "nothing",
            MANIFEST,
            manifest(&empty, json!([named(TEXT, "{}"), named(LINE, "{}")])),
        ),
    ] {
        contents = contents.with_manifest(name, "1", media_type, &manifest);
    }
    contents
}
