//! Titles, files and folders.

use super::Case;
use crate::submissions::{Change as _, cases, junit, log, passed};

pub(super) const CASES: &[Case] = &[
    Case(0, "good submission", |_| {}, "success", "success"),
    Case(
        0,
        "title of another pull request",
        |s| s.title("Fix a typo"),
        "pending title",
        "failure title-format title",
    ),
    Case(
        0,
        "title with a word too many",
        |s| s.title("Conformance test results for v1.37/acme"),
        "pending title",
        "failure title-format title",
    ),
    Case(
        0,
        "title in capitals",
        |s| s.title("CONFORMANCE RESULTS FOR v1.37/acme"),
        "success",
        "success",
    ),
    Case(
        0,
        "folder with another separator in the version",
        |s| s.paths("v1.37", "v1x37"),
        "pending release",
        "failure folder release required-tests",
    ),
    Case(
        0,
        "files without product folder",
        |s| s.paths("v1.37/acme", "v1.37"),
        "pending release",
        "failure folder release required-tests",
    ),
    Case(
        1,
        "title empty",
        |s| s.title(""),
        "pending title",
        "failure title-format title",
    ),
    Case(1, "title unknown", |s| s.title = None, "success", "success"),
    Case(
        2,
        "README missing",
        |s| s.remove("README.md"),
        "failure files-present",
        "failure files-present",
    ),
    Case(
        2,
        "PRODUCT.yaml missing",
        |s| s.remove("PRODUCT.yaml"),
        "failure files-present product-fields product-format product-type product-urls",
        "failure files-present product-fields product-format product-type product-urls",
    ),
    Case(
        2,
        "log empty",
        |s| s.write("e2e.log", ""),
        "failure files-present",
        "failure files-present log-summary",
    ),
    Case(
        2,
        "README in another case",
        |s| s.paths("README.md", "readme.MD"),
        "failure files-only",
        "failure files-present files-only",
    ),
    Case(
        2,
        "README of white space",
        |s| s.write("README.md", " \n\t\n"),
        "success",
        "failure files-present readme",
    ),
    Case(
        2,
        "junit_01.xml empty",
        |s| s.write("junit_01.xml", ""),
        "failure files-present required-tests tests-passed",
        "failure files-present required-tests tests-passed",
    ),
    Case(
        3,
        "archive of the run",
        |s| s.add("v1.37/acme/sonobuoy.tar.gz", "x"),
        "failure files-only",
        "failure files-only",
    ),
    Case(
        3,
        "version.txt",
        |s| s.add("v1.37/acme/version.txt", "v1.37.2"),
        "failure files-only",
        "failure files-only",
    ),
    Case(
        3,
        "second README in another case",
        |s| s.add("v1.37/acme/Readme.md", "x"),
        "failure files-only",
        "failure files-only",
    ),
    Case(
        3,
        "JUnit of a second process",
        |s| s.add("v1.37/acme/junit_02.xml", "<testsuites/>"),
        "failure files-only",
        "failure files-only",
    ),
    Case(
        4,
        "folder below another folder",
        |s| s.paths("v1.37", "submissions/v1.37"),
        "success",
        "failure folder release required-tests",
    ),
    Case(
        4,
        "folder below the product",
        |s| s.paths("acme", "acme/results"),
        "success",
        "failure folder release required-tests",
    ),
    Case(
        4,
        "README at the top",
        |s| s.paths("v1.37/acme/README.md", "README.md"),
        "failure folder one-product",
        "failure folder one-product",
    ),
    Case(
        4,
        "folder with a patch version",
        |s| s.paths("v1.37/", "v1.37.2/"),
        "pending release",
        "failure folder release required-tests",
    ),
    Case(
        4,
        "name that leaves the folder",
        |s| s.paths("v1.37/acme/e2e.log", "v1.37/acme/../../e2e.log"),
        "failure folder one-product",
        "failure folder one-product",
    ),
    Case(
        5,
        "files of two products",
        |s| s.paths("acme/README.md", "other/README.md"),
        "failure one-product",
        "failure one-product",
    ),
    Case(
        5,
        "files of two versions",
        |s| s.paths("v1.37/acme/e2e.log", "v1.36/acme/e2e.log"),
        "failure one-product",
        "failure one-product",
    ),
    Case(
        6,
        "title with another version",
        |s| s.title("Conformance results for v1.36/acme"),
        "failure title-version",
        "failure title-version",
    ),
    Case(
        6,
        "title with a space before the product",
        |s| s.title("Conformance results for v1.37 acme"),
        "success",
        "success",
    ),
    Case(
        6,
        "title with two versions",
        |s| s.title("Conformance results for v1.36/acme and v1.37/acme"),
        "success",
        "failure title-version",
    ),
    Case(
        11,
        "title without product",
        |s| s.title("Conformance results for v1.37"),
        "failure title-version title-format",
        "failure title-format title-version",
    ),
    Case(
        11,
        "title without version",
        |s| s.title("Conformance results for ACME"),
        "failure title-version title-format",
        "failure title-format title-version",
    ),
    Case(
        11,
        "title with words in front",
        |s| s.title("Add conformance results for v1.37/acme"),
        "success",
        "failure title-format",
    ),
    Case(
        12,
        "oldest supported version",
        |s| {
            s.title("Conformance results for v1.35/acme");
            s.paths("v1.37", "v1.35");
            s.write("junit_01.xml", junit(&cases(35, |_, name| passed(name))));
            s.write(
                "e2e.log",
                String::from_utf8(log(441)).unwrap().replace("v1.37.2", "v1.35.4"),
            );
        },
        "success",
        "success",
    ),
    Case(
        12,
        "version that is too old",
        |s| {
            s.title("Conformance results for v1.34/acme");
            s.paths("v1.37", "v1.34");
        },
        "pending release",
        "failure release required-tests log-version",
    ),
    Case(
        12,
        "version that is not released",
        |s| {
            s.title("Conformance results for v1.38/acme");
            s.paths("v1.37", "v1.38");
        },
        "pending release",
        "failure release required-tests log-version",
    ),
    Case(
        15,
        "two commits",
        |s| s.commits = Some(2),
        "failure one-commit",
        "failure one-commit",
    ),
    Case(
        15,
        "no commit",
        |s| s.commits = Some(0),
        "failure one-commit",
        "failure one-commit",
    ),
    Case(15, "commits unknown", |s| s.commits = None, "success", "success"),
];
