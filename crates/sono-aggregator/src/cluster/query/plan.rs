//! The queries that the configuration selects (core §7).

use jiff::Timestamp;
use regex::bytes::Regex;
use sono_kube::{
    LogOptions,
    query::{Rate, Resource},
};
use sono_types::Config;

use super::{expression, label};

/// Names in `Resources` that are not API resources.
const POD_LOGS: &str = "podlogs";
pub(super) const SERVER_VERSION: &str = "serverversion";
pub(super) const SERVER_GROUPS: &str = "servergroups";

/// The queries of a run.
#[derive(Debug)]
pub(super) struct QueryPlan {
    /// The run's own namespace.
    pub(super) namespace: String,
    /// Names in `Resources`; `None` means everything except Secrets.
    resources: Option<Vec<String>>,
    namespaces: Names,
    /// Label selector of all lists.
    pub(super) labels: String,
    /// `None` without logs.
    pub(super) logs: Option<Logs>,
    pub(super) rate: Rate,
}

/// Which logs.
#[derive(Debug)]
pub(super) struct Logs {
    namespaces: Names,
    /// Pods of all namespaces, one selector each.
    pub(super) fields: Vec<String>,
    /// Label selector of all of them.
    pub(super) labels: String,
    pub(super) options: LogOptions,
}

/// Selects names.
#[derive(Debug)]
enum Names {
    Matching(Regex),
    Only(String),
    None,
}

impl Names {
    fn fits(&self, name: &str) -> bool {
        match self {
            Self::Matching(expression) => expression.is_match(name.as_bytes()),
            Self::Only(only) => only == name,
            Self::None => false,
        }
    }
}

/// An invalid key of the configuration, and the value that is used instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigProblem {
    pub(crate) key: &'static str,
    pub(crate) message: String,
}

impl std::fmt::Display for ConfigProblem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.key, self.message)
    }
}

/// Problems in the configuration of queries.
pub(crate) fn config_problems(config: &Config) -> Vec<ConfigProblem> {
    plan(config).1
}

/// Reads the configuration. Each problem is reported and affects only its own setting.
pub(super) fn plan(config: &Config) -> (QueryPlan, Vec<ConfigProblem>) {
    let mut config_problems = Vec::new();
    let mut report = |key, message| config_problems.push(ConfigProblem { key, message });
    let namespace = config.namespace.clone();
    let namespaces = expression::compile(&config.filters.namespaces).map_or_else(
        |error| {
            let expression = &config.filters.namespaces;
            report(
                "Filters.Namespaces",
                format!("`{expression}` is not a regular expression: {error}; only the run's own namespace is queried"),
            );
            Names::Only(namespace.clone())
        },
        Names::Matching,
    );
    let mut labels = config.filters.label_selector.clone();
    if let Err(error) = label::check(&labels) {
        report(
            "Filters.LabelSelector",
            format!("`{labels}` is not a label selector: {error}; all objects are queried"),
        );
        labels.clear();
    }
    let wanted = config
        .resources
        .as_ref()
        .is_none_or(|names| names.iter().any(|name| name == POD_LOGS));
    let logs = wanted.then(|| logs(config, &mut report)).flatten();
    let plan = QueryPlan {
        namespace,
        resources: config.resources.clone(),
        namespaces,
        labels,
        logs,
        rate: Rate::from_config(config.qps, config.burst),
    };
    (plan, config_problems)
}

/// An expression that matches exactly one name. Names of namespaces need no escaping.
fn exactly(name: &str) -> String {
    format!("^{name}$")
}

fn logs(config: &Config, report: &mut dyn FnMut(&'static str, String)) -> Option<Logs> {
    let limits = &config.limits.pod_logs;
    let own = (limits.sonobuoy_namespace == Some(true)).then_some(config.namespace.as_str());
    let compiled = match (limits.namespaces.as_str(), own) {
        ("", None) => Ok(Names::None),
        ("", Some(own)) => expression::compile(&exactly(own)).map(Names::Matching),
        (expression, None) => expression::compile(expression).map(Names::Matching),
        // Compiled alone first: the added text must not complete an invalid expression such as `a(`.
        (expression, Some(own)) => expression::compile(expression)
            .and_then(|_| expression::compile(&format!("{expression}|{}", exactly(own))))
            .map(Names::Matching),
    };
    let namespaces = compiled.unwrap_or_else(|error| {
        let expression = &limits.namespaces;
        let (instead, names) = match own {
            Some(own) => (
                "only logs of the run's own namespace are fetched",
                Names::Only(own.to_owned()),
            ),
            None => ("no logs are fetched", Names::None),
        };
        report(
            "Limits.PodLogs.Namespaces",
            format!("`{expression}` is not a regular expression: {error}; {instead}"),
        );
        names
    });
    if let Err(error) = label::check(&limits.label_selector) {
        let selector = &limits.label_selector;
        report(
            "Limits.PodLogs.LabelSelector",
            format!("`{selector}` is not a label selector: {error}; no logs are fetched"),
        );
        return None;
    }
    let since_time = limits.since_time.as_ref().and_then(|text| {
        let parsed: Result<Timestamp, _> = text.parse();
        if parsed.is_err() {
            report(
                "Limits.PodLogs.SinceTime",
                format!("`{text}` is not a time such as 2026-01-02T15:04:05Z; the setting is ignored"),
            );
        }
        parsed.ok()
    });
    let mut at_least = |key, number: Option<i64>, least: i64| {
        let low = number.filter(|number| *number < least);
        if let Some(low) = low {
            report(key, format!("{low} is less than {least}; the setting is ignored"));
        }
        number.filter(|number| *number >= least)
    };
    let options = LogOptions {
        follow: false,
        previous: limits.previous,
        timestamps: limits.timestamps,
        since_seconds: at_least("Limits.PodLogs.SinceSeconds", limits.since_seconds, 1),
        since_time,
        tail_lines: at_least("Limits.PodLogs.TailLines", limits.tail_lines, 0),
        limit_bytes: at_least("Limits.PodLogs.LimitBytes", limits.limit_bytes, 1),
    };
    Some(Logs {
        namespaces,
        fields: limits.field_selectors.clone().unwrap_or_default(),
        labels: limits.label_selector.clone(),
        options,
    })
}

impl QueryPlan {
    /// Whether `Resources` contains a name; null contains all names.
    pub(super) fn names(&self, name: &str) -> bool {
        self.resources
            .as_ref()
            .is_none_or(|names| names.iter().any(|wanted| wanted == name))
    }

    /// Whether a resource is queried: by its plural, or by `plural.group`; Secrets only if they are named.
    pub(super) fn includes(&self, resource: &Resource) -> bool {
        match &self.resources {
            None => resource.plural.as_str() != "secrets",
            Some(names) => names.iter().any(|name| is_called(resource, name)),
        }
    }

    /// Whether any resource is listed.
    pub(super) fn includes_lists(&self) -> bool {
        self.resources
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| !is_pseudo(name)))
    }

    /// Names in `Resources` that match no resource of the cluster.
    pub(super) fn missing(&self, found: &[Resource]) -> Vec<String> {
        let unknown = |name: &&String| !is_pseudo(name) && !found.iter().any(|resource| is_called(resource, name));
        self.resources.iter().flatten().filter(unknown).cloned().collect()
    }

    /// Whether the objects of a namespace are queried.
    pub(super) fn includes_namespace(&self, namespace: &str) -> bool {
        self.namespaces.fits(namespace)
    }
}

impl Logs {
    /// Whether the logs of a namespace's pods are queried.
    pub(super) fn includes_namespace(&self, namespace: &str) -> bool {
        self.namespaces.fits(namespace)
    }
}

fn is_pseudo(name: &str) -> bool {
    [POD_LOGS, SERVER_VERSION, SERVER_GROUPS].contains(&name)
}

fn is_called(resource: &Resource, name: &str) -> bool {
    let Resource { group, plural, .. } = resource;
    name == plural.as_str()
        || (!group.is_empty()
            && name
                .strip_prefix(plural.as_str())
                .and_then(|rest| rest.strip_prefix('.'))
                == Some(group.as_str()))
}

#[cfg(test)]
mod tests {
    use sono_kube::query::ApiName;

    use super::*;

    fn config(json: &str) -> Config {
        Config::from_json(json).unwrap()
    }

    fn resource(group: &str, plural: &str) -> Resource {
        Resource {
            group: ApiName::parse(group).unwrap_or_default(),
            version: ApiName::parse("v1").unwrap(),
            plural: ApiName::parse(plural).unwrap(),
            kind: String::new(),
            namespaced: true,
        }
    }

    #[test]
    fn resources_null_selects_all_but_secrets() {
        let queried = |json: &str| {
            let (plan, config_problems) = plan(&config(json));
            assert_eq!(config_problems, []);
            let found = [
                resource("", "pods"),
                resource("", "secrets"),
                resource("apps", "deployments"),
                resource("x.io", "pods"),
            ];
            let names: Vec<String> = found
                .iter()
                .filter(|resource| plan.includes(resource))
                .map(|resource| format!("{}/{}", resource.group, resource.plural))
                .collect();
            (
                names.join(" "),
                plan.missing(&found),
                plan.logs.is_some(),
                plan.includes_lists(),
                plan.names(SERVER_VERSION),
            )
        };
        let owned = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        assert_eq!(
            queried("{}"),
            ("/pods apps/deployments x.io/pods".to_owned(), vec![], true, true, true)
        );
        assert_eq!(
            queried(r#"{"Resources":[]}"#),
            (String::new(), vec![], false, false, false)
        );
        assert_eq!(
            queried(r#"{"Resources":["pods","secrets","podlogs","deployments.apps","gone"]}"#),
            (
                "/pods /secrets apps/deployments x.io/pods".to_owned(),
                owned(&["gone"]),
                true,
                true,
                false
            )
        );
        assert_eq!(
            queried(r#"{"Resources":["pods.x.io","serverversion"]}"#),
            ("x.io/pods".to_owned(), vec![], false, true, true)
        );
        assert_eq!(
            queried(r#"{"Resources":["serverversion"]}"#),
            (String::new(), vec![], false, false, true)
        );
    }

    /// BUG 51: the run's own namespace matches only as a whole name. The user's expression is not anchored, as in Sonobuoy
    /// (core §7.5).
    #[test]
    fn log_namespaces_are_matching_ones_and_the_runs_own() {
        let queried = |json: &str| {
            let (plan, _) = plan(&config(json));
            let logs = plan.logs.unwrap();
            let all = ["a", "kube-system", "my-sonobuoy-x", "sonobuoy"];
            all.into_iter()
                .filter(|name| logs.includes_namespace(name))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(queried("{}"), "kube-system sonobuoy");
        let limits = |inner: &str| format!(r#"{{"Limits":{{"PodLogs":{{{inner}}}}}}}"#);
        assert_eq!(queried(&limits(r#""SonobuoyNamespace":false"#)), "kube-system");
        assert_eq!(queried(&limits(r#""Namespaces":"""#)), "sonobuoy");
        assert_eq!(queried(&limits(r#""Namespaces":"","SonobuoyNamespace":null"#)), "");
        assert_eq!(queried(&limits(r#""Namespaces":"a(""#)), "sonobuoy");
    }

    /// W-18: an invalid expression is reported, and all other settings apply.
    #[test]
    fn invalid_setting_is_reported_and_ignored() {
        let (plan, config_problems) = plan(&config(
            r#"{"Filters":{"Namespaces":"a(","LabelSelector":"a b"},
                "Limits":{"PodLogs":{"Namespaces":"[","SinceTime":"yesterday","TailLines":-1,"LimitBytes":0}}}"#,
        ));
        let said: Vec<String> = config_problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "Filters.Namespaces: `a(` is not a regular expression: unclosed group; only the run's own namespace is queried",
                "Filters.LabelSelector: `a b` is not a label selector: `a b`: `a b` is not a label key; all objects are queried",
                "Limits.PodLogs.Namespaces: `[` is not a regular expression: unclosed character class; only logs of the run's own namespace are fetched",
                "Limits.PodLogs.SinceTime: `yesterday` is not a time such as 2026-01-02T15:04:05Z; the setting is ignored",
                "Limits.PodLogs.TailLines: -1 is less than 0; the setting is ignored",
                "Limits.PodLogs.LimitBytes: 0 is less than 1; the setting is ignored",
            ]
        );
        assert!(plan.includes_namespace("sonobuoy") && !plan.includes_namespace("default"));
        assert_eq!(plan.labels, "");
        let logs = plan.logs.unwrap();
        assert!(logs.includes_namespace("sonobuoy") && !logs.includes_namespace("kube-system"));
        assert_eq!(logs.options, LogOptions::default());
        let wrong = config(r#"{"Limits":{"PodLogs":{"LabelSelector":"(" }}}"#);
        assert_eq!(super::config_problems(&wrong)[0].key, "Limits.PodLogs.LabelSelector");
        assert!(super::plan(&wrong).0.logs.is_none());
    }
}
