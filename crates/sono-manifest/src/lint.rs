//! Additional checks of `plugin lint`: valid definitions that are probably not intended.

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sono_types::{env, yaml};

use crate::{
    Definition, DriverKind, Problem, Refused, Severity,
    api_rules::{is_old_variable, refused_by_api_server},
    containers::{each, name},
    load, suggest,
    types::path_text,
    unknown::unknown_fields,
};

/// Names of the result formats (core §1.1).
pub(crate) const RESULT_FORMATS: [&str; 5] = ["junit", "e2e", "gojson", "manual", "raw"];
/// Variables that a run sets in every container, overriding the definition.
const SET_BY_RUN: [&str; 6] = [
    env::SONOBUOY,
    env::SONOBUOY_K8S_VERSION,
    env::SONOBUOY_RESULTS_DIR,
    env::RESULTS_DIR,
    env::SONOBUOY_PROGRESS_PORT,
    env::SONOBUOY_CONFIG_DIR,
];

/// All problems of a definition in the order of the file: those of [`load`], fields unknown to Kubernetes, values that the
/// API server would reject, and probable mistakes.
pub fn lint(file: &str, text: &str) -> (Option<Definition>, Vec<Problem>) {
    let (definition, problems) = load(file, text);
    let mut linter = Linter { file, text, problems };
    if let Ok(Value::Object(document)) = yaml::first_document::<Value>(text) {
        linter.unknown::<Container>(&["spec"], document.get("spec"));
        linter.unknown::<PodSpec>(&["podSpec"], document.get("podSpec"));
        let volumes = document.get("extra-volumes").and_then(Value::as_array);
        for (index, volume) in volumes.into_iter().flatten().enumerate() {
            linter.unknown::<Volume>(&["extra-volumes", &index.to_string()], Some(volume));
        }
        if let Some(settings) = document.get("sonobuoy-config") {
            linter.old_settings(settings);
        }
    }
    if yaml::all_documents(text).is_ok_and(|documents| documents.len() > 1) {
        linter.warn(&[], "has several documents; only the first one is used".to_owned());
    }
    if let Some(definition) = &definition {
        linter.results(definition);
        linter.containers(definition);
        linter.pod(definition);
        for Refused { path, message } in refused_by_api_server(definition) {
            linter.problem(Severity::Error, &path, message);
        }
    }
    for path in yaml::duplicate_keys(text) {
        let message = format!(
            "`{}` is set more than once; the last value takes effect",
            path_text(&path)
        );
        linter.problem(Severity::Warning, &path, message);
    }
    let mut problems = linter.problems;
    problems.sort_by_key(|problem| problem.position);
    (definition, problems)
}

struct Linter<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Linter<'_> {
    fn warn(&mut self, path: &[&str], message: String) {
        let owned: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
        self.problem(Severity::Warning, &owned, message);
    }

    fn problem(&mut self, severity: Severity, path: &[String], message: String) {
        self.problems
            .push(Problem::at(self.file, self.text, severity, path, message));
    }

    fn unknown<T: DeserializeOwned>(&mut self, above: &[&str], value: Option<&Value>) {
        for field in value.map(unknown_fields::<T>).unwrap_or_default() {
            let path: Vec<&str> = above
                .iter()
                .copied()
                .chain(field.path.iter().map(String::as_str))
                .collect();
            let owned: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
            let key = path.last().copied().unwrap_or_default();
            let message = format!(
                "unknown field `{}` of a {}{}",
                path_text(&owned),
                field.of,
                suggest::hint(key, field.known)
            );
            self.warn(&path, message);
        }
    }

    fn old_settings(&mut self, settings: &Value) {
        for (old, instead) in [
            ("result-type", "the plugin's name is used"),
            ("source_url", "did you mean source-url?"),
        ] {
            if settings.get(old).is_some() {
                let message = format!("`sonobuoy-config.{old}` has no effect ({instead})");
                self.warn(&["sonobuoy-config", old], message);
            }
        }
    }

    fn results(&mut self, definition: &Definition) {
        let format = definition.result_format.as_str();
        if !format.is_empty() && !RESULT_FORMATS.contains(&format) {
            let message = format!(
                "unknown result-format `{format}` is treated as raw; expected one of {}{}",
                RESULT_FORMATS.join(", "),
                suggest::hint(format, &RESULT_FORMATS)
            );
            self.warn(&["sonobuoy-config", "result-format"], message);
        }
        for (index, file) in definition.result_files.iter().enumerate() {
            if file.contains('/') {
                let message = format!("result-files[{index}] `{file}` is a path; expected a file name");
                self.warn(&["sonobuoy-config", "result-files", &index.to_string()], message);
            } else if file.contains(['*', '?', '[']) {
                let message =
                    format!("result-files[{index}] `{file}` is matched literally; wildcards are not supported");
                self.warn(&["sonobuoy-config", "result-files", &index.to_string()], message);
            }
        }
    }

    fn containers(&mut self, definition: &Definition) {
        let images = |container: &Value| {
            container
                .get("image")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if images(&definition.spec).is_empty() {
            let message = "spec.image is missing; a run in a cluster requires it".to_owned();
            self.warn(&["spec"], message);
        }
        for (index, variable) in each(&definition.spec, "env").enumerate() {
            let variable = name(variable);
            if !variable.is_empty() && !is_old_variable(variable) {
                let message = format!("spec.env[{index}]: Kubernetes before 1.32 rejects the variable `{variable}`");
                self.warn(&["spec", "env", &index.to_string()], message);
            }
            if SET_BY_RUN.contains(&variable) {
                let message = format!("spec.env[{index}]: {variable} has no effect, as the run sets it");
                self.warn(&["spec", "env", &index.to_string()], message);
            }
        }
    }

    /// Checks the podSpec, which completely replaces the driver's default.
    fn pod(&mut self, definition: &Definition) {
        let Some(pod_spec) = &definition.pod_spec else { return };
        let policy = pod_spec.get("restartPolicy").and_then(Value::as_str);
        if definition.driver == DriverKind::Job && policy.is_none() {
            let message = "podSpec.restartPolicy is missing, so Kubernetes restarts containers that exit; \
                           set it to Never for a Job"
                .to_owned();
            self.warn(&["podSpec"], message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        lint("p.yaml", text).1.iter().map(ToString::to_string).collect()
    }

    const GOOD: &str =
        "sonobuoy-config: {driver: Job, plugin-name: p, result-format: junit}\nspec: {name: c, image: i}\n";

    #[test]
    fn a_good_definition_has_no_problems() {
        assert_eq!(messages(GOOD), Vec::<String>::new());
    }

    #[test]
    fn probable_mistakes_are_reported_with_their_position() {
        let text = "\
sonobuoy-config:
  driver: Job
  plugin-name: p
  result-format: jnit
  result-type: p
  result-files: [out/a.xml]
  skip_cleanup: true
spec:
  name: c
  comand: [x]
  env:
  - {name: RESULTS_DIR, value: /x}
podSpec:
  restartPolicyy: Never
---
more: 1
";
        assert_eq!(
            messages(text),
            [
                "p.yaml:1:1   has several documents; only the first one is used",
                "p.yaml:4:18   unknown result-format `jnit` is treated as raw; expected one of junit, e2e, gojson, manual, raw (did you mean junit?)",
                "p.yaml:5:16   `sonobuoy-config.result-type` has no effect (the plugin's name is used)",
                "p.yaml:6:18   result-files[0] `out/a.xml` is a path; expected a file name",
                "p.yaml:7:17   unknown key `sonobuoy-config.skip_cleanup` has no effect (did you mean skip-cleanup?)",
                "p.yaml:9:3   spec.image is missing; a run in a cluster requires it",
                "p.yaml:10:11   unknown field `spec.comand` of a Container (did you mean command?)",
                "p.yaml:12:5   spec.env[0]: RESULTS_DIR has no effect, as the run sets it",
                "p.yaml:14:3   podSpec.restartPolicy is missing, so Kubernetes restarts containers that exit; set it to Never for a Job",
                "p.yaml:14:19   unknown field `podSpec.restartPolicyy` of a PodSpec (did you mean restartPolicy?)",
            ]
        );
    }

    #[test]
    fn a_daemon_set_restarts_always() {
        let text = GOOD.replace("Job", "DaemonSet") + "podSpec: {restartPolicy: Never}\n";
        assert_eq!(
            messages(&text),
            ["p.yaml:3:26   podSpec.restartPolicy: must be Always in a DaemonSet"]
        );
    }

    #[test]
    fn definition_that_the_api_server_rejects_is_an_error() {
        for (text, expected, severity) in [
            (
                "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: Plugin_1, image: i}\n",
                "p.yaml:2:14   spec.name: invalid name `Plugin_1`: expected at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends",
                Severity::Error,
            ),
            (
                "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: c, image: i}\nconfig-map: {a/b.txt: x}\n",
                "p.yaml:3:23   config-map.a/b.txt: invalid ConfigMap key `a/b.txt`: expected at most 253 letters, digits, `-`, `_` and `.`; not `.` and not starting with `..`",
                Severity::Error,
            ),
            (
                "sonobuoy-config: {driver: Job, plugin-name: p, result-format: junit, result-files: [\"*.xml\"]}\nspec: {name: c, image: i}\n",
                "p.yaml:1:85   result-files[0] `*.xml` is matched literally; wildcards are not supported",
                Severity::Warning,
            ),
            (
                "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: c, image: i, env: [{name: A, name: B}]}\n",
                "p.yaml:2:49   `spec.env[0].name` is set more than once; the last value takes effect",
                Severity::Warning,
            ),
            (
                "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: c, image: i, env: [{name: 1A}]}\n",
                "p.yaml:2:33   spec.env[0]: Kubernetes before 1.32 rejects the variable `1A`",
                Severity::Warning,
            ),
        ] {
            let problems = lint("p.yaml", text).1;
            let found: Vec<_> = problems
                .iter()
                .map(|problem| (problem.to_string(), problem.severity))
                .collect();
            assert_eq!(found, [(expected.to_owned(), severity)]);
        }
    }

    #[test]
    fn errors_stay_errors() {
        let (definition, problems) = lint("p.yaml", "spec: {nmae: x}\n");
        assert_eq!(definition, None);
        let errors = problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .count();
        assert_eq!((errors, problems.len()), (2, 3), "{problems:?}");
    }
}
