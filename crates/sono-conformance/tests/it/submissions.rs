//! A good submission, and its parts for changes.

use std::fmt::Write as _;

use sono_conformance::{Minor, RequiredTests, Submission, SubmittedFile};

pub(crate) const README: &str = "# ACME\n\nInstall the product:\n\n```sh\ncurl -fsSL https://acme.example.com/install | sh\nsono run --mode certified-conformance --wait\n```\n";
pub(crate) const PRODUCT: &str = "\
vendor: \"ACME\"
name: \"ACME Kubernetes\"
version: \"1.37\"
website_url: \"https://acme.example.com\"
repo_url: \"https://git.example.com/acme\"
documentation_url: \"https://acme.example.com/docs\"
product_logo_url: \"https://acme.example.com/logo.svg\"
type: \"distribution\"
description: \"Kubernetes for roadrunners\"
contact_email_address: \"team@acme.example.com\"
";

/// A test case, as XML.
pub(crate) fn test_case(name: &str, content: &str) -> String {
    let name = name
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;");
    format!("<testcase name=\"{name}\" classname=\"Kubernetes e2e suite\" time=\"1.5\">{content}</testcase>\n")
}

/// The names of the required tests of a version.
pub(crate) fn required(minor: u32) -> Vec<String> {
    let lists = RequiredTests::embedded();
    lists.of(Minor::of(minor)).unwrap().iter().cloned().collect()
}

/// Results with the given test cases.
pub(crate) fn junit(cases: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"7\" failures=\"0\" time=\"1.5\">\n\
         <testsuite name=\"Kubernetes e2e suite\" tests=\"7\" failures=\"0\" errors=\"0\" time=\"1.5\">\n\
         <properties><property name=\"SuiteSucceeded\" value=\"true\"></property></properties>\n{cases}</testsuite>\n</testsuites>\n"
    )
    .into_bytes()
}

/// The test cases of a complete run, of which `edit` may change each: it gets the name and returns the XML.
pub(crate) fn cases(minor: u32, mut edit: impl FnMut(usize, &str) -> String) -> String {
    let mut text = test_case("[SynchronizedBeforeSuite]", "");
    for (index, name) in required(minor).iter().enumerate() {
        text.push_str(&edit(index, name));
    }
    text.push_str(&test_case(
        "[It] [sig-apps] a test that did not run",
        "<skipped message=\"skipped\"></skipped>",
    ));
    text
}

pub(crate) fn passed(name: &str) -> String {
    test_case(&format!("[It] {name}"), "")
}

/// The log of a complete run.
pub(crate) fn log(passed: usize) -> Vec<u8> {
    let mut text = "Will run 462 of 7137 specs\n".to_owned();
    writeln!(text, "Nov  1 12:00:00.000: INFO: kube-apiserver version: v1.37.2").unwrap();
    writeln!(text, "Ran {passed} of 7137 Specs in 6543.210 seconds").unwrap();
    writeln!(
        text,
        "SUCCESS! -- {passed} Passed | 0 Failed | 0 Pending | 6675 Skipped\nPASS"
    )
    .unwrap();
    text.into_bytes()
}

/// A submission that bot and reviewers accept.
pub(crate) fn good() -> Submission {
    let file = |name: &str, contents: Vec<u8>| SubmittedFile {
        path: format!("v1.37/acme/{name}"),
        contents,
    };
    Submission {
        title: Some("Conformance results for v1.37/acme".to_owned()),
        files: vec![
            file("PRODUCT.yaml", PRODUCT.into()),
            file("README.md", README.into()),
            file("e2e.log", log(462)),
            file("junit_01.xml", junit(&cases(37, |_, name| passed(name)))),
        ],
        commits: Some(1),
        results_of: None,
    }
}

/// Changes of a submission.
pub(crate) trait Change {
    /// Replaces the content of a file.
    fn write(&mut self, name: &str, contents: impl Into<Vec<u8>>);
    /// Replaces text in a file.
    fn replace(&mut self, name: &str, from: &str, to: &str);
    /// Adds a file with a path.
    fn add(&mut self, path: &str, contents: &str);
    /// Removes a file.
    fn remove(&mut self, name: &str);
    /// Changes the paths of all files.
    fn paths(&mut self, from: &str, to: &str);
    /// Changes the title.
    fn title(&mut self, title: &str);
}

impl Change for Submission {
    fn write(&mut self, name: &str, contents: impl Into<Vec<u8>>) {
        self.files.iter_mut().find(|file| file.base() == name).unwrap().contents = contents.into();
    }

    fn replace(&mut self, name: &str, from: &str, to: &str) {
        let old = String::from_utf8(self.contents(name).unwrap().to_vec()).unwrap();
        let new = old.replacen(from, to, 1);
        assert_ne!(old, new, "{from}");
        self.write(name, new);
    }

    fn add(&mut self, path: &str, contents: &str) {
        self.files.push(SubmittedFile {
            path: path.to_owned(),
            contents: contents.into(),
        });
        self.files.sort_by(|one, other| one.path.cmp(&other.path));
    }

    fn remove(&mut self, name: &str) {
        self.files.retain(|file| file.base() != name);
    }

    fn paths(&mut self, from: &str, to: &str) {
        for file in &mut self.files {
            file.path = file.path.replace(from, to);
        }
    }

    fn title(&mut self, title: &str) {
        self.title = Some(title.to_owned());
    }
}
