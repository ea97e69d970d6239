use super::*;

/// Violations of a definition that consists of its settings and `rest`.
fn refused(driver: &str, rest: &str) -> Vec<String> {
    let text = format!("sonobuoy-config: {{driver: {driver}, plugin-name: p}}\n{rest}");
    let (definition, problems) = crate::load("p.yaml", &text);
    let definition = definition.unwrap_or_else(|| panic!("{text}{problems:?}"));
    let found = refused_by_api_server(&definition);
    found.into_iter().map(|refused| refused.message).collect()
}

/// Checks which fields of each row's definition violate a rule.
fn check(driver: &str, rows: &[(&str, &[&str])], definition: impl Fn(&str) -> String) {
    for (row, expected) in rows {
        let found = refused(driver, &definition(row));
        let fields: Vec<&str> = found
            .iter()
            .map(|message| message.split_once(": ").map_or("", |(field, _)| field))
            .collect();
        assert_eq!(fields, *expected, "{row}: {found:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn container_rules_of_the_api_server_are_applied() {
    let rows: &[(&str, &[&str])] = &[
        ("name: c", &[]),
        ("name: c-1", &[]),
        ("name: Plugin_1", &["spec.name"]),
        ("name: -c", &["spec.name"]),
        ("name: a.b", &["spec.name"]),
        ("name: c, image: ' i'", &["spec.image"]),
        ("name: c, imagePullPolicy: always", &["spec.imagePullPolicy"]),
        ("name: c, env: [{name: A, value: b}, {name: a.b-c, value: ''}]", &[]),
        ("name: c, env: [{name: 'A=B', value: b}]", &["spec.env[0].name"]),
        ("name: c, env: [{name: 'Ä'}]", &["spec.env[0].name"]),
        ("name: c, env: [{value: b}]", &["spec.env[0]"]),
        (
            "name: c, env: [{name: A, value: b, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]",
            &["spec.env[0].valueFrom"],
        ),
        ("name: c, env: [{name: A, valueFrom: {}}]", &["spec.env[0].valueFrom"]),
        (
            "name: c, env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: a/b}}}]",
            &["spec.env[0].valueFrom.secretKeyRef.key"],
        ),
        (
            "name: c, ports: [{containerPort: 80, name: http}, {containerPort: 81}]",
            &[],
        ),
        ("name: c, ports: [{containerPort: 0}]", &["spec.ports[0].containerPort"]),
        (
            "name: c, ports: [{containerPort: 65536}]",
            &["spec.ports[0].containerPort"],
        ),
        (
            "name: c, ports: [{containerPort: 80, protocol: tcp}]",
            &["spec.ports[0].protocol"],
        ),
        (
            "name: c, ports: [{containerPort: 80, name: a-name-that-is-long}]",
            &["spec.ports[0].name"],
        ),
        (
            "name: c, ports: [{containerPort: 80, name: '80'}]",
            &["spec.ports[0].name"],
        ),
        (
            "name: c, ports: [{containerPort: 80, name: a}, {containerPort: 81, name: a}]",
            &["spec.ports[1].name"],
        ),
        ("name: c, volumeMounts: [{name: results, mountPath: /r}]", &[]),
        (
            "name: c, volumeMounts: [{name: other, mountPath: /r}]",
            &["spec.volumeMounts[0].name"],
        ),
        ("name: c, volumeMounts: [{name: results}]", &["spec.volumeMounts[0]"]),
        (
            "name: c, volumeMounts: [{name: results, mountPath: /r}, {name: results, mountPath: /r}]",
            &["spec.volumeMounts[1].mountPath"],
        ),
        (
            "name: c, volumeMounts: [{name: results, mountPath: /r, subPath: ../x}]",
            &["spec.volumeMounts[0].subPath"],
        ),
        (
            "name: c, resources: {requests: {cpu: 100m, memory: 1.5Gi}, limits: {cpu: 1, example.org/gpu: '2'}}",
            &[],
        ),
        (
            "name: c, resources: {limits: {cpu: 1e3, memory: 1E, ephemeral-storage: 5e-1}}",
            &[],
        ),
        (
            "name: c, resources: {limits: {memory: 1GB}}",
            &["spec.resources.limits.memory"],
        ),
        (
            "name: c, resources: {limits: {memory: 1 Gi}}",
            &["spec.resources.limits.memory"],
        ),
        (
            "name: c, resources: {limits: {memory: ''}}",
            &["spec.resources.limits.memory"],
        ),
        (
            "name: c, resources: {limits: {cpu: '-1'}}",
            &["spec.resources.limits.cpu"],
        ),
        ("name: c, resources: {limits: {cpu: '.', memory: '1Mi '}}", &[]),
        (
            "name: c, resources: {limits: {example.org/gpu: 1.5}}",
            &["spec.resources.limits.example.org/gpu"],
        ),
        (
            "name: c, resources: {requests: {example.org/gpu: 1}}",
            &["spec.resources.requests.example.org/gpu"],
        ),
        (
            "name: c, resources: {requests: {example.org/gpu: 1}, limits: {example.org/gpu: 2}}",
            &["spec.resources.requests.example.org/gpu"],
        ),
        (
            "name: c, resources: {limits: {hugepages-2Mi: 2Mi}}",
            &["spec.resources"],
        ),
        ("name: c, resources: {limits: {hugepages-2Mi: 2Mi, memory: 1Gi}}", &[]),
        ("name: c, restartPolicy: Sometimes", &["spec.restartPolicy"]),
        ("name: c, ports: [{containerPort: 80, hostIP: nowhere}]", &[]),
        (
            "name: c, ports: [{containerPort: 80, hostPort: 80}, {containerPort: 81, hostPort: 80}]",
            &["spec.ports[1].hostPort"],
        ),
        ("name: c, resources: {limits: {gpu: 1}}", &["spec.resources.limits.gpu"]),
        (
            "name: c, resources: {requests: {memory: 2Gi}, limits: {memory: 1G}}",
            &["spec.resources.requests.memory"],
        ),
        ("name: c, livenessProbe: {exec: {command: [a]}}", &[]),
        ("name: c, livenessProbe: {periodSeconds: 5}", &["spec.livenessProbe"]),
        (
            "name: c, readinessProbe: {httpGet: {port: 80}, tcpSocket: {port: 80}}",
            &["spec.readinessProbe.tcpSocket"],
        ),
        (
            "name: c, livenessProbe: {httpGet: {port: 0}}",
            &["spec.livenessProbe.httpGet.port"],
        ),
        (
            "name: c, securityContext: {runAsUser: -1}",
            &["spec.securityContext.runAsUser"],
        ),
        (
            "name: c, securityContext: {privileged: true, allowPrivilegeEscalation: false}",
            &["spec.securityContext"],
        ),
    ];
    check("Job", rows, |row| format!("spec: {{{row}}}\n"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn pod_rules_of_the_api_server_are_applied() {
    let rows: &[(&str, &[&str])] = &[
        ("restartPolicy: Never", &[]),
        ("restartPolicy: never", &["podSpec.restartPolicy"]),
        ("dnsPolicy: None", &["podSpec.dnsPolicy"]),
        ("dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1]}", &[]),
        ("nodeSelector: {kubernetes.io/os: linux, a: ''}", &[]),
        ("nodeSelector: {a b: x}", &["podSpec.nodeSelector.a b"]),
        ("nodeSelector: {a: 'x y'}", &["podSpec.nodeSelector.a"]),
        ("nodeSelector: {A.org/x: z}", &["podSpec.nodeSelector.A.org/x"]),
        (
            "tolerations: [{operator: Exists}, {key: a, value: b, effect: NoExecute, tolerationSeconds: 5}]",
            &[],
        ),
        (
            "tolerations: [{key: a, operator: exists}]",
            &["podSpec.tolerations[0].operator"],
        ),
        (
            "tolerations: [{operator: Equal, value: b}]",
            &["podSpec.tolerations[0]"],
        ),
        (
            "tolerations: [{key: a, operator: Exists, value: b}]",
            &["podSpec.tolerations[0].value"],
        ),
        (
            "tolerations: [{key: a, effect: NoExec}]",
            &["podSpec.tolerations[0].effect"],
        ),
        ("serviceAccountName: My_Account", &["podSpec.serviceAccountName"]),
        ("volumes: [{name: v, emptyDir: {}}, {name: w}]", &[]),
        ("volumes: [{name: V}]", &["podSpec.volumes[0].name"]),
        ("volumes: [{name: v}, {name: v}]", &["podSpec.volumes[1].name"]),
        ("volumes: [{name: results, emptyDir: {}}]", &["podSpec.volumes[0].name"]),
        (
            "volumes: [{name: v, emptyDir: {}, hostPath: {path: /}}]",
            &["podSpec.volumes[0].hostPath"],
        ),
        (
            "volumes: [{name: v, hostPath: {path: /a, type: Dir}}]",
            &["podSpec.volumes[0].hostPath.type"],
        ),
        (
            "volumes: [{name: v, configMap: {name: c, defaultMode: 1777}}]",
            &["podSpec.volumes[0].configMap.defaultMode"],
        ),
        (
            "volumes: [{name: v, secret: {name: s}}]",
            &["podSpec.volumes[0].secret"],
        ),
        ("containers: [{name: B}]", &["podSpec.containers[0].name"]),
        ("containers: [{image: i}]", &["podSpec.containers[0]"]),
        (
            "initContainers: [{name: i, livenessProbe: {exec: {command: [a]}}}]",
            &["podSpec.initContainers[0].livenessProbe"],
        ),
        (
            "hostAliases: [{ip: 1.2.3.4, hostnames: [a, A_b]}]",
            &["podSpec.hostAliases[0].hostnames[1]"],
        ),
        ("dnsConfig: {nameservers: [x]}", &["podSpec.dnsConfig.nameservers[0]"]),
        (
            "volumes: [{name: v, nfs: {server: a, path: rel}}]",
            &["podSpec.volumes[0].nfs.path"],
        ),
        (
            "securityContext: {supplementalGroups: [1, -1]}",
            &["podSpec.securityContext.supplementalGroups[1]"],
        ),
        (
            "securityContext: {sysctls: [{name: A B, value: x}]}",
            &["podSpec.securityContext.sysctls[0].name"],
        ),
        (
            "securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: '1'}]}",
            &[],
        ),
        (
            "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In}]}]}}}",
            &[
                "podSpec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]",
            ],
        ),
        (
            "hostPID: true, shareProcessNamespace: true",
            &["podSpec.shareProcessNamespace"],
        ),
        ("activeDeadlineSeconds: 0", &["podSpec.activeDeadlineSeconds"]),
        (
            "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {}}]}}",
            &["podSpec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"],
        ),
    ];
    check("Job", rows, |row| {
        format!("spec: {{name: c, image: i}}\npodSpec: {{{row}}}\n")
    });
    check(
        "DaemonSet",
        &[
            ("restartPolicy: Always", &[]),
            ("restartPolicy: OnFailure", &["podSpec.restartPolicy"]),
            ("activeDeadlineSeconds: 5", &["podSpec.activeDeadlineSeconds"]),
        ],
        |row| format!("spec: {{name: c, image: i}}\npodSpec: {{{row}}}\n"),
    );
}

#[test]
fn volumes_and_files_are_checked() {
    let rows: &[(&str, &[&str])] = &[
        ("extra-volumes: [{name: v, hostPath: {path: /}}]", &[]),
        ("extra-volumes: [{name: root}]", &["extra-volumes[0].name"]),
        ("extra-volumes: [{name: results}]", &["extra-volumes[0].name"]),
        ("config-map: {a.txt: x, _B-1: z}", &[]),
        ("config-map: {a/b.txt: x}", &["config-map.a/b.txt"]),
        ("config-map: {..a: x}", &["config-map...a"]),
        ("config-map: {'': x}", &["config-map."]),
    ];
    check("DaemonSet", rows, |row| format!("spec: {{name: c, image: i}}\n{row}\n"));
    let large = format!(
        "spec: {{name: c, image: i}}\nconfig-map: {{a: {}}}\n",
        "x".repeat(1 << 20)
    );
    assert_eq!(refused("Job", &large), Vec::<String>::new());
    let large = large.replace("{a: ", "{b: z, a: ");
    assert_eq!(
        refused("Job", &large),
        ["config-map: its values have 1048577 bytes, more than the 1048576 that a ConfigMap can hold"]
    );
    // The volume of the default podSpec, and the config-map volume that the run adds.
    let mounts = "spec: {name: c, image: i, volumeMounts: [{name: root, mountPath: /n}, {name: sonobuoy-p-vol, mountPath: /c}]}\n";
    assert_eq!(refused("DaemonSet", mounts), Vec::<String>::new());
}

#[test]
fn prepared_built_in_plugins_are_accepted() {
    for name in crate::BUILTIN_NAMES {
        let definition = crate::builtin(name, &crate::Images::default()).unwrap();
        let config = sono_types::Config::default();
        let preparation = crate::Preparation {
            config: &config,
            kubernetes_version: "v1.37.2",
        };
        for definition in crate::prepare(vec![definition], &preparation) {
            assert_eq!(refused_by_api_server(&definition), [], "{name}");
        }
    }
}
