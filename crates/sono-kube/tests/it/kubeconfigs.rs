//! Unusual kubeconfigs: sono connects wherever kubectl does, as the same user.
//!
//! `kubeconfigs/table.txt` has a row for each of [`cases`]: its name, kubectl's result, sono's result. `cargo xtask
//! e2e` runs kubectl itself, and so notices changes of its behaviour.

#![expect(clippy::print_stderr, reason = "tests report skipped cases and responses")]

mod cases;
mod world;

use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::Command};

use sono_kube::{Cluster, Connection, Environment};

use self::{
    cases::{Case, cases},
    world::World,
};

const TABLE: &str = include_str!("kubeconfigs/table.txt");
/// Cases in which kubectl connects and sono does not, at most three. `docs/configuration.md` explains them.
const EXCEPTIONS: [&str; 2] = [
    "server: host and port with an authority, but http",
    "tls: certificate of another authority's authority",
];

/// A case with its files written to a directory.
struct Placed {
    directory: tempfile::TempDir,
    variables: BTreeMap<String, String>,
    kubeconfig: Option<std::path::PathBuf>,
}

fn place(case: &Case) -> Placed {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    for (name, content) in &case.files {
        let file = directory.path().join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        let text = String::from_utf8(content.clone()).ok();
        let content = text.map_or_else(|| content.clone(), |text| text.replace("DIR", &path).into_bytes());
        fs_err::write(file, content).unwrap();
    }
    for (name, target) in &case.links {
        let link = directory.path().join(name);
        fs_err::create_dir_all(link.parent().unwrap()).unwrap();
        fs_err::os::unix::fs::symlink(target, link).unwrap();
    }
    let mut variables: BTreeMap<String, String> = BTreeMap::from([
        ("HOME".to_owned(), path.clone()),
        ("PATH".to_owned(), std::env::var("PATH").unwrap()),
    ]);
    variables.extend(
        case.variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.replace("DIR", &path))),
    );
    Placed {
        kubeconfig: case.named.then(|| directory.path().join("config")),
        variables,
        directory,
    }
}

async fn by_sono(placed: &Placed) -> String {
    let environment: Environment = placed.variables.clone().into_iter().collect();
    let connection = Connection {
        kubeconfig: placed.kubeconfig.clone(),
        context: None,
    };
    let answer = match Cluster::connect_in(&connection, environment).await {
        Ok(cluster) => cluster.server_version().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(version) => format!("as {}", version["who"].as_str().unwrap()),
        Err(error) => {
            eprintln!(
                "sono: {error}: {:?}",
                std::error::Error::source(&error).map(ToString::to_string)
            );
            "not at all".to_owned()
        }
    }
}

fn by_kubectl(kubectl: &Path, placed: &Placed) -> String {
    let mut command = Command::new(kubectl);
    command
        .env_clear()
        .envs(&placed.variables)
        .current_dir(placed.directory.path())
        .args(["get", "--raw", "/version", "--request-timeout=10s"]);
    if let Some(kubeconfig) = &placed.kubeconfig {
        command.arg("--kubeconfig").arg(kubeconfig);
    }
    let output = command.output().unwrap();
    let version: Option<serde_json::Value> = serde_json::from_slice(&output.stdout).ok();
    version.filter(|_| output.status.success()).map_or_else(
        || {
            eprintln!("kubectl: {}", String::from_utf8_lossy(&output.stderr));
            "not at all".to_owned()
        },
        |version| format!("as {}", version["who"].as_str().unwrap()),
    )
}

/// The rows of the table for these cases.
fn rows(cases: &[Case]) -> String {
    let row = |case: &Case| {
        TABLE
            .lines()
            .find(|line| line.starts_with(&format!("{} | ", case.name)))
    };
    cases.iter().filter_map(row).flat_map(|line| [line, "\n"]).collect()
}

/// kubectl's result for a case, according to the table.
fn recorded(name: &str) -> &'static str {
    let row = TABLE
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(" | "));
    row.and_then(|row| row.split(" | ").next()).unwrap_or("not recorded")
}

#[tokio::test(flavor = "multi_thread")]
async fn kubeconfig_that_kubectl_connects_with_connects_sono_as_the_same_user() {
    let world = World::new();
    let cases = cases(&world);
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut table = String::new();
    let mut missing = Vec::new();
    for case in &cases {
        eprintln!("== {}", case.name);
        let (kubectl, sono) = (recorded(case.name), by_sono(&place(case)).await);
        if kubectl != "not at all" && kubectl != sono {
            missing.push(case.name);
        }
        writeln!(table, "{} | {kubectl} | {sono}", case.name).unwrap();
    }
    assert_eq!(missing, EXCEPTIONS, "\n{table}");
    assert_eq!(table, rows(&cases));
}

/// Writes the current table to the directory for temporary test files, and compares it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "requires kubectl in SONO_KUBECTL: cargo xtask e2e"]
async fn kubectl_connects_as_the_table_says() {
    let kubectl = std::env::var_os("SONO_KUBECTL").expect("SONO_KUBECTL names kubectl; run `cargo xtask e2e`");
    let world = World::new();
    let (cases, mut table) = (cases(&world), String::new());
    for case in &cases {
        eprintln!("== {}", case.name);
        let placed = place(case);
        let kubectl = by_kubectl(Path::new(&kubectl), &placed);
        writeln!(table, "{} | {kubectl} | {}", case.name, by_sono(&placed).await).unwrap();
    }
    let today = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kubeconfigs.txt");
    fs_err::write(&today, &table).unwrap();
    assert_eq!(table, rows(&cases), "{}", today.display());
}
