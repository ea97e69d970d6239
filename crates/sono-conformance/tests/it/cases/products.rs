//! PRODUCT.yaml.

use super::Case;
use crate::submissions::{Change as _, PRODUCT};

const FILE: &str = "PRODUCT.yaml";

pub(super) const CASES: &[Case] = &[
    Case(
        2,
        "PRODUCT.yaml cut in a text",
        |s| s.write(FILE, PRODUCT.rsplit_once("roadrunners").unwrap().0),
        "failure files-present product-fields product-format",
        "failure product-format files-present product-fields",
    ),
    Case(
        2,
        "PRODUCT.yaml is a list",
        |s| s.write(FILE, "- vendor: ACME\n"),
        "failure files-present product-fields product-format",
        "failure product-format files-present product-fields",
    ),
    Case(
        7,
        "vendor missing",
        |s| s.replace(FILE, "vendor: \"ACME\"\n", ""),
        "failure product-fields",
        "failure product-fields",
    ),
    Case(
        7,
        "contact without value",
        |s| s.replace(FILE, "\"team@acme.example.com\"", ""),
        "failure product-fields",
        "failure product-fields",
    ),
    Case(
        7,
        "name is an empty text",
        |s| s.replace(FILE, "\"ACME Kubernetes\"", "\"\""),
        "success",
        "failure product-fields",
    ),
    Case(
        7,
        "description is a placeholder",
        |s| s.replace(FILE, "\"Kubernetes for roadrunners\"", "\"[description]\""),
        "success",
        "failure product-fields",
    ),
    Case(
        7,
        "key in another case",
        |s| s.replace(FILE, "vendor:", "Vendor:"),
        "failure product-fields",
        "failure product-fields",
    ),
    Case(
        7,
        "version is a number",
        |s| s.replace(FILE, "\"1.37\"", "1.37"),
        "success",
        "success",
    ),
    Case(
        7,
        "version is not a number",
        |s| s.replace(FILE, "\"1.37\"", ".nan"),
        "failure files-present product-fields",
        "failure files-present product-fields",
    ),
    Case(
        7,
        "duplicate key",
        |s| s.replace(FILE, "vendor: \"ACME\"\n", "vendor: \"ACME\"\nvendor: \"Other\"\n"),
        "success",
        "failure product-fields",
    ),
    Case(
        7,
        "anchor and alias",
        |s| {
            s.replace(FILE, "vendor: \"ACME\"", "vendor: &acme \"ACME\"");
            s.replace(FILE, "\"ACME Kubernetes\"", "*acme");
        },
        "success",
        "success",
    ),
    Case(
        7,
        "second document",
        |s| s.replace(FILE, "vendor: \"ACME\"", "---\nvendor: \"ACME\""),
        "success",
        "success",
    ),
    Case(
        8,
        "website without scheme",
        |s| s.replace(FILE, "https://acme.example.com\"", "acme.example.com\""),
        "failure product-format",
        "failure product-format",
    ),
    Case(
        8,
        "repository with an invalid escape",
        |s| s.replace(FILE, "https://git.example.com/acme", "https://git.example.com/%zz"),
        "failure product-format",
        "failure product-format",
    ),
    Case(
        8,
        "documentation is a path",
        |s| s.replace(FILE, "https://acme.example.com/docs", "/docs"),
        "success",
        "failure product-format",
    ),
    Case(
        8,
        "logo is a mail link",
        |s| {
            s.replace(
                FILE,
                "https://acme.example.com/logo.svg",
                "mailto:logo@acme.example.com",
            );
        },
        "success",
        "failure product-format",
    ),
    Case(
        8,
        "contact with a name",
        |s| s.replace(FILE, "team@acme.example.com", "ACME <team@acme.example.com>"),
        "success",
        "failure product-format",
    ),
    Case(
        8,
        "contact without domain",
        |s| s.replace(FILE, "team@acme.example.com", "team"),
        "failure product-format",
        "failure product-format",
    ),
    Case(
        8,
        "two contacts",
        |s| s.replace(FILE, "team@acme.example.com", "a@example.com, b@example.com"),
        "failure product-format",
        "failure product-format",
    ),
    Case(
        8,
        "list in an unknown field",
        |s| s.replace(FILE, "vendor: \"ACME\"\n", "vendor: \"ACME\"\ntags: [a]\n"),
        "failure product-format",
        "failure product-format",
    ),
    Case(
        8,
        "map in a required field",
        |s| s.replace(FILE, "\"ACME Kubernetes\"", "{en: ACME}"),
        "failure product-format",
        "failure product-format",
    ),
    Case(
        9,
        "page that does not exist",
        |s| {
            s.replace(
                FILE,
                "https://acme.example.com/docs",
                "https://unreachable.invalid/docs",
            );
        },
        "success",
        "success",
    ),
    Case(
        9,
        "repository missing",
        |s| s.replace(FILE, "repo_url: \"https://git.example.com/acme\"\n", ""),
        "success",
        "success",
    ),
    Case(
        10,
        "type in another case",
        |s| s.replace(FILE, "\"distribution\"", "\"Distribution\""),
        "success",
        "failure product-type",
    ),
    Case(
        10,
        "type of the past",
        |s| s.replace(FILE, "\"distribution\"", "\"hosted\""),
        "success",
        "failure product-type",
    ),
    Case(
        10,
        "hosted platform",
        |s| s.replace(FILE, "\"distribution\"", "hosted platform"),
        "success",
        "success",
    ),
    Case(
        16,
        "logo is a PNG",
        |s| s.replace(FILE, "logo.svg", "logo.png"),
        "success",
        "success",
    ),
];
