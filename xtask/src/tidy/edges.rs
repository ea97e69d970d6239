//! The allowed dependencies between members, which enforce the picture in `crates/README.md`.

use super::{
    manifest::{Manifest, Section},
    violation::Violation,
};

/// Crates without I/O: text, values and times in, values out.
pub(super) const PURE: &[&str] = &[
    "sono-types",
    "sono-manifest",
    "sono-results",
    "sono-analysis",
    "sono-report",
    "sono-conformance",
    "sono-run",
    "sono-redact",
];
const TYPES: &[&str] = &["sono-types"];
const ADAPTERS: &[&str] = &[
    "sono-bundle",
    "sono-history",
    "sono-kube",
    "sono-tls",
    "sono-host",
    "sono-log",
];

/// Each member with its allowed dependencies outside of tests. Only the simulation, itself a test, may use `sono-testkit`.
const ALLOWED: &[(&str, &[&[&str]])] = &[
    ("sono-types", &[]),
    ("sono-manifest", &[TYPES]),
    ("sono-results", &[TYPES]),
    ("sono-analysis", &[TYPES, &["sono-results"]]),
    ("sono-conformance", &[TYPES]),
    ("sono-report", &[TYPES, &["sono-results", "sono-analysis"]]),
    ("sono-run", &[TYPES]),
    ("sono-redact", &[TYPES]),
    ("sono-bundle", &[TYPES, &["sono-redact"]]),
    ("sono-history", &[TYPES, &["sono-analysis", "sono-bundle"]]),
    ("sono-kube", &[TYPES, &["sono-redact"]]),
    ("sono-tls", &[TYPES]),
    ("sono-log", &[]),
    ("sono-host", &[TYPES]),
    ("sono-images", &[TYPES]),
    ("sono-publish", &[&["sono-images"]]),
    ("sono-aggregator", &[PURE, ADAPTERS]),
    ("sono-worker", &[PURE, ADAPTERS]),
    ("sono-local", &[PURE, ADAPTERS, &["sono-aggregator", "sono-worker"]]),
    ("sono-cli", &[PURE, ADAPTERS, &["sono-local", "sono-images"]]),
    ("sono-testkit", &[PURE, ADAPTERS]),
    ("sono-sim", &[PURE, ADAPTERS, &["sono-testkit"]]),
    ("sono-fuzz", &[PURE, ADAPTERS, &["sono-aggregator", "sono-worker"]]),
    ("sono-testbed", &[]),
    ("xtask", &[&["sono-testbed"]]),
];

const TABLE: &str = "xtask/src/tidy/edges.rs";

/// A member and its dependencies.
pub(super) struct Member {
    pub(super) name: String,
    /// Path of its `Cargo.toml`, relative to the repository.
    pub(super) path: String,
    pub(super) manifest: Manifest,
    pub(super) uses: Vec<Use>,
}

/// A declared dependency on another package.
pub(super) struct Use {
    pub(super) section: Section,
    /// Name of the package.
    pub(super) package: String,
    /// Name in this `Cargo.toml`.
    pub(super) written: String,
}

pub(super) fn check<'a>(members: impl IntoIterator<Item = &'a Member>) -> Vec<Violation> {
    let members: Vec<&Member> = members.into_iter().collect();
    let is_member = |name: &str| members.iter().any(|member| member.name == name);
    let removed = ALLOWED.iter().filter(|(name, _)| !is_member(name)).map(|(name, _)| {
        Violation::at(
            TABLE,
            None,
            format!("`{name}` is not a member: remove it from the table"),
        )
    });
    let mut violations: Vec<Violation> = removed.collect();
    for member in &members {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == member.name) else {
            let message = format!("unknown member `{}`: add it to the table in {TABLE}", member.name);
            violations.push(Violation::at(&member.path, None, message));
            continue;
        };
        let forbidden = member
            .uses
            .iter()
            .filter(|edge| edge.section != Section::Development && is_member(&edge.package))
            .filter(|edge| !allowed.iter().any(|group| group.contains(&edge.package.as_str())));
        violations.extend(forbidden.map(|edge| {
            let line = member.manifest.line_of(edge.section, &edge.written);
            let message = format!("`{}` may not depend on `{}`", member.name, edge.package);
            Violation::at(&member.path, line, message)
        }));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, uses: &[(Section, &str)]) -> Member {
        let text: String = uses
            .iter()
            .map(|(section, name)| match section {
                Section::Normal => format!("[dependencies]\n{name}.workspace = true\n"),
                Section::Development => format!("[dev-dependencies]\n{name}.workspace = true\n"),
                Section::Build => format!("[build-dependencies]\n{name}.workspace = true\n"),
            })
            .collect();
        Member {
            name: name.to_owned(),
            path: format!("{name}/Cargo.toml"),
            manifest: Manifest::parse(&text),
            uses: uses
                .iter()
                .map(|(section, name)| Use {
                    section: *section,
                    package: (*name).to_owned(),
                    written: (*name).to_owned(),
                })
                .collect(),
        }
    }

    /// Checks all members of the table, with `special` members instead of those with the same names.
    fn found(special: Vec<Member>) -> Vec<String> {
        let others = ALLOWED
            .iter()
            .filter(|(name, _)| special.iter().all(|member| member.name != *name))
            .map(|(name, _)| member(name, &[]));
        let members: Vec<Member> = others.collect::<Vec<_>>().into_iter().chain(special).collect();
        check(&members).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn edges_of_picture_are_allowed() {
        use Section::{Development, Normal};
        let members = vec![
            member("sono-types", &[(Normal, "serde")]),
            member("sono-manifest", &[(Normal, "sono-types")]),
            member("sono-kube", &[(Normal, "sono-types"), (Development, "sono-testkit")]),
            member("sono-worker", &[(Normal, "sono-bundle"), (Normal, "sono-types")]),
            member("sono-local", &[(Normal, "sono-aggregator"), (Normal, "sono-worker")]),
            member("sono-cli", &[(Normal, "sono-local"), (Normal, "sono-kube")]),
        ];
        assert_eq!(found(members), Vec::<String>::new());
    }

    #[test]
    fn other_edges_are_reported() {
        use Section::{Build, Normal};
        let cases = [
            ("sono-types", Normal, "sono-manifest"),
            ("sono-results", Normal, "sono-manifest"),
            ("sono-tls", Normal, "sono-bundle"),
            ("sono-worker", Normal, "sono-aggregator"),
            ("sono-aggregator", Normal, "sono-cli"),
            ("sono-cli", Normal, "sono-aggregator"),
            ("sono-cli", Normal, "sono-worker"),
            ("sono-kube", Normal, "sono-testkit"),
            ("sono-types", Build, "sono-tls"),
            ("xtask", Normal, "sono-types"),
        ];
        for (from, section, to) in cases {
            let expected = format!("{from}/Cargo.toml:2: `{from}` may not depend on `{to}`");
            assert_eq!(found(vec![member(from, &[(section, to)])]), [expected]);
        }
    }

    #[test]
    fn differences_of_table_and_members_are_reported() {
        assert_eq!(
            found(vec![member("sono-new", &[])]),
            ["sono-new/Cargo.toml: unknown member `sono-new`: add it to the table in xtask/src/tidy/edges.rs"]
        );
        let all_but_xtask: Vec<Member> = ALLOWED
            .iter()
            .filter(|(name, _)| *name != "xtask")
            .map(|(name, _)| member(name, &[]))
            .collect();
        assert_eq!(
            check(&all_but_xtask),
            [Violation::at(
                TABLE,
                None,
                "`xtask` is not a member: remove it from the table"
            )]
        );
    }
}
