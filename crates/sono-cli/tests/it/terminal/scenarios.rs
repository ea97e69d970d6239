//! Scenarios. A new command or output format requires a line here.

use super::{
    registry::{ARTIFACTS, IMAGES},
    world::{LINE, NAME, TEXT},
};

/// Kind of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// For users: without hidden characters, on a terminal and in a pipe.
    Text,
    /// For users, in Markdown.
    Markdown,
    /// For programs: the same data everywhere, and exact bytes in a pipe.
    Json,
    Yaml,
    Xml,
    /// Bytes of others: unchanged in a pipe, without hidden characters on a terminal.
    Verbatim,
    /// Unchanged in a pipe, with colours on a terminal.
    Log,
}

/// State of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    /// A run is in progress.
    Running,
    Complete,
    /// The status has an unknown value.
    Odd,
    /// The aggregator does not start.
    Pending,
    /// The API rejects requests.
    Broken,
    /// No run exists.
    Empty,
    /// Namespaces are not deleted.
    Held,
}

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    /// Path of the command, without the program's name.
    pub(super) command: &'static str,
    pub(super) arguments: Vec<&'static str>,
    pub(super) kind: Kind,
    pub(super) cluster: Cluster,
    /// Whether the output contains foreign text.
    pub(super) shows: bool,
    /// Whether the output has lines of others below a line of the program.
    pub(super) quotes: bool,
    /// Whether the command changes the world.
    pub(super) changes: bool,
    /// Whether the command uses the hostile registry.
    registry: bool,
}

impl Scenario {
    pub(super) fn new(command: &'static str, arguments: &[&'static str]) -> Self {
        Self {
            command,
            arguments: arguments.to_vec(),
            kind: Kind::Text,
            cluster: Cluster::Running,
            shows: true,
            quotes: false,
            changes: false,
            registry: false,
        }
    }

    pub(super) fn uses_registry(&self) -> bool {
        self.registry
    }

    fn that_shows(mut self, shows: bool) -> Self {
        self.shows = shows;
        self
    }

    fn with_registry(mut self) -> Self {
        self.registry = true;
        self
    }

    fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    fn on(mut self, cluster: Cluster) -> Self {
        self.cluster = cluster;
        self
    }

    /// A scenario without foreign text.
    fn without_foreign_text(mut self) -> Self {
        self.shows = false;
        self
    }

    fn that_quotes(mut self) -> Self {
        self.quotes = true;
        self
    }

    fn that_changes(mut self) -> Self {
        self.changes = true;
        self
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = results();
    all.extend(runs());
    all.extend(definitions());
    all.extend(others());
    all.extend(registries());
    all
}

fn results() -> Vec<Scenario> {
    let archive: &'static str = String::leak(format!("{NAME}.tar.gz"));
    let form = |flag, value, kind| Scenario::new("results", &["run", flag, value]).of(kind);
    vec![
        Scenario::new("results", &["run"]),
        Scenario::new("results", &[archive]),
        Scenario::new("results", &[archive, "-p", LINE]),
        Scenario::new("results", &["run", "-p", "sonobuoy"]),
        Scenario::new("results", &["run", "-p", "p", "-n", TEXT, "-m", "report"]),
        Scenario::new(
            "results",
            &["run", "--name", "EVIL", "--status", "failed", "--output", "table"],
        ),
        form("--mode", "report", Kind::Text),
        form("--mode", "detailed", Kind::Verbatim),
        form("--mode", "readable", Kind::Verbatim),
        form("--mode", "dump", Kind::Verbatim),
        form("--output", "table", Kind::Text),
        form("--output", "markdown", Kind::Markdown),
        form("--output", "json", Kind::Json),
        form("--output", "yaml", Kind::Yaml),
        form("--output", "junit", Kind::Xml),
        Scenario::new("redact verify", &[archive]).without_foreign_text(),
        Scenario::new("redact verify", &["none-EVIL\u{9b}\u{1b}]0;t\u{7}"]),
        Scenario::new("redact", &[archive, "-o", NAME])
            .of(Kind::Verbatim)
            .that_changes(),
        Scenario::new("results", &["run", "--why"]),
        Scenario::new("why", &["run"]),
        Scenario::new("why", &["run", "EVIL"]),
        Scenario::new("why", &["run", "--output", "table"]),
        Scenario::new("why", &["run", "--output", "json"]).of(Kind::Json),
        Scenario::new("why", &["run", "--output", "markdown"]).of(Kind::Markdown),
        Scenario::new("why", &["run", "EVIL", "--output", "markdown"]).of(Kind::Markdown),
        Scenario::new("why", &["none-EVIL\u{9b}\u{1b}]0;t\u{7}.gz"]),
        Scenario::new("report", &["none-EVIL\u{9b}\u{1b}]0;t\u{7}.gz"]),
        Scenario::new("diff", &["run", archive, "--only", "still-failing"]),
        Scenario::new(
            "diff",
            &["run", archive, "--only", "still-failing", "--output", "table"],
        ),
        Scenario::new("diff", &["run", archive, "--output", "json"]).of(Kind::Json),
        Scenario::new(
            "diff",
            &["run", archive, "--only", "still-failing", "--output", "markdown"],
        )
        .of(Kind::Markdown),
        Scenario::new("diff", &["run", "none-EVIL\u{9b}\u{1b}]0;t\u{7}.gz"]),
        Scenario::new("diff", &["run", archive, "--only", "still-failing", "--output", "html"])
            .of(Kind::Verbatim)
            .without_foreign_text(),
        Scenario::new("diff", &["run", "late~EVIL\u{9b}\u{1b}]0;t\u{7}"]),
        Scenario::new(
            "results",
            &[
                "run",
                "--since",
                "latest",
                "--waivers",
                "waivers.yaml",
                "--output",
                "table",
            ],
        ),
        Scenario::new("results", &["run", "--since", "latest", "--output", "markdown"]).of(Kind::Markdown),
        Scenario::new("history add", &["run", "--history", "history"])
            .without_foreign_text()
            .that_changes(),
        Scenario::new("history prune", &[])
            .without_foreign_text()
            .that_changes(),
        Scenario::new("history list", &["--output", "table"]),
        Scenario::new("history list", &["--output", "json"]).of(Kind::Json),
        Scenario::new("history show", &["EVIL", "--output", "table"]),
        Scenario::new("history show", &["EVIL", "--output", "json"]).of(Kind::Json),
        Scenario::new("history flakes", &["--output", "table"]),
        Scenario::new("history flakes", &["--output", "json"]).of(Kind::Json),
        Scenario::new("history flakes", &["--output", "markdown"]).of(Kind::Markdown),
        Scenario::new("history export", &["--output", "json"]).of(Kind::Verbatim),
        Scenario::new("history export", &["--output", "csv"]).of(Kind::Verbatim),
        Scenario::new("waivers lint", &["waivers.yaml", "--output", "table"]),
        Scenario::new("waivers lint", &["waivers.yaml", "--output", "json"]).of(Kind::Json),
        Scenario::new("waivers unused", &["waivers.yaml", "--output", "table"]),
        Scenario::new("waivers unused", &["waivers.yaml", "run", "--output", "json"]).of(Kind::Json),
        Scenario::new("rules list", &["--output", "table"]).without_foreign_text(),
        Scenario::new("rules list", &["--output", "json"])
            .of(Kind::Json)
            .without_foreign_text(),
        Scenario::new("rules lint", &["none-EVIL\u{9b}\u{1b}]0;t\u{7}"]),
        Scenario::new("rules test", &["none-EVIL\u{9b}\u{1b}]0;t\u{7}"]),
        Scenario::new("results", &["none-EVIL\u{9b}\u{1b}]0;t\u{7}"]),
    ]
}

fn runs() -> Vec<Scenario> {
    let mut all = Vec::new();
    for cluster in [
        Cluster::Running,
        Cluster::Complete,
        Cluster::Odd,
        Cluster::Pending,
        Cluster::Broken,
    ] {
        let broken = cluster == Cluster::Broken;
        let form = |value, kind| {
            let kind = if broken { Kind::Text } else { kind };
            Scenario::new("status", &["--output", value]).of(kind).on(cluster)
        };
        let list = |value, kind| {
            let kind = if broken { Kind::Text } else { kind };
            Scenario::new("list", &["--output", value])
                .of(kind)
                .on(cluster)
                .without_foreign_text()
        };
        all.extend([
            Scenario::new("list", &[]).on(cluster).without_foreign_text(),
            list("table", Kind::Text),
            list("json", Kind::Json),
            list("yaml", Kind::Yaml),
            Scenario::new("status", &["--all-namespaces"])
                .on(cluster)
                .without_foreign_text(),
            Scenario::new("status", &[]).on(cluster),
            Scenario::new("status", &["--show-all"]).on(cluster),
            form("table", Kind::Text),
            form("markdown", Kind::Markdown),
            form("json", Kind::Json),
            form("yaml", Kind::Yaml),
        ]);
    }
    for wait_output in ["silent", "spinner", "progress"] {
        let wait = |cluster| Scenario::new("wait", &["--wait", "3s", "--wait-output", wait_output]).on(cluster);
        let mut silent = wait(Cluster::Running);
        silent.shows = wait_output != "silent";
        all.extend([
            silent,
            wait(Cluster::Broken),
            wait(Cluster::Pending),
            wait(Cluster::Complete).without_foreign_text(),
        ]);
        let delete = |cluster| {
            Scenario::new("delete", &["--all", "--wait", "3s", "--wait-output", wait_output])
                .on(cluster)
                .that_changes()
        };
        all.extend([delete(Cluster::Held), delete(Cluster::Broken)]);
        all.push(
            Scenario::new(
                "run",
                &[
                    "-p",
                    "good.yaml",
                    "--wait",
                    "2s",
                    "--skip-preflight",
                    "--wait-output",
                    wait_output,
                ],
            )
            .on(Cluster::Empty)
            .without_foreign_text()
            .that_changes(),
        );
        for command in ["gen", "gen config", "gen plugin e2e", "gen plugin systemd-logs"] {
            all.push(
                Scenario::new(command, &["--plugin-env", "other.EVIL=x", "--wait-output", wait_output])
                    .without_foreign_text(),
            );
        }
    }
    all.extend([
        Scenario::new("logs", &[]).of(Kind::Log),
        Scenario::new("logs", &["--failed"]).of(Kind::Log),
        Scenario::new("logs", &["-p", TEXT]).on(Cluster::Broken),
        Scenario::new("run", &["-p", "bad.yaml"]),
        Scenario::new("run", &["-p", "good.yaml"]).on(Cluster::Broken),
        Scenario::new("run", &["-p", "good.yaml", "-n", "mine", "--config", "config.json"])
            .on(Cluster::Empty)
            .that_changes(),
        Scenario::new("run", &["--local", "-p", "here.yaml"]).that_changes(),
        Scenario::new("run", &["--local", "-p", "fails.yaml", "--level", "debug"]).that_changes(),
        Scenario::new("retrieve", &[]).on(Cluster::Broken),
        Scenario::new("retrieve", &[])
            .on(Cluster::Complete)
            .without_foreign_text(),
        Scenario::new("get pod", &[]),
        Scenario::new("delete", &["--all", "--dry-run"]),
        Scenario::new("query", &["-o", NAME]).of(Kind::Verbatim).that_changes(),
    ]);
    all
}

fn definitions() -> Vec<Scenario> {
    let images: [&'static str; 4] = ["-p", "good.yaml", "--kubernetes-version", "v1.37.2"];
    let with = |more: &[&'static str]| [&images[..], more].concat();
    vec![
        Scenario::new("gen", &["-p", "good.yaml"])
            .of(Kind::Verbatim)
            .without_foreign_text(),
        Scenario::new("gen", &["-p", "bad.yaml"]),
        Scenario::new("gen config", &["--config", "config.json"]).of(Kind::Json),
        Scenario::new("gen default-image-config", &[]).without_foreign_text(),
        Scenario::new(
            "gen plugin",
            &[
                "--name",
                "mine",
                "--image",
                LINE,
                "--env",
                String::leak(format!("E={TEXT}")),
                "--description",
                TEXT,
            ],
        )
        .of(Kind::Yaml),
        Scenario::new(
            "gen plugin e2e",
            &["--plugin-env", String::leak(format!("e2e.X={TEXT}"))],
        )
        .of(Kind::Yaml),
        Scenario::new(
            "gen plugin systemd-logs",
            &["--plugin-env", String::leak(format!("systemd-logs.X={TEXT}"))],
        )
        .of(Kind::Yaml),
        Scenario::new("images", &images),
        Scenario::new("images list", &images),
        Scenario::new(
            "images list",
            &["--images-file", "images.txt", "--kubernetes-version", "v1.37.2"],
        ),
        Scenario::new("images inspect", &with(&["--output", "table"])),
        Scenario::new("images inspect", &with(&["--output", "json"])).of(Kind::Json),
        Scenario::new("images pull", &with(&["--dry-run"])),
        Scenario::new("images push", &with(&["--dry-run", "--custom-registry", "r.example"])),
        Scenario::new("images download", &with(&["--store", "EVIL\u{9b}\u{202e}"])),
        Scenario::new("images delete", &with(&["--store", "images.txt"])).without_foreign_text(),
        Scenario::new("plugin list", &["--output", "text"]),
        Scenario::new("plugin list", &["--output", "json"]).of(Kind::Json),
        Scenario::new("plugin show", &["evil"]).of(Kind::Yaml),
        Scenario::new("plugin show", &[LINE]),
        Scenario::new("plugin install", &["new", NAME]).that_changes(),
        Scenario::new("plugin install", &["new", "bad.yaml"]),
        Scenario::new("plugin install", &["new", "good.yaml"])
            .without_foreign_text()
            .that_changes(),
        Scenario::new("plugin uninstall", &[NAME]).that_changes(),
        Scenario::new("plugin uninstall", &["none"]),
        Scenario::new("plugin lint", &["bad.yaml", "--output", "text"]),
        Scenario::new("plugin lint", &["bad.yaml", "--output", "json"]).of(Kind::Json),
        Scenario::new("plugin test", &["fails.yaml", "--output", "text"]).that_quotes(),
        Scenario::new("plugin test", &["bad.yaml", "--output", "json"]).of(Kind::Json),
    ]
}

/// Responses of which the registry client reports no text.
const SILENT: [&str; 4] = ["redirected", "shapeless", "typed", "unauthorized"];

/// Every hostile manifest and response, in every command that reads images or artifacts of a registry.
fn registries() -> Vec<Scenario> {
    let mut all = Vec::new();
    let install = |repository: &str| {
        let address: &'static str = String::leak(format!("oci://REGISTRY/{repository}:1"));
        let valid = ["config", "digests", "layers", "platforms", "definition", "untitled"];
        Scenario::new("plugin install", &["new", address])
            .that_changes()
            .that_shows(!SILENT.contains(&repository) && !valid.contains(&repository))
    };
    for image in IMAGES {
        let file: &'static str = String::leak(format!("{image}.yaml"));
        let of = |command, more: &[&'static str]| {
            let arguments = ["-p", file, "--kubernetes-version", "v1.37.2"];
            Scenario::new(command, &[&arguments[..], more].concat()).that_shows(!SILENT.contains(&image))
        };
        let transfer = |scenario: Scenario| {
            let shows = scenario.shows && image != "config";
            scenario.that_changes().that_shows(shows)
        };
        all.extend([
            of("images inspect", &["--output", "table"]),
            of("images inspect", &["--output", "json"])
                .of(Kind::Json)
                // The client quotes the media type of its own accord.
                .that_shows(!SILENT.contains(&image) && image != "renamed"),
            transfer(of("images pull", &["--store", "store"])),
            transfer(of("images push", &["--custom-registry", "REGISTRY/mine"])),
            install(image),
        ]);
    }
    for artifact in ARTIFACTS {
        let address: &'static str = String::leak(format!("oci://REGISTRY/{artifact}:1"));
        let is_valid = ["definition", "untitled"].contains(&artifact);
        let run = ["-p", address, "-n", "mine", "--skip-preflight"];
        all.extend([
            install(artifact),
            Scenario::new("gen", &["-p", address])
                .of(if is_valid { Kind::Verbatim } else { Kind::Text })
                .that_shows(!is_valid),
            Scenario::new("run", &run)
                .on(Cluster::Empty)
                .that_changes()
                .that_shows(!is_valid),
        ]);
    }
    all.into_iter().map(Scenario::with_registry).collect()
}

fn others() -> Vec<Scenario> {
    vec![
        Scenario::new("e2e", &["-i", "tests.txt", "-m", "tests"]),
        Scenario::new("e2e", &["-i", "tests.txt", "-m", "tags"]),
        Scenario::new("e2e", &["-i", "tests.txt", "-m", "tagCounts"]),
        Scenario::new("e2e", &["-i", "run", "-p", "p"]),
        Scenario::new("e2e", &["-i", "run", "-p", LINE]),
        Scenario::new("version", &["--kubeconfig", "kubeconfig"]),
        Scenario::new("version", &["--kubeconfig", "kubeconfig", "--output", "json"]).of(Kind::Json),
        Scenario::new("version", &["--kubeconfig", "EVIL\u{9b}\u{202e}"]),
        Scenario::new("conformance list", &["--missing-from", "run", "-p", LINE]),
        Scenario::new(
            "conformance check",
            &["v1.37/acme", "-m", "strict", "--output", "table"],
        ),
        Scenario::new("conformance check", &["v1.37/acme", "-m", "strict", "--output", "json"]).of(Kind::Json),
        Scenario::new(
            "conformance check",
            &["v1.37/acme", "-m", "strict", "--output", "markdown"],
        )
        .of(Kind::Markdown),
        Scenario::new("conformance submit", &["run", "--product", "v1.37/acme/PRODUCT.yaml"]),
        Scenario::new(
            "conformance product init",
            &["--file", LINE, "--vendor", LINE, "--name", ""],
        )
        .without_foreign_text(),
        Scenario::new("modes", &["--verbose"]).without_foreign_text(),
        Scenario::new("completion", &["bash"]).without_foreign_text(),
        Scenario::new("completion", &["zsh"]).without_foreign_text(),
        Scenario::new("__document", &["reference"]).without_foreign_text(),
        Scenario::new("__document", &["runner-role"]).without_foreign_text(),
        Scenario::new("host-check", &["--help"]).without_foreign_text(),
    ]
}
