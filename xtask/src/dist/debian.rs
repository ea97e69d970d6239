//! The Debian package, built with cargo-deb.

use std::{fmt::Write as _, process::Command};

use anyhow::{Context, ensure};
use fs_err as fs;
use sono_testbed::command;
use toml_edit::{Array, DocumentMut, value};

use super::{archive::Files, source::Source, target::Target};
use crate::tool;

/// Version of cargo-deb, pinned because other versions may write other bytes.
const VERSION: &str = "3.8.0";

/// Destinations of the archive's files and folders. Completions are in the folders where Debian's shells search.
const DESTINATIONS: [(&str, &str); 8] = [
    ("sono", "usr/bin/"),
    ("completions/sono.bash", "usr/share/bash-completion/completions/sono"),
    ("completions/_sono", "usr/share/zsh/vendor-completions/_sono"),
    ("completions/sono.fish", "usr/share/fish/vendor_completions.d/sono.fish"),
    ("man/man1/", "usr/share/man/man1/"),
    ("README.md", "usr/share/doc/sono/"),
    ("CHANGELOG.md", "usr/share/doc/sono/"),
    ("THIRD-PARTY-NOTICES.txt", "usr/share/doc/sono/"),
];

/// Packs the files of the archive. `None` if the target is not Linux.
pub(super) fn package(
    files: &Files,
    target: &Target,
    version: &str,
    source: &Source,
) -> anyhow::Result<Option<Vec<u8>>> {
    if target.system != "linux" {
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let staged = folder.path();
    for (path, bytes, _) in files.iter() {
        let file = staged.join("files").join(path);
        fs::create_dir_all(file.parent().context("the file has no parent folder")?)?;
        fs::write(file, bytes)?;
    }
    // cargo-deb requires a cargo package; this one has no code, only the staged files.
    fs::create_dir(staged.join("src"))?;
    fs::write(staged.join("src/lib.rs"), "")?;
    fs::write(staged.join("Cargo.toml"), manifest(files, version)?)?;
    let packed = staged.join("package.deb");
    let mut pack = Command::new(tool::program("cargo-deb", VERSION)?);
    pack.args([
        "--quiet",
        "--no-build",
        "--no-strip",
        "--target",
        target.triple,
        "--manifest-path",
    ])
    .arg(staged.join("Cargo.toml"))
    .arg("--output")
    .arg(&packed)
    .current_dir(staged)
    .env("SOURCE_DATE_EPOCH", source.time.to_string())
    // Overrides personal settings.
    .env("CARGO_TARGET_DIR", staged.join("target"));
    command::run(&mut pack)?;
    Ok(Some(fs::read(packed)?))
}

/// The cargo manifest of the package, with the required version of the C library.
fn manifest(files: &Files, version: &str) -> anyhow::Result<String> {
    let program = files
        .iter()
        .find(|(path, ..)| *path == "sono")
        .context("the archive has no program")?;
    let needed = glibc(program.1).context("the program requires no version of glibc")?;
    let mut manifest = DocumentMut::new();
    let package = manifest["package"].or_insert(toml_edit::table());
    package["name"] = value("sono");
    package["version"] = value(version);
    package["edition"] = value("2024");
    package["license"] = value("Apache-2.0");
    package["description"] = value("Checks whether a Kubernetes cluster works, and explains failures");
    let debian = package["metadata"].or_insert(toml_edit::table())["deb"].or_insert(toml_edit::table());
    debian["maintainer"] = value("The sono authors");
    debian["copyright"] = value("The sono authors");
    debian["license-file"] = value(Array::from_iter(["files/LICENSE", "0"]));
    debian["extended-description"] = value(
        "Runs plugins in a cluster, or on this machine, collects their results in one archive and reports failures with their \
        causes. A compatible replacement of Sonobuoy.",
    );
    debian["section"] = value("admin");
    debian["priority"] = value("optional");
    debian["revision"] = value("");
    debian["depends"] = value(format!("libc6 (>= 2.{needed})"));
    debian["recommends"] = value("ca-certificates");
    debian["assets"] = value(assets(files)?);
    manifest["workspace"] = toml_edit::table();
    let mut text = String::new();
    write!(text, "{manifest}")?;
    Ok(text)
}

/// The destination and mode of each file. Files without a destination are omitted.
fn assets(files: &Files) -> anyhow::Result<Array> {
    let mut assets = Array::new();
    for (from, to) in DESTINATIONS {
        let before = assets.len();
        let found = files
            .iter()
            .filter(|(path, ..)| *path == from || from.ends_with('/') && path.starts_with(from));
        for (path, _, mode) in found {
            assets.push(Array::from_iter([
                format!("files/{path}"),
                to.to_owned(),
                format!("{mode:o}"),
            ]));
        }
        ensure!(assets.len() > before, "{from} does not exist");
    }
    Ok(assets)
}

/// The minor version of the newest glibc symbol that a program requires.
fn glibc(program: &[u8]) -> Option<u32> {
    const MARK: &[u8] = b"GLIBC_2.";
    let number = |at: usize| {
        let rest = &program[at + MARK.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    };
    let starts = program.windows(MARK.len()).enumerate();
    starts
        .filter(|(_, window)| *window == MARK)
        .filter_map(|(at, _)| number(at))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let mut files = Files::default();
        files.add_program("sono", b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.17\0GLIBC_2.x".to_vec());
        for path in [
            "LICENSE",
            "README.md",
            "CHANGELOG.md",
            "THIRD-PARTY-NOTICES.txt",
            "completions/sono.bash",
            "completions/_sono",
            "completions/sono.fish",
            "completions/sono.elv",
            "man/man1/sono.1",
            "man/man1/sono-run.1",
        ] {
            files.add(path, path);
        }
        files
    }

    #[test]
    fn glibc_is_version_of_newest_symbol() {
        assert_eq!(glibc(b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.17\0"), Some(34));
        assert_eq!(glibc(b"GLIBC_2."), None);
        assert_eq!(glibc(b""), None);
    }

    #[test]
    fn manifest_has_destination_of_every_file() {
        let manifest: DocumentMut = manifest(&files(), "1.2.3").unwrap().parse().unwrap();
        let debian = &manifest["package"]["metadata"]["deb"];
        assert_eq!(debian["depends"].as_str(), Some("libc6 (>= 2.34)"));
        let assets: Vec<String> = debian["assets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|asset| {
                let parts: Vec<&str> = asset
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|part| part.as_str().unwrap())
                    .collect();
                parts.join(" ")
            })
            .collect();
        assert_eq!(
            assets,
            [
                "files/sono usr/bin/ 755",
                "files/completions/sono.bash usr/share/bash-completion/completions/sono 644",
                "files/completions/_sono usr/share/zsh/vendor-completions/_sono 644",
                "files/completions/sono.fish usr/share/fish/vendor_completions.d/sono.fish 644",
                "files/man/man1/sono-run.1 usr/share/man/man1/ 644",
                "files/man/man1/sono.1 usr/share/man/man1/ 644",
                "files/README.md usr/share/doc/sono/ 644",
                "files/CHANGELOG.md usr/share/doc/sono/ 644",
                "files/THIRD-PARTY-NOTICES.txt usr/share/doc/sono/ 644",
            ]
        );
    }

    #[test]
    fn manifest_without_file_names_it() {
        let mut few = Files::default();
        few.add_program("sono", b"GLIBC_2.34".to_vec());
        let refused = manifest(&few, "1.2.3").unwrap_err().to_string();
        assert_eq!(refused, "completions/sono.bash does not exist");
    }
}
