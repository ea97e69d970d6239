//! What `plugin lint` says beyond [`load`](crate::load): what is allowed, and probably not meant.

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sono_types::{env, yaml};

use crate::{
    Definition, DriverKind, Problem, Severity,
    containers::{each, name},
    load, suggest,
    types::path_text,
    unknown::unknown_fields,
};

/// Names of the result formats (core spec §1.1).
pub(crate) const RESULT_FORMATS: [&str; 5] = ["junit", "e2e", "gojson", "manual", "raw"];
/// Variables that a run gives to every container, whatever the definition says.
const GIVEN: [&str; 6] = [
    env::SONOBUOY,
    env::SONOBUOY_K8S_VERSION,
    env::SONOBUOY_RESULTS_DIR,
    env::RESULTS_DIR,
    env::SONOBUOY_PROGRESS_PORT,
    env::SONOBUOY_CONFIG_DIR,
];

/// All problems of a definition, in the order of the file: those of [`load`], fields that Kubernetes does not know, and
/// what has another effect than it seems.
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
        linter.warn(&[], "has several documents; only the first one counts".to_owned());
    }
    if let Some(definition) = &definition {
        linter.results(definition);
        linter.containers(definition);
        linter.pod(definition);
    }
    let mut problems = linter.problems;
    problems.sort_by_key(|problem| problem.place);
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
        self.problems.push(Problem {
            file: self.file.to_owned(),
            place: yaml::locate(self.text, path),
            field: (!path.is_empty()).then(|| path_text(&owned)),
            message,
            severity: Severity::Warning,
        });
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
                "`{}` is no known field of a {}{}",
                path_text(&owned),
                field.of,
                suggest::hint(key, field.known)
            );
            self.warn(&path, message);
        }
    }

    fn old_settings(&mut self, settings: &Value) {
        for (old, instead) in [
            ("result-type", "its name is the result's type"),
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
                "unknown result-format `{format}` is read as raw; one of {}{}",
                RESULT_FORMATS.join(", "),
                suggest::hint(format, &RESULT_FORMATS)
            );
            self.warn(&["sonobuoy-config", "result-format"], message);
        }
        for (index, file) in definition.result_files.iter().enumerate() {
            if file.contains('/') {
                let message = format!("result-files[{index}] `{file}` is a path, which no file's name is");
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
            let message = "spec.image is missing: a cluster has nothing to run".to_owned();
            self.warn(&["spec"], message);
        }
        for (index, variable) in each(&definition.spec, "env").enumerate() {
            let variable = name(variable);
            if GIVEN.contains(&variable) {
                let message = format!("spec.env[{index}]: {variable} is set by the run, whatever stands here");
                self.warn(&["spec", "env", &index.to_string()], message);
            }
        }
    }

    /// A podSpec replaces the driver's default as a whole.
    fn pod(&mut self, definition: &Definition) {
        let Some(pod_spec) = &definition.pod_spec else { return };
        let policy = pod_spec.get("restartPolicy").and_then(Value::as_str);
        if definition.driver == DriverKind::Job && policy.is_none() {
            let message = "podSpec.restartPolicy is missing: Kubernetes starts the containers again when they end; \
                           a Job wants Never"
                .to_owned();
            self.warn(&["podSpec"], message);
        }
        if definition.driver == DriverKind::DaemonSet && policy.is_some_and(|policy| policy != "Always") {
            let message = "podSpec.restartPolicy of a DaemonSet can only be Always".to_owned();
            self.warn(&["podSpec", "restartPolicy"], message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        lint("p.yaml", text).1.iter().map(ToString::to_string).collect()
    }

    const GOOD: &str =
        "sonobuoy-config: {driver: Job, plugin-name: p, result-format: junit}\nspec: {name: c, image: i}\n";

    #[test]
    fn a_good_definition_has_no_problems() {
        assert_eq!(said(GOOD), Vec::<String>::new());
    }

    #[test]
    fn what_is_probably_not_meant_is_said_with_its_place() {
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
            said(text),
            [
                "p.yaml:1:1   has several documents; only the first one counts",
                "p.yaml:4:18   unknown result-format `jnit` is read as raw; one of junit, e2e, gojson, manual, raw (did you mean junit?)",
                "p.yaml:5:16   `sonobuoy-config.result-type` has no effect (its name is the result's type)",
                "p.yaml:6:18   result-files[0] `out/a.xml` is a path, which no file's name is",
                "p.yaml:7:17   unknown key `sonobuoy-config.skip_cleanup` has no effect (did you mean skip-cleanup?)",
                "p.yaml:9:3   spec.image is missing: a cluster has nothing to run",
                "p.yaml:10:11   `spec.comand` is no known field of a Container (did you mean command?)",
                "p.yaml:12:5   spec.env[0]: RESULTS_DIR is set by the run, whatever stands here",
                "p.yaml:14:3   podSpec.restartPolicy is missing: Kubernetes starts the containers again when they end; a Job wants Never",
                "p.yaml:14:19   `podSpec.restartPolicyy` is no known field of a PodSpec (did you mean restartPolicy?)",
            ]
        );
    }

    #[test]
    fn a_daemon_set_restarts_always() {
        let text = GOOD.replace("Job", "DaemonSet") + "podSpec: {restartPolicy: Never}\n";
        assert_eq!(
            said(&text),
            ["p.yaml:3:26   podSpec.restartPolicy of a DaemonSet can only be Always"]
        );
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
