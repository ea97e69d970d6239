//! Display of a run's progress: bars on a terminal, lines with times elsewhere.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use sono_kube::elapsed;
use sono_types::RunStatus;

use super::{
    counts::{PluginView, plugins},
    progress_log::{Change, ChangeKind, ChangeTime},
};
use crate::{
    args::WaitOutput,
    output::{Bar, Printer, Stack, Text, Tone, text},
};

/// Display of a run.
#[derive(Debug)]
pub(crate) enum Screen {
    /// No progress.
    Silent,
    /// One line for each change.
    Lines(Printer),
    /// Bars, and lines above them.
    Bars(Bars),
}

#[derive(Debug)]
pub(crate) struct Bars {
    printer: Printer,
    all: Stack,
    plugins: BTreeMap<String, Bar>,
    /// Time and value of the first progress of each plugin.
    starts: BTreeMap<String, (Duration, u64)>,
    waiting: Option<Bar>,
}

impl Screen {
    pub(crate) fn new(printer: &Printer, output: WaitOutput) -> Self {
        match output {
            _ if printer.is_quiet() => Self::Silent,
            WaitOutput::Silent => Self::Silent,
            WaitOutput::Spinner | WaitOutput::Progress if printer.is_terminal() => {
                let mut bars = Bars::on(printer.clone(), Stack::new());
                let waiting = bars.all.add_spinner();
                waiting.set_message("waiting for the aggregator");
                bars.waiting = Some(waiting);
                Self::Bars(bars)
            }
            WaitOutput::Spinner | WaitOutput::Progress => Self::Lines(printer.clone()),
        }
    }

    /// Prints changes.
    pub(crate) fn log(&mut self, changes: &[Change], now: Timestamp) {
        match self {
            Self::Silent => {}
            Self::Lines(printer) => {
                for Change { time, text, .. } in changes {
                    printer.note(&format!("{} {text}", clock(*time, now, &TimeZone::system())));
                }
            }
            Self::Bars(bars) => bars.log(changes),
        }
    }

    /// Updates the bars with progress and obstacles.
    pub(crate) fn show(&mut self, status: &RunStatus, since: Duration, obstacle: &dyn Fn(&str) -> Option<String>) {
        if let Self::Bars(bars) = self {
            bars.show(status, since, obstacle);
        }
    }

    /// Replaces each bar by a final line.
    pub(crate) fn end(&mut self, status: Option<&RunStatus>) {
        if let Self::Bars(bars) = self {
            bars.end(status);
        }
    }
}

impl Bars {
    /// Bars without plugins.
    pub(super) fn on(printer: Printer, all: Stack) -> Self {
        Self {
            printer,
            all,
            plugins: BTreeMap::new(),
            starts: BTreeMap::new(),
            waiting: None,
        }
    }

    pub(super) fn log(&self, changes: &[Change]) {
        for Change { kind, text, .. } in changes {
            match kind {
                ChangeKind::FailedTest => self.all.line(&Tone::Bad.paint(format!("✗ {text}"))),
                ChangeKind::Notice => self.all.line(&Text::from(text)),
                ChangeKind::Step => {
                    if let Some(waiting) = &self.waiting {
                        waiting.set_message(text);
                    }
                }
            }
        }
    }

    pub(super) fn show(&mut self, status: &RunStatus, since: Duration, obstacle: &dyn Fn(&str) -> Option<String>) {
        let views = plugins(status);
        if views.is_empty() {
            return;
        }
        if let Some(waiting) = self.waiting.take() {
            waiting.clear();
        }
        for (view, subject) in views.iter().zip(subjects(&views)) {
            let bar = self
                .plugins
                .entry(view.name.clone())
                .or_insert_with(|| self.all.add("{prefix}  {bar:20}  {pos:>5}/{len:5}  {wide_msg}"));
            bar.set_prefix(subject);
            let (length, position) = extent(view);
            bar.set_length(length);
            bar.set_position(position);
            let (start, before) = *self.starts.entry(view.name.clone()).or_insert((since, position));
            let left = time_left(
                since.saturating_sub(start),
                position - before.min(position),
                length - position.min(length),
            );
            bar.set_message(message(view, since, left, obstacle(&view.name)));
        }
    }

    fn end(&mut self, status: Option<&RunStatus>) {
        if let Some(waiting) = self.waiting.take() {
            waiting.clear();
        }
        for bar in std::mem::take(&mut self.plugins).into_values() {
            bar.clear();
        }
        let views = status.map(plugins).unwrap_or_default();
        for (view, subject) in views.iter().zip(subjects(&views)) {
            let verdict = view.verdict().unwrap_or_else(|| "no result".to_owned());
            self.printer
                .note(&text![subject, "  ", view.tone().paint(verdict), view.gap()]);
        }
    }
}

/// `10:00:00`; with the date for a time on another day.
fn clock(time: ChangeTime, now: Timestamp, zone: &TimeZone) -> String {
    let local = |time: Timestamp| time.to_zoned(zone.clone());
    match time {
        ChangeTime::Now => local(now).strftime("%H:%M:%S").to_string(),
        ChangeTime::At(time) if local(time).date() == local(now).date() => local(time).strftime("%H:%M:%S").to_string(),
        ChangeTime::At(time) => local(time).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        ChangeTime::Earlier => "earlier ".to_owned(),
    }
}

/// Names of plugins and their targets, in two columns.
fn subjects(views: &[PluginView]) -> Vec<Text> {
    let targets: Vec<String> = views.iter().map(PluginView::target).collect();
    let names = views
        .iter()
        .map(|view| Text::from(&view.name).width())
        .max()
        .unwrap_or_default();
    let width = targets
        .iter()
        .map(|target| target.chars().count())
        .max()
        .unwrap_or_default();
    let columns = views.iter().zip(targets);
    columns
        .map(|(view, target)| text![Text::from(&view.name).padded(names), format!("  {target:width$}")])
        .collect()
}

/// Length and position of a bar: tests of a global plugin that reports them, otherwise targets.
fn extent(view: &PluginView) -> (u64, u64) {
    let whole = |number: i64| u64::try_from(number).unwrap_or_default();
    match view.progress {
        Some((total, done, failed)) if view.is_global && total > 0 => (whole(total), whole(done) + failed as u64),
        _ => (view.targets as u64, view.done as u64),
    }
}

/// Estimated remaining time; `None` before an estimate is possible.
fn time_left(taken: Duration, done: u64, left: u64) -> Option<Duration> {
    let is_known = taken >= Duration::from_secs(5) && done >= 3 && left > 0;
    let (done, left) = (u32::try_from(done).ok()?, u32::try_from(left).ok()?);
    is_known.then(|| taken.saturating_mul(left) / done)
}

fn message(view: &PluginView, since: Duration, left: Option<Duration>, obstacle: Option<String>) -> Text {
    if let Some(verdict) = view.verdict() {
        return view.tone().paint(verdict);
    }
    if view.done == view.targets {
        return "results are in".into();
    }
    let failed = view.progress.map_or(0, |(_, _, failed)| failed);
    let mut parts: Vec<Text> = Vec::new();
    if failed > 0 {
        parts.push(Tone::Bad.paint(format!("{failed} failed")));
    }
    match (obstacle, left) {
        (Some(obstacle), _) => parts.push(obstacle.into()),
        (None, None) => parts.push(elapsed(since).into()),
        (None, Some(left)) => parts.extend([elapsed(since).into(), format!("about {} left", elapsed(left)).into()]),
    }
    Text::joined(parts, "  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_the_time_at_which_they_happened() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = time("2026-11-22T10:00:05Z");
        let shown = |time: ChangeTime| clock(time, now, &TimeZone::UTC);
        assert_eq!(shown(ChangeTime::Now), "10:00:05");
        assert_eq!(shown(ChangeTime::At(time("2026-11-22T09:00:00Z"))), "09:00:00");
        assert_eq!(
            shown(ChangeTime::At(time("2026-11-21T09:00:00Z"))),
            "2026-11-21 09:00:00"
        );
        assert_eq!(shown(ChangeTime::Earlier), "earlier ");
    }

    #[test]
    fn remaining_time_requires_progress() {
        let seconds = Duration::from_secs;
        assert_eq!(time_left(seconds(4), 40, 5), None);
        assert_eq!(time_left(seconds(60), 2, 43), None);
        assert_eq!(time_left(seconds(60), 45, 0), None);
        assert_eq!(time_left(seconds(60), 15, 30), Some(seconds(120)));
    }

    #[test]
    fn bar_shows_elapsed_and_remaining_time() {
        let view = PluginView {
            targets: 1,
            is_global: true,
            progress: Some((45, 15, 0)),
            ..PluginView::default()
        };
        let at = Duration::from_mins(1);
        let message = |left, obstacle| message(&view, at, left, obstacle).plain().into_owned();
        assert_eq!(message(None, None), "1m");
        assert_eq!(message(Some(at), None), "1m  about 1m left");
        assert_eq!(message(Some(at), Some("image\u{7} i".to_owned())), "image\\u{7} i");
    }
}
