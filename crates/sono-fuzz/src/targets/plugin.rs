//! Plugin definitions from plugin authors.

use sono_manifest::load;

use super::Target;

pub(super) const PLUGIN: Target = Target {
    name: "plugin",
    run,
    seeds,
    dictionary: &[
        "sonobuoy-config:",
        "plugin-name",
        "driver: DaemonSet",
        "podSpec:",
        "spec:",
        "config-map:",
        "extra-volumes:",
        "containers:",
        "order: ",
        "0644",
        "!!binary ",
        "&a ",
        "*a",
        "<<: *a",
        "---\n",
        "| ",
        "\u{feff}",
        "null",
        "true",
    ],
};

/// Invalid UTF-8 is rejected earlier, by the reader.
fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (definition, problems) = load("plugin.yaml", &text);
    assert!(definition.is_some() || !problems.is_empty(), "refused without a reason");
}

fn seeds() -> Vec<Vec<u8>> {
    let job = "sonobuoy-config:\n  driver: Job\n  plugin-name: e2e\n  result-format: junit\n  result-files: [a.xml]\n  order: 1\nspec:\n  name: plugin\n  image: example.com/e2e:v1\n  env:\n  - name: A\n    value: \"1\"\n  volumeMounts:\n  - mountPath: /tmp/results\n    name: results\n";
    let daemon_set = "podSpec:\n  containers: []\n  hostNetwork: true\n  tolerations: &all\n  - operator: Exists\nextra-volumes:\n- name: root\n  hostPath: {path: /, defaultMode: 0644}\nconfig-map:\n  a.yaml: |\n    b: 1\nsonobuoy-config: {driver: DaemonSet, plugin-name: logs, skip-cleanup: yes}\nspec: {command: [sh, -c, 'x'], name: p, image: i}\n";
    [job, daemon_set, "", "apiVersion: sonobuoy/v0\nkind: manifest\n"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}
