//! The only place that prints: data to standard output, all else to standard error.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anstyle::{AnsiColor, Style};
use sono_types::exit;

use crate::error::CliError;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// A colour that goes with a word; the word says the same without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Plain,
}

impl Tone {
    pub(crate) fn paint(self, text: &str) -> String {
        let style = match self {
            Self::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
            Self::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())),
            Self::Plain => return text.to_owned(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// Prints. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    /// Standard error is a terminal.
    terminal: bool,
    /// Standard output is a terminal.
    screen: bool,
    /// Nobody reads standard output any more.
    broken: Arc<AtomicBool>,
}

impl Printer {
    pub(crate) fn for_this_process() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            screen: io::stdout().is_terminal(),
            broken: Arc::default(),
        }
    }

    /// Whether a person looks at standard error.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether a person looks at standard output, and no script.
    pub(crate) fn is_screen(&self) -> bool {
        self.screen
    }

    /// Writes data that may be styled. Styles are taken out where they are not wanted.
    pub(crate) fn styled(&self, text: &str) -> Result<(), CliError> {
        if anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never {
            return self.data(anstream::adapter::strip_str(text).to_string().as_bytes());
        }
        self.data(text.as_bytes())
    }

    /// Nobody reads standard output any more. That is success: `sono results … | head`.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Writes data as it is.
    pub(crate) fn data(&self, bytes: &[u8]) -> Result<(), CliError> {
        if self.is_broken() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.broken.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(CliError::new("cannot write to standard output").caused_by(&error)),
        }
    }

    /// Writes a line of data.
    pub(crate) fn line(&self, text: &str) -> Result<(), CliError> {
        self.data(format!("{text}\n").as_bytes())
    }

    /// Says something beside the data. Styles are taken out where they are not wanted.
    #[expect(clippy::unused_self, reason = "who prints needs a printer")]
    pub(crate) fn note(&self, text: &str) {
        // Nowhere to say that it could not be said.
        drop(writeln!(anstream::stderr(), "{text}"));
    }

    pub(crate) fn error(&self, error: &CliError) {
        let text = error.text();
        let painted: Vec<String> = text
            .lines()
            .map(|line| {
                let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
                if let Some(rest) = line.strip_prefix("error:") {
                    format!("{red}error:{red:#}{BOLD}{rest}{BOLD:#}")
                } else if let Some(rest) = line.strip_prefix("  cause:") {
                    format!("{DIM}  cause:{DIM:#}{rest}")
                } else if let Some(rest) = line.strip_prefix("  hint:") {
                    format!("{DIM}  hint:{DIM:#}{rest}")
                } else {
                    line.to_owned()
                }
            })
            .collect();
        self.note(&painted.join("\n"));
    }

    /// Help, which clap takes for an error.
    #[expect(clippy::unused_self, reason = "who prints needs a printer")]
    pub(crate) fn help(&self, help: &clap::Error) -> ExitCode {
        // It goes to standard output, where a reader may have left.
        drop(help.print());
        ExitCode::from(exit::SUCCESS)
    }
}
