//! The one error at the edge: what failed, why, what helps, and with which code the program ends.

use std::error::Error;

use sono_bundle::{ArchiveError, ReadError};
use sono_kube::KubeError;
use sono_types::exit;

/// What the user gets to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliError {
    what: String,
    details: Vec<String>,
    causes: Vec<String>,
    hint: Option<String>,
    code: u8,
}

/// What a line of an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    What,
    Detail,
    Cause,
    Hint,
    /// The line before goes on, so many blanks further to the right.
    More(usize),
}

impl Label {
    fn text(self) -> String {
        match self {
            Self::What => "error: ".to_owned(),
            Self::Detail => "  ".to_owned(),
            Self::Cause => "  cause: ".to_owned(),
            Self::Hint => "  hint:  ".to_owned(),
            Self::More(indent) => " ".repeat(indent),
        }
    }
}

impl CliError {
    /// `what` failed, in the user's words.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            details: Vec::new(),
            causes: Vec::new(),
            hint: None,
            code: exit::FAILURE,
        }
    }

    /// Adds an error and what is behind it, each text once.
    pub(crate) fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            let said = self.causes.iter().chain([&self.what]).any(|said| said.contains(&text));
            if !said {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Lines with single problems, below what failed.
    pub(crate) fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// What is worth typing next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Another exit code than 1.
    pub(crate) fn exit_with(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// `what` failed because of the cluster; the hint is the one that fits its answer.
    pub(crate) fn of_cluster(what: impl Into<String>, error: &KubeError) -> Self {
        let mut made = Self::new(what).caused_by(error);
        made.hint = match error {
            KubeError::NoConfiguration(_) => {
                Some("name one with --kubeconfig or KUBECONFIG, or run without a cluster: sono run --local")
            }
            KubeError::Configuration(_) => Some("kubectl config get-contexts lists what there is"),
            KubeError::Unreachable { .. } | KubeError::NoAnswer { .. } => {
                Some("is it running? kubectl cluster-info; another one is chosen with --context or --kubeconfig")
            }
            KubeError::Certificate { .. } => {
                Some("compare the server with certificate-authority and tls-server-name: kubectl config view --minify")
            }
            KubeError::Handshake { .. } => {
                Some("compare the server and the client certificate with the cluster's: kubectl config view --minify")
            }
            KubeError::CredentialPlugin { install_hint, .. } => install_hint.as_deref(),
            KubeError::Unauthorized { .. } | KubeError::Credentials { .. } => {
                Some("log in again, or choose another user with --context")
            }
            _ => None,
        }
        .map(str::to_owned);
        made
    }

    /// `what` failed because of an archive; the hint says how to get one that can be read.
    pub(crate) fn of_archive(what: impl Into<String>, error: &ReadError) -> Self {
        let mut made = Self::new(what).caused_by(error);
        made.hint = Some(
            match error {
                _ if error.is_limit() => "--no-limits reads it all the same",
                ReadError::Missing(_) => "sono retrieve fetches the archive of a run and prints its name",
                ReadError::Archive {
                    source: ArchiveError::Truncated | ArchiveError::Damaged(_) | ArchiveError::DamagedTar(_),
                    ..
                } => "it is damaged: fetch it again with sono retrieve",
                _ => "it takes what sono retrieve fetches, or a directory with what is in one",
            }
            .to_owned(),
        );
        made
    }

    /// The same with another name for what was read.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        let texts = [&mut self.what]
            .into_iter()
            .chain(&mut self.details)
            .chain(&mut self.causes);
        texts.for_each(|text| *text = text.replace(from, to));
        self
    }

    /// What failed and why, a line each, to stand below another error.
    pub(crate) fn lines(self) -> Vec<String> {
        let causes = self.causes.into_iter();
        std::iter::once(self.what).chain(self.details).chain(causes).collect()
    }

    /// Its lines without their labels. A foreign text of several lines stays below its first: none of them looks like
    /// a cause or a hint.
    pub(crate) fn labelled(&self) -> Vec<(Label, &str)> {
        let texts = [(Label::What, &self.what)]
            .into_iter()
            .chain(self.details.iter().map(|detail| (Label::Detail, detail)))
            .chain(self.causes.iter().map(|cause| (Label::Cause, cause)))
            .chain(self.hint.iter().map(|hint| (Label::Hint, hint)));
        texts
            .flat_map(|(label, text)| {
                let more = match label {
                    // Not as far as a detail of its own.
                    Label::Detail => Label::More(4),
                    label => Label::More(label.text().len()),
                };
                let mut lines = text.lines();
                let first = lines.next().unwrap_or_default();
                std::iter::once((label, first)).chain(lines.map(move |line| (more, line)))
            })
            .collect()
    }

    /// Its lines as one text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        self.text_lines().join("\n") + "\n"
    }

    /// Its lines, as they are.
    pub(crate) fn text_lines(&self) -> Vec<String> {
        let lines = self.labelled().into_iter();
        lines.map(|(label, line)| format!("{}{line}", label.text())).collect()
    }
}

impl From<KubeError> for CliError {
    fn from(error: KubeError) -> Self {
        Self::of_cluster(error.to_string(), &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn error_with_foreign_lines_has_no_further_hint() {
        let error = CliError::new("cannot do it").details(["said\n  hint:  x".to_owned()]);
        let error = error.caused_by(&std::io::Error::other("a\n  hint:  y"));
        assert_eq!(
            error.text_lines(),
            [
                "error: cannot do it",
                "  said",
                "      hint:  x",
                "  cause: a",
                "           hint:  y"
            ]
        );
    }

    #[test]
    fn each_cause_is_said_once() {
        let inner = std::io::Error::other("inner");
        let error = CliError::new("cannot do it: outer")
            .caused_by(&Outer(inner))
            .hint("do something else");
        assert_eq!(
            error.text_lines(),
            [
                "error: cannot do it: outer",
                "  cause: inner",
                "  hint:  do something else"
            ]
        );
    }
}
