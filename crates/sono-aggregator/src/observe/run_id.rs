//! The run's identity in every line of the log, also in lines of tasks that do not have it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    registry::LookupSpan,
};

/// The identity, once it is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunId(Arc<OnceLock<String>>);

impl RunId {
    /// Sets the identity; later calls have no effect, because a process has one run.
    pub(crate) fn set(&self, run: &str) {
        self.0.get_or_init(|| run.to_owned());
    }

    pub(crate) fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// The usual line with `run=…` at its end.
pub(crate) struct WithRun {
    format: Format,
    run: RunId,
}

impl WithRun {
    pub(crate) fn new(run: RunId) -> Self {
        let format = Format::default().with_ansi(false).with_target(false);
        Self { format, run }
    }
}

impl<S, N> FormatEvent<S, N> for WithRun
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(run) = self.run.get() else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{} run={run}", line.trim_end_matches('\n'))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_lines_contain_the_run_once_it_is_known() {
        let (lines, run) = (Lines::default(), RunId::default());
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(WithRun::new(run.clone()))
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(node = "n1", "before");
            run.set("4b5b");
            run.set("another");
            tracing::warn!(node = "n1", "after");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let without_time: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            without_time,
            ["INFO before node=\"n1\"", "WARN after node=\"n1\" run=4b5b"]
        );
    }
}
