//! A submission: the files of a pull request, and its title and commits where known.

use std::sync::LazyLock;

use regex::Regex;

use crate::minor::Minor;

/// The files of a submission.
pub const FILES: [&str; 4] = ["README.md", "PRODUCT.yaml", "e2e.log", "junit_01.xml"];
/// README of a submission.
pub const README: &str = "README.md";
/// Description of the product.
pub const PRODUCT: &str = "PRODUCT.yaml";
/// Log of the suite.
pub const LOG: &str = "e2e.log";
/// Results of the suite.
pub const JUNIT: &str = "junit_01.xml";

/// A file of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmittedFile {
    /// Path in the repository of submissions, such as `v1.37/product/README.md`.
    pub path: String,
    /// Content.
    pub contents: Vec<u8>,
}

impl SubmittedFile {
    /// The last part of the path.
    pub fn base(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The folder of the path, as Go's `path.Dir` returns it.
    pub fn folder(&self) -> String {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let rooted = self.path.starts_with('/');
        let mut parts: Vec<&str> = Vec::new();
        for part in folder.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.last().is_some_and(|last| *last != "..") => {
                    parts.pop();
                }
                ".." if rooted => {}
                part => parts.push(part),
            }
        }
        match (rooted, parts.is_empty()) {
            (true, _) => format!("/{}", parts.join("/")),
            (false, true) => ".".to_owned(),
            (false, false) => parts.join("/"),
        }
    }
}

/// Files and facts of a submission. Unknown facts are not checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Submission {
    /// Title of the pull request.
    pub title: Option<String>,
    /// Files in the order of their paths.
    pub files: Vec<SubmittedFile>,
    /// Number of commits of the pull request.
    pub commits: Option<usize>,
    /// The version whose results these are, if the files are results without a folder of a product.
    pub results_of: Option<Minor>,
}

impl Submission {
    /// The first file with a name in any case: the bot's choice.
    pub fn file(&self, name: &str) -> Option<&SubmittedFile> {
        self.files.iter().find(|file| file.base().eq_ignore_ascii_case(name))
    }

    /// The content of the first file with a name in any case.
    pub fn contents(&self, name: &str) -> Option<&[u8]> {
        self.file(name).map(|file| file.contents.as_slice())
    }

    /// Version and product of the first path that has them, as the bot finds them.
    pub fn version_and_product(&self) -> Option<(String, String)> {
        let regex = FILE.as_ref()?;
        self.files.iter().find_map(|file| {
            let found = regex.captures(&file.path)?;
            Some((found.get(1)?.as_str().to_owned(), found.get(2)?.as_str().to_owned()))
        })
    }
}

// The patterns are the bot's: unanchored, with an unescaped dot.
static FILE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(v1.[0-9]{2})/(.*)/.*").ok());
static FOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(v1.[0-9]{2})/(.*)").ok());
static TITLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(.*) (v1.[0-9]{2})[ /](.*)").ok());

/// Whether a folder has a version and a product in the bot's eyes.
pub(crate) fn is_product_folder(folder: &str) -> bool {
    FOLDER.as_ref().is_some_and(|regex| {
        regex.is_match(folder)
            && regex
                .captures_iter(folder)
                .all(|found| found.get(2).is_some_and(|product| !product.is_empty()))
    })
}

/// The version in a title, if the title has the bot's form.
pub(crate) fn version_in_title(title: &str) -> Option<&str> {
    let found = TITLE.as_ref()?.captures(title)?;
    found.get(2).map(|version| version.as_str())
}

/// Whether the bot takes a pull request with this title for a submission.
pub(crate) fn is_submission_title(title: &str) -> bool {
    title.to_lowercase().contains("conformance results for")
}

/// The title that CNCF's instructions ask for.
pub fn title(version: Minor, product: &str) -> String {
    format!("Conformance results for {version}/{product}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> SubmittedFile {
        SubmittedFile {
            path: path.to_owned(),
            contents: Vec::new(),
        }
    }

    #[test]
    fn folder_is_cleaned() {
        for (path, folder) in [
            ("v1.37/a/README.md", "v1.37/a"),
            ("README.md", "."),
            ("/README.md", "/"),
            ("a//b/../c/d", "a/c"),
            ("../a/b", "../a"),
            ("/../a/b", "/a"),
        ] {
            assert_eq!(file(path).folder(), folder);
        }
    }

    #[test]
    fn version_and_product_are_of_the_first_path_that_has_them() {
        let of = |paths: &[&str]| {
            Submission {
                files: paths.iter().map(|path| file(path)).collect(),
                ..Submission::default()
            }
            .version_and_product()
        };
        let pair = |version: &str, product: &str| Some((version.to_owned(), product.to_owned()));
        assert_eq!(of(&["README.md", "x/v1.37/a/b/c"]), pair("v1.37", "a/b"));
        assert_eq!(of(&["v1x37/a/c"]), pair("v1x37", "a"));
        assert_eq!(of(&["v1.37/c", "v2.37/a/c"]), None);
        // `.*` also matches nothing.
        assert_eq!(of(&["v1.37//c"]), pair("v1.37", ""));
    }

    #[test]
    fn version_in_title_is_that_of_the_last_match() {
        assert_eq!(version_in_title("Conformance results for v1.37/a"), Some("v1.37"));
        assert_eq!(version_in_title("for v1.36/a and v1.37 b"), Some("v1.37"));
        assert_eq!(version_in_title("v1.37/a"), None);
        assert_eq!(version_in_title("for v1.37"), None);
    }
}
