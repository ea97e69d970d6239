//! A package for Debian-style systems, by cargo-deb.

use std::{fmt::Write as _, process::Command};

use anyhow::{Context, ensure};
use fs_err as fs;
use toml_edit::{Array, DocumentMut, value};

use super::{archive::Files, source::Source, target::Target};
use crate::{command, tool};

/// Another version may write other bytes.
const VERSION: &str = "3.8.0";

/// What of the archive goes where: a path, or a folder with all that is in it. Completions are where the shells of Debian look.
const PLACES: [(&str, &str); 8] = [
    ("sono", "usr/bin/"),
    ("completions/sono.bash", "usr/share/bash-completion/completions/sono"),
    ("completions/_sono", "usr/share/zsh/vendor-completions/_sono"),
    ("completions/sono.fish", "usr/share/fish/vendor_completions.d/sono.fish"),
    ("man/man1/", "usr/share/man/man1/"),
    ("README.md", "usr/share/doc/sono/"),
    ("CHANGELOG.md", "usr/share/doc/sono/"),
    ("THIRD-PARTY-NOTICES.txt", "usr/share/doc/sono/"),
];

/// Packs the files of the archive. `None` where the system is no Linux.
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
        fs::create_dir_all(file.parent().context("a file is in a folder")?)?;
        fs::write(file, bytes)?;
    }
    // cargo-deb describes a package of cargo's; this one has no code, so that what is described is what was staged.
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
    // A folder of its own, whatever somebody set for daily work.
    .env("CARGO_TARGET_DIR", staged.join("target"));
    command::run(&mut pack)?;
    Ok(Some(fs::read(packed)?))
}

/// The description of the package, with the library that the program needs.
fn manifest(files: &Files, version: &str) -> anyhow::Result<String> {
    let program = files.iter().find(|(path, ..)| *path == "sono").context("no program")?;
    let needed = glibc(program.1).context("the program names no version of the C library")?;
    let mut manifest = DocumentMut::new();
    let package = manifest["package"].or_insert(toml_edit::table());
    package["name"] = value("sono");
    package["version"] = value(version);
    package["edition"] = value("2024");
    package["license"] = value("Apache-2.0");
    package["description"] = value("Tells whether a Kubernetes cluster works, and if not, why");
    let debian = package["metadata"].or_insert(toml_edit::table())["deb"].or_insert(toml_edit::table());
    debian["maintainer"] = value("The sono authors");
    debian["copyright"] = value("The sono authors");
    debian["license-file"] = value(Array::from_iter(["files/LICENSE", "0"]));
    debian["extended-description"] = value(
        "Runs plugins in a cluster, or on this machine, collects their results in one archive and says what failed and why. \
         Takes the place of Sonobuoy.",
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

/// Each file with its place and mode. What is packed for others and has no place here is left out.
fn assets(files: &Files) -> anyhow::Result<Array> {
    let mut assets = Array::new();
    for (from, to) in PLACES {
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
        ensure!(assets.len() > before, "{from} is not there");
    }
    Ok(assets)
}

/// The second number of the highest version of glibc among the symbols that a program needs.
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
    fn the_newest_symbol_says_which_library_is_needed() {
        assert_eq!(glibc(b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.17\0"), Some(34));
        assert_eq!(glibc(b"GLIBC_2."), None);
        assert_eq!(glibc(b""), None);
    }

    #[test]
    fn every_file_has_its_place() {
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
    fn what_is_missing_is_named() {
        let mut few = Files::default();
        few.add_program("sono", b"GLIBC_2.34".to_vec());
        let refused = manifest(&few, "1.2.3").unwrap_err().to_string();
        assert_eq!(refused, "completions/sono.bash is not there");
    }
}
