//! Rules for pods, except their containers and volumes.

use serde_json::Value;

use super::{Checker, MAX_INT, formats};
use crate::{DriverKind, containers::each};

const OPERATORS: [&str; 6] = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

impl Checker {
    pub(super) fn pod(&mut self, spec: &Value, driver: DriverKind) {
        match driver {
            DriverKind::Job => self.one_of("restartPolicy", spec, &["Always", "OnFailure", "Never"]),
            DriverKind::DaemonSet => self.daemon_set(spec),
        }
        self.range("activeDeadlineSeconds", spec, 1, MAX_INT);
        let policies = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
        self.one_of("dnsPolicy", spec, &policies);
        let servers = spec.pointer("/dnsConfig/nameservers").and_then(Value::as_array);
        if spec.get("dnsPolicy").and_then(Value::as_str) == Some("None") && servers.is_none_or(Vec::is_empty) {
            self.refuse_at("dnsPolicy", "None requires dnsConfig.nameservers");
        }
        for key in [
            "serviceAccountName",
            "serviceAccount",
            "nodeName",
            "priorityClassName",
            "runtimeClassName",
        ] {
            self.format(key, spec, formats::subdomain);
        }
        for key in ["hostname", "subdomain"] {
            self.format(key, spec, formats::label);
        }
        self.within("os", spec, |checker, os| {
            checker.required("name", os);
            checker.one_of("name", os, &["linux", "windows"]);
        });
        let flag = |key: &str| spec.get(key).and_then(Value::as_bool) == Some(true);
        if flag("hostPID") && flag("shareProcessNamespace") {
            self.refuse_at("shareProcessNamespace", "must not be true if hostPID is true");
        }
        self.within("ephemeralContainers", spec, |checker, list| {
            if list.as_array().is_some_and(|list| !list.is_empty()) {
                checker.refuse("not allowed in a new pod");
            }
        });
        self.within("nodeSelector", spec, |checker, labels| {
            for (key, value) in labels.as_object().into_iter().flatten() {
                checker.below(key, |checker| checker.label(key, value));
            }
        });
        self.each("tolerations", spec, Self::toleration);
        self.each("hostAliases", spec, |checker, alias| {
            checker.required("ip", alias);
            checker.format("ip", alias, formats::ip);
            checker.texts("hostnames", alias, formats::subdomain);
        });
        self.within("dnsConfig", spec, |checker, config| {
            checker.texts("nameservers", config, formats::ip);
        });
        self.each("topologySpreadConstraints", spec, |checker, constraint| {
            checker.required("topologyKey", constraint);
            checker.format("topologyKey", constraint, formats::qualified_name);
            checker.required("maxSkew", constraint);
            checker.range("maxSkew", constraint, 1, MAX_INT);
            checker.required("whenUnsatisfiable", constraint);
            checker.one_of("whenUnsatisfiable", constraint, &["DoNotSchedule", "ScheduleAnyway"]);
        });
        self.within("securityContext", spec, |checker, context| {
            checker.identities(context);
            checker.below("supplementalGroups", |checker| {
                let groups = context.get("supplementalGroups").and_then(Value::as_array);
                for (index, group) in groups.into_iter().flatten().enumerate() {
                    if group.as_i64().is_some_and(|group| !(0..=MAX_INT).contains(&group)) {
                        checker.refuse_at(
                            &index.to_string(),
                            &format!("must be a number of at least 0, not {group}"),
                        );
                    }
                }
            });
            checker.each("sysctls", context, |checker, sysctl| {
                checker.required("name", sysctl);
                checker.format("name", sysctl, formats::sysctl);
            });
        });
        self.within("resources", spec, Self::resources);
        self.within("affinity", spec, Self::affinity);
    }

    fn daemon_set(&mut self, spec: &Value) {
        let policy = spec.get("restartPolicy").and_then(Value::as_str);
        if policy.is_some_and(|policy| !policy.is_empty() && policy != "Always") {
            self.refuse_at("restartPolicy", "must be Always in a DaemonSet");
        }
        if spec.get("activeDeadlineSeconds").is_some_and(|value| !value.is_null()) {
            self.refuse_at("activeDeadlineSeconds", "not allowed in a DaemonSet");
        }
    }

    fn label(&mut self, key: &str, value: &Value) {
        let value = value.as_str().map_or(Ok(()), formats::label_value);
        if let Err(why) = formats::qualified_name(key).and(value) {
            self.refuse(&why);
        }
    }

    fn toleration(&mut self, toleration: &Value) {
        let text = |key: &str| toleration.get(key).and_then(Value::as_str).unwrap_or_default();
        self.format("key", toleration, formats::qualified_name);
        self.one_of("operator", toleration, &["Exists", "Equal", "Gt", "Lt"]);
        self.one_of("effect", toleration, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        if text("key").is_empty() && text("operator") != "Exists" {
            self.refuse("operator must be Exists if key is empty");
        }
        if text("operator") == "Exists" && !text("value").is_empty() {
            self.refuse_at("value", "must not be set with the operator Exists");
        } else {
            self.format("value", toleration, formats::label_value);
        }
        let has_time = toleration
            .get("tolerationSeconds")
            .is_some_and(|value| !value.is_null());
        if has_time && text("effect") != "NoExecute" {
            self.refuse_at("tolerationSeconds", "requires the effect NoExecute");
        }
    }

    fn affinity(&mut self, affinity: &Value) {
        const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
        const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
        self.within("nodeAffinity", affinity, |checker, nodes| {
            checker.within(REQUIRED, nodes, |checker, selector| {
                if each(selector, "nodeSelectorTerms").next().is_none() {
                    checker.refuse("nodeSelectorTerms is missing or empty");
                }
                checker.each("nodeSelectorTerms", selector, Self::expressions);
            });
            checker.each(PREFERRED, nodes, |checker, term| {
                checker.range("weight", term, 1, 100);
                checker.within("preference", term, Self::expressions);
            });
        });
        for kind in ["podAffinity", "podAntiAffinity"] {
            self.within(kind, affinity, |checker, pods| {
                checker.each(REQUIRED, pods, |checker, term| checker.required("topologyKey", term));
                checker.each(PREFERRED, pods, |checker, term| {
                    checker.range("weight", term, 1, 100);
                    checker.within("podAffinityTerm", term, |checker, term| {
                        checker.required("topologyKey", term);
                    });
                });
            });
        }
    }

    fn expressions(&mut self, term: &Value) {
        self.each("matchExpressions", term, |checker, expression| {
            checker.required("key", expression);
            checker.format("key", expression, formats::qualified_name);
            checker.required("operator", expression);
            checker.one_of("operator", expression, &OPERATORS);
            let has_values = each(expression, "values").next().is_some();
            match expression.get("operator").and_then(Value::as_str) {
                Some("In" | "NotIn") if !has_values => checker.refuse("values is missing"),
                Some("Exists" | "DoesNotExist") if has_values => {
                    checker.refuse_at("values", "must not be set with the operator Exists or DoesNotExist");
                }
                _ => {}
            }
        });
    }
}
