use super::*;

const YAML: &str = "name: p\nstatus: failed\n";

fn json(tree: &str, yaml: &str) -> Vec<u8> {
    let digest = serde_json::to_string(&YamlDigest::of(&mut yaml.as_bytes()).unwrap()).unwrap();
    format!(r#"{{"format":1,"tree":{tree},"yaml":{digest}}}"#).into_bytes()
}

#[test]
fn json_with_another_yaml_digest_is_ignored() {
    let tree = r#"{"name":"p","status":"passed"}"#;
    let status = |json: &[u8]| read_tree(YAML.as_bytes(), Some(json)).unwrap().status;
    // A matching digest is accepted.
    assert_eq!(status(&json(tree, YAML)), "passed");
    for other in [
        json(tree, "name: p\nstatus: passed\n"),
        json(tree, ""),
        b"{}".to_vec(),
        b"".to_vec(),
        br#"{"format":1,"tree":{"name":"p","status":"passed"}}"#.to_vec(),
        [json(tree, YAML).as_slice(), b"{}"].concat(),
        json(r#"{"status":"passed"}"#, YAML),
    ] {
        assert_eq!(status(&other), "failed", "{}", String::from_utf8_lossy(&other));
    }
    let unreadable = "a: [\n";
    assert!(read_tree(unreadable.as_bytes(), Some(&json(tree, YAML))).is_err());
}

#[test]
fn digest_is_size_and_sha256() {
    let expected = YamlDigest {
        size: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
    };
    assert_eq!(YamlDigest::of(&mut &b"abc"[..]).unwrap(), expected);
}

#[test]
fn tree_of_an_unprocessed_plugin_has_the_reason_in_both_files() {
    let (mut yaml, mut json) = (Vec::new(), Vec::new());
    let name = PluginName::parse("p").unwrap();
    unprocessed(&name, "it ended the process", &mut yaml, &mut json).unwrap();
    let root = Item {
        name: "p".to_owned(),
        status: "unknown".to_owned(),
        meta: [("error", "it ended the process"), ("type", "summary")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..Item::default()
    };
    assert_eq!(read_tree(&yaml, None), Ok(root.clone()));
    let streamed = crate::stream_json(json.as_slice(), &mut |_| {}).unwrap();
    assert_eq!(streamed, (root, YamlDigest::of(&mut yaml.as_slice()).unwrap()));
}
