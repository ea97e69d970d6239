//! Rules for containers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Checker, MAX_INT, formats};
use crate::containers::{each, name};

/// Properties of the pod that containers refer to.
#[derive(Debug)]
pub(super) struct Pod<'a> {
    /// Names of the volumes.
    pub(super) volumes: &'a BTreeSet<String>,
    pub(super) on_host_network: bool,
}

/// Sources of a variable's value.
const VALUE_SOURCES: [&str; 5] = [
    "fieldRef",
    "resourceFieldRef",
    "configMapKeyRef",
    "secretKeyRef",
    "fileKeyRef",
];
const HUGE_PAGES: &str = "hugepages-";
const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];
const HOOKS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "sleep"];

impl Checker {
    pub(super) fn container(&mut self, container: &Value, pod: &Pod<'_>, is_init: bool) {
        if self.path.first().is_some_and(|first| first != "spec") {
            // The loader reports a missing name of `spec`.
            self.required("name", container);
        }
        self.format("name", container, formats::label);
        self.format("image", container, |image| {
            if image.trim() == image {
                Ok(())
            } else {
                Err(format!("`{image}` has leading or trailing whitespace"))
            }
        });
        self.one_of("imagePullPolicy", container, &["Always", "IfNotPresent", "Never"]);
        self.one_of("restartPolicy", container, &["Always", "OnFailure", "Never"]);
        self.each("resizePolicy", container, |checker, policy| {
            checker.one_of("restartPolicy", policy, &["NotRequired", "RestartContainer"]);
        });
        self.one_of(
            "terminationMessagePolicy",
            container,
            &["File", "FallbackToLogsOnError"],
        );
        self.each("env", container, Self::variable);
        self.each("envFrom", container, |checker, source| {
            checker.only_one(source, &["configMapRef", "secretRef"], false);
            checker.format("prefix", source, formats::variable);
            for key in ["configMapRef", "secretRef"] {
                checker.within(key, source, |checker, reference| checker.required("name", reference));
            }
        });
        self.ports(container, pod);
        self.mounts(container, pod);
        self.within("resources", container, Self::resources);
        let may_probe = !is_init || container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
        for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
            self.within(key, container, |checker, probe| {
                if !may_probe {
                    checker.refuse("not allowed in an init container unless its restartPolicy is Always");
                }
                checker.probe(probe, key != "readinessProbe");
            });
        }
        self.within("lifecycle", container, |checker, lifecycle| {
            if !may_probe {
                checker.refuse("not allowed in an init container unless its restartPolicy is Always");
            }
            for key in ["postStart", "preStop"] {
                checker.within(key, lifecycle, |checker, hook| {
                    checker.only_one(hook, &HOOKS, false);
                    checker.handler(hook);
                });
            }
        });
        self.within("securityContext", container, Self::container_security);
    }

    fn variable(&mut self, variable: &Value) {
        self.required("name", variable);
        self.format("name", variable, formats::variable);
        let has_value = variable
            .get("value")
            .and_then(Value::as_str)
            .is_some_and(|value| !value.is_empty());
        self.within("valueFrom", variable, |checker, source| {
            if has_value {
                checker.refuse("must not be set together with value");
            }
            checker.only_one(source, &VALUE_SOURCES, false);
            checker.within("fieldRef", source, |checker, field| {
                checker.required("fieldPath", field);
            });
            checker.within("resourceFieldRef", source, |checker, field| {
                checker.required("resource", field);
            });
            for key in ["configMapKeyRef", "secretKeyRef"] {
                checker.within(key, source, |checker, reference| {
                    checker.required("key", reference);
                    checker.format("key", reference, formats::config_map_key);
                    checker.required("name", reference);
                    checker.format("name", reference, formats::subdomain);
                });
            }
        });
    }

    fn ports(&mut self, container: &Value, pod: &Pod<'_>) {
        let mut names = BTreeSet::new();
        let mut host_ports = BTreeSet::new();
        self.each("ports", container, |checker, port| {
            checker.format("name", port, formats::port_name);
            let own = name(port);
            if !own.is_empty() && !names.insert(own.to_owned()) {
                checker.refuse_at("name", &format!("duplicate port name `{own}`"));
            }
            checker.required("containerPort", port);
            checker.range("containerPort", port, 1, 65_535);
            checker.range("hostPort", port, 0, 65_535);
            checker.one_of("protocol", port, &["TCP", "UDP", "SCTP"]);
            let text = |key: &str, default: &str| port.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
            if let Some(host) = port.get("hostPort").and_then(Value::as_i64).filter(|host| *host != 0)
                && !host_ports.insert((text("protocol", "TCP"), text("hostIP", ""), host))
            {
                checker.refuse_at("hostPort", &format!("duplicate host port {host}"));
            }
            let number = |key: &str| port.get(key).and_then(Value::as_i64);
            if let (true, Some(host), Some(own)) = (pod.on_host_network, number("hostPort"), number("containerPort"))
                && host != 0
                && host != own
            {
                checker.refuse_at(
                    "hostPort",
                    &format!("must be equal to containerPort with hostNetwork, not {host}"),
                );
            }
        });
    }

    fn mounts(&mut self, container: &Value, pod: &Pod<'_>) {
        let mut paths = BTreeSet::new();
        let privileged = container
            .pointer("/securityContext/privileged")
            .and_then(Value::as_bool)
            == Some(true);
        self.each("volumeMounts", container, |checker, mount| {
            checker.required("name", mount);
            checker.required("mountPath", mount);
            let volume = name(mount);
            if !volume.is_empty() && !pod.volumes.contains(volume) {
                checker.refuse_at("name", &format!("volume `{volume}` does not exist"));
            }
            if let Some(path) = mount.get("mountPath").and_then(Value::as_str)
                && !path.is_empty()
                && !paths.insert(path.to_owned())
            {
                checker.refuse_at("mountPath", &format!("duplicate mount path `{path}`"));
            }
            checker.format("subPath", mount, formats::relative_path);
            checker.format("subPathExpr", mount, formats::relative_path);
            checker.only_one(mount, &["subPath", "subPathExpr"], true);
            let propagations = ["None", "HostToContainer", "Bidirectional"];
            checker.one_of("mountPropagation", mount, &propagations);
            if mount.get("mountPropagation").and_then(Value::as_str) == Some("Bidirectional") && !privileged {
                checker.refuse_at("mountPropagation", "Bidirectional requires a privileged container");
            }
        });
        self.each("volumeDevices", container, |checker, device| {
            checker.required("name", device);
            checker.required("devicePath", device);
        });
    }

    pub(super) fn resources(&mut self, resources: &Value) {
        for key in ["limits", "requests"] {
            self.within(key, resources, |checker, list| {
                for (resource, amount) in list.as_object().into_iter().flatten() {
                    checker.below(resource, |checker| checker.resource(resource, amount));
                }
            });
        }
        let amount = |key: &str, resource: &str| number(resources.get(key)?.get(resource)?);
        let requests = resources.get("requests").and_then(Value::as_object);
        for resource in requests.into_iter().flatten().map(|(resource, _)| resource) {
            if let (Some(request), Some(limit)) = (amount("requests", resource), amount("limits", resource))
                && request > limit
            {
                self.below("requests", |checker| {
                    checker.refuse_at(resource, "exceeds the limit");
                });
            }
            // Resources that cannot be overcommitted require request = limit.
            if is_extended(resource) || resource.starts_with(HUGE_PAGES) {
                let request = amount("requests", resource);
                let why = match amount("limits", resource) {
                    None => "requires a limit",
                    Some(limit) if request.is_some_and(|request| request < limit) => "differs from the limit",
                    Some(_) => continue,
                };
                self.below("requests", |checker| checker.refuse_at(resource, why));
            }
        }
        let has = |is_match: &dyn Fn(&str) -> bool| {
            let lists = ["limits", "requests"]
                .into_iter()
                .filter_map(|key| resources.get(key)?.as_object());
            lists.flatten().any(|(resource, _)| is_match(resource))
        };
        let has_pages = has(&|resource| resource.starts_with(HUGE_PAGES));
        if has_pages && !has(&|resource| ["cpu", "memory"].contains(&resource)) {
            self.refuse("hugepages require cpu or memory");
        }
    }

    fn resource(&mut self, resource: &str, amount: &Value) {
        let is_known = ["cpu", "memory", "ephemeral-storage"].contains(&resource) || resource.starts_with(HUGE_PAGES);
        if !is_known && !resource.contains('/') {
            self.refuse(&format!(
                "unknown resource `{resource}`; expected cpu, memory, ephemeral-storage, hugepages-SIZE or a name such as `example.org/name`"
            ));
        } else if let Err(why) = formats::qualified_name(resource) {
            self.refuse(&why);
        }
        match number(amount) {
            Some(number) if is_extended(resource) && number.fract() != 0.0 => {
                self.refuse(&format!("{} is not a whole number", shown(amount)));
            }
            Some(number) if number < 0.0 => self.refuse(&format!("{} is negative", shown(amount))),
            Some(_) => {}
            None => self.refuse(&format!(
                "`{}` is not a quantity such as 100m, 0.5 or 1Gi",
                shown(amount)
            )),
        }
    }

    fn probe(&mut self, probe: &Value, succeeds_once: bool) {
        self.only_one(probe, &HANDLERS, false);
        self.handler(probe);
        for key in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "failureThreshold",
        ] {
            self.range(key, probe, 0, MAX_INT);
        }
        let max = if succeeds_once { 1 } else { MAX_INT };
        self.range("successThreshold", probe, 0, max);
    }

    fn handler(&mut self, handler: &Value) {
        self.within("exec", handler, |checker, exec| {
            if each(exec, "command").next().is_none() {
                checker.refuse("command is missing");
            }
        });
        for key in ["httpGet", "tcpSocket", "grpc"] {
            self.within(key, handler, |checker, target| {
                checker.required("port", target);
                checker.range("port", target, 1, 65_535);
                checker.format("port", target, formats::port_name);
            });
        }
        self.within("httpGet", handler, |checker, get| {
            checker.one_of("scheme", get, &["HTTP", "HTTPS"]);
        });
    }

    fn container_security(&mut self, context: &Value) {
        self.identities(context);
        let flag = |key: &str| context.get(key).and_then(Value::as_bool);
        let adds = context.pointer("/capabilities/add").and_then(Value::as_array);
        let adds_admin = adds
            .into_iter()
            .flatten()
            .any(|capability| capability.as_str() == Some("CAP_SYS_ADMIN"));
        if flag("allowPrivilegeEscalation") == Some(false) {
            if flag("privileged") == Some(true) {
                self.refuse("allowPrivilegeEscalation must not be false if privileged is true");
            }
            if adds_admin {
                self.refuse("allowPrivilegeEscalation must not be false if CAP_SYS_ADMIN is added");
            }
        }
        self.one_of("procMount", context, &["Default", "Unmasked"]);
    }

    /// Checks the fields that security contexts of pods and containers have in common.
    pub(super) fn identities(&mut self, context: &Value) {
        for key in ["runAsUser", "runAsGroup", "fsGroup"] {
            self.range(key, context, 0, MAX_INT);
        }
        for key in ["seccompProfile", "appArmorProfile"] {
            self.within(key, context, |checker, profile| {
                checker.required("type", profile);
                checker.one_of("type", profile, &["RuntimeDefault", "Unconfined", "Localhost"]);
                let is_local = profile.get("type").and_then(Value::as_str) == Some("Localhost");
                let has_profile = profile.get("localhostProfile").is_some_and(|value| !value.is_null());
                match (is_local, has_profile) {
                    (true, false) => checker.refuse("localhostProfile is missing"),
                    (false, true) => checker.refuse_at("localhostProfile", "requires the type Localhost"),
                    _ => {}
                }
            });
        }
    }
}

/// Whether it is an extended resource, provided by another component than Kubernetes.
fn is_extended(resource: &str) -> bool {
    resource
        .split_once('/')
        .is_some_and(|(prefix, _)| prefix != "kubernetes.io" && !prefix.ends_with(".kubernetes.io"))
}

/// Numeric value of a quantity, which may be text or a number.
pub(super) fn number(amount: &Value) -> Option<f64> {
    match amount {
        Value::String(text) => formats::quantity(text),
        other => other.as_f64(),
    }
}

fn shown(amount: &Value) -> String {
    amount.as_str().map_or_else(|| amount.to_string(), str::to_owned)
}
