//! The error type of all commands: failure, causes, hint and exit code.

use std::error::Error;

use sono_bundle::{ArchiveError, ReadError};
use sono_kube::KubeError;
use sono_types::exit;

/// Error shown to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliError {
    what: String,
    details: Vec<String>,
    causes: Vec<String>,
    hint: Option<String>,
    code: u8,
    retry: Retry,
}

/// When a retry may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// Once the server has answered: certificates are renewed while a command runs, but wrong ones stay wrong.
    AfterAnAnswer,
    Always,
}

/// Kind of a line of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    What,
    Detail,
    Cause,
    Hint,
    /// Continuation of the previous line, with this indentation.
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
    /// Error with the message `what`.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            details: Vec::new(),
            causes: Vec::new(),
            hint: None,
            code: exit::FAILURE,
            retry: Retry::Never,
        }
    }

    /// Adds an error and its sources as causes, each text once.
    pub(crate) fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            let is_known = self
                .causes
                .iter()
                .chain([&self.what])
                .any(|known| known.contains(&text));
            if !is_known {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds lines with individual problems.
    pub(crate) fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// Sets the hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets an exit code other than 1.
    pub(crate) fn exit_with(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Marks an error that may disappear on a retry.
    pub(crate) fn transient(mut self) -> Self {
        self.retry = Retry::Always;
        self
    }

    pub(crate) fn retry(&self) -> Retry {
        self.retry
    }

    /// Error caused by the cluster, with a matching hint.
    pub(crate) fn of_cluster(what: impl Into<String>, error: &KubeError) -> Self {
        let mut made = Self::new(what).caused_by(error);
        made.retry = match error {
            KubeError::Certificate { .. } | KubeError::Handshake { .. } => Retry::AfterAnAnswer,
            error if error.is_transient() => Retry::Always,
            _ => Retry::Never,
        };
        made.hint = match error {
            KubeError::NoConfiguration(_) => {
                Some("set --kubeconfig or KUBECONFIG, or run without a cluster: sono run --local")
            }
            KubeError::Configuration(_) => Some("to list contexts: kubectl config get-contexts"),
            KubeError::Unreachable { .. } | KubeError::NoAnswer { .. } => {
                Some("check the cluster: kubectl cluster-info; or select another one with --context or --kubeconfig")
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

    /// Error caused by an archive, with a matching hint.
    pub(crate) fn of_archive(what: impl Into<String>, error: &ReadError) -> Self {
        let mut made = Self::new(what).caused_by(error);
        made.hint = Some(
            match error {
                _ if error.is_limit() => "to read it without limits: --no-limits",
                ReadError::Missing(_) => "to retrieve the archive of a run: sono retrieve",
                ReadError::Archive {
                    source: ArchiveError::Truncated | ArchiveError::Damaged(_) | ArchiveError::DamagedTar(_),
                    ..
                } => "the archive is damaged; retrieve it again: sono retrieve",
                _ => "expected an archive from sono retrieve, or a directory with an extracted archive",
            }
            .to_owned(),
        );
        made
    }

    /// Replaces the name of the input in all texts.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        let texts = [&mut self.what]
            .into_iter()
            .chain(&mut self.details)
            .chain(&mut self.causes);
        texts.for_each(|text| *text = text.replace(from, to));
        self
    }

    /// Message, details and causes, as details of another error.
    pub(crate) fn lines(self) -> Vec<String> {
        let causes = self.causes.into_iter();
        std::iter::once(self.what).chain(self.details).chain(causes).collect()
    }

    /// Message, details and causes, as details of another error. The hint is on an indented line below them.
    pub(crate) fn lines_with_hint(mut self) -> Vec<String> {
        let hint = self.hint.take();
        let mut lines = self.lines();
        if let (Some(last), Some(hint)) = (lines.last_mut(), hint) {
            last.push('\n');
            last.push_str(&hint);
        }
        lines
    }

    /// Lines without their labels. Further lines of a multi-line text are indented, so that foreign text cannot look like a
    /// cause or a hint.
    pub(crate) fn labelled(&self) -> Vec<(Label, &str)> {
        let texts = [(Label::What, &self.what)]
            .into_iter()
            .chain(self.details.iter().map(|detail| (Label::Detail, detail)))
            .chain(self.causes.iter().map(|cause| (Label::Cause, cause)))
            .chain(self.hint.iter().map(|hint| (Label::Hint, hint)));
        texts
            .flat_map(|(label, text)| {
                let more = match label {
                    // Deeper than a detail.
                    Label::Detail => Label::More(4),
                    label => Label::More(label.text().len()),
                };
                let mut lines = text.lines();
                let first = lines.next().unwrap_or_default();
                std::iter::once((label, first)).chain(lines.map(move |line| (more, line)))
            })
            .collect()
    }

    /// All lines as one text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        self.text_lines().join("\n") + "\n"
    }

    /// All lines with their labels.
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
    fn foreign_lines_cannot_add_a_hint() {
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
    fn each_cause_is_printed_once() {
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
