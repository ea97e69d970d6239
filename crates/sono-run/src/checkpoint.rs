//! The checkpoint of a run, which outlives the volume of its aggregator: the state that is needed to watch its plugins and to
//! collect their results again. It fits a Secret for any number of nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sono_types::{PluginName, ResultKey, SessionId, TarInfo, Target};

use super::record::{Planned, Record, RunStart};

/// Version of the text.
const VERSION: u32 = 1;
/// Maximum number of failed results in the checkpoint; further failures are detected again or end at their time limit.
const MAX_FAILURES: usize = 256;
/// Maximum size of a failure's message in bytes.
const REASON_BYTES: usize = 300;

/// The phase of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointPhase {
    /// Results are being collected.
    Running,
    /// No more results are accepted.
    Finishing,
    /// The archive is complete, and the plugins are being removed.
    Sealed(TarInfo),
}

/// The state of one plugin.
#[derive(Debug, Clone, Default, PartialEq)]
struct PluginState {
    launched: bool,
    deadline: Option<Timestamp>,
    created: bool,
    ended: bool,
    discovery_ended: bool,
    discovered: Vec<Target>,
    failed: BTreeMap<Target, String>,
}

/// The checkpoint of a run, with its owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The number of owners so far.
    pub epoch: u64,
    /// The owner of the run: a name that no other process has.
    pub holder: String,
    /// Identity and plugins of the run.
    pub run_start: Arc<RunStart>,
    /// Its phase.
    pub phase: CheckpointPhase,
    states: BTreeMap<PluginName, PluginState>,
}

/// When a change has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing changed.
    None,
    /// Together with the next change that is due at once.
    Later,
    /// At once.
    Soon,
}

/// Why a text is not a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not a checkpoint.
    #[error("not a checkpoint")]
    Text(#[source] serde_json::Error),
    /// Another version of this program wrote it.
    #[error("unsupported version {0}: this aggregator supports version {VERSION}")]
    Version(u32),
}

impl Checkpoint {
    /// Of a run that begins.
    pub fn new(run_start: RunStart, epoch: u64, holder: String) -> Self {
        Self {
            epoch,
            holder,
            run_start: Arc::new(run_start),
            phase: CheckpointPhase::Running,
            states: BTreeMap::new(),
        }
    }

    /// Applies one record.
    pub fn apply(&mut self, record: &Record) -> Change {
        match record {
            Record::Launching { plugin, deadline } => {
                let state = self.state(plugin);
                (state.launched, state.deadline) = (true, *deadline);
                Change::Soon
            }
            Record::Launched { plugin } => {
                self.state(plugin).created = true;
                Change::Soon
            }
            Record::TargetDiscovered { key } => {
                let discovered = &mut self.state(&key.plugin).discovered;
                if discovered.contains(&key.target) {
                    return Change::None;
                }
                discovered.push(key.target.clone());
                Change::Later
            }
            Record::DiscoveryEnded { plugin } => {
                self.state(plugin).discovery_ended = true;
                Change::Later
            }
            Record::Failed { key, failure } => {
                let known: usize = self.states.values().map(|state| state.failed.len()).sum();
                if known >= MAX_FAILURES {
                    return Change::None;
                }
                let end = failure.message.floor_char_boundary(REASON_BYTES);
                let reason = failure.message[..end].to_owned();
                self.state(&key.plugin).failed.insert(key.target.clone(), reason);
                Change::Later
            }
            Record::Stored { key } | Record::StoredInJournal { key, .. } => {
                let state = self.states.get_mut(&key.plugin);
                let superseded = state.is_some_and(|state| state.failed.remove(&key.target).is_some());
                if superseded { Change::Later } else { Change::None }
            }
            Record::Finishing => {
                self.phase = CheckpointPhase::Finishing;
                Change::Soon
            }
            Record::Sealed { status } => {
                self.phase = CheckpointPhase::Sealed(status.tarball.clone());
                Change::Soon
            }
            Record::TakenOver { ended, .. } => {
                for plugin in ended {
                    self.state(plugin).ended = true;
                }
                self.phase = CheckpointPhase::Running;
                Change::None
            }
            // The next owner collects the results again: other files, and maybe not those that ended this process.
            Record::Started(_) | Record::Owned { .. } | Record::Processing { .. } | Record::Processed { .. } => {
                Change::None
            }
        }
    }

    /// No more results of this plugin are expected.
    pub fn end(&mut self, plugin: &PluginName) -> Change {
        let ended = &mut self.state(plugin).ended;
        if std::mem::replace(ended, true) {
            Change::None
        } else {
            Change::Soon
        }
    }

    fn state(&mut self, plugin: &PluginName) -> &mut PluginState {
        self.states.entry(plugin.clone()).or_default()
    }

    /// The records for a process without a journal of the run: no result is stored.
    pub fn records(&self, now: Timestamp) -> Vec<Record> {
        let mut records = vec![Record::Started(RunStart::clone(&self.run_start))];
        for (plugin, state) in &self.states {
            let plugin = || plugin.clone();
            let key = |target: &Target| ResultKey::new(plugin(), target.clone());
            if state.launched {
                let deadline = state.deadline;
                records.push(Record::Launching {
                    plugin: plugin(),
                    deadline,
                });
            }
            if state.created {
                records.push(Record::Launched { plugin: plugin() });
            }
            records.extend(
                state
                    .discovered
                    .iter()
                    .map(|target| Record::TargetDiscovered { key: key(target) }),
            );
            if state.discovery_ended {
                records.push(Record::DiscoveryEnded { plugin: plugin() });
            }
            records.extend(state.failed.iter().map(|(target, reason)| Record::Failed {
                key: key(target),
                failure: super::Failure::new(reason.as_str()),
            }));
        }
        let ended = self.states.iter().filter(|(_, state)| state.ended);
        records.push(Record::TakenOver {
            at: now,
            ended: ended.map(|(plugin, _)| plugin.clone()).collect(),
        });
        records
    }

    /// The checkpoint as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.text()).expect("the keys of its maps are texts")
    }

    /// Parses the output of [`Checkpoint::to_json`].
    ///
    /// # Errors
    ///
    /// The text is not a checkpoint, or one of another version.
    pub fn from_json(text: &[u8]) -> Result<Self, CheckpointError> {
        let text: Text = serde_json::from_slice(text).map_err(CheckpointError::Text)?;
        if text.version != VERSION {
            return Err(CheckpointError::Version(text.version));
        }
        Ok(text.into_memory())
    }

    fn text(&self) -> Text {
        let mut targets = Targets::default();
        let empty = PluginState::default();
        let plugins = self.run_start.plugins.iter().map(|planned| {
            let state = self.states.get(&planned.plugin).unwrap_or(&empty);
            PluginText {
                plugin: planned.plugin.clone(),
                session: planned.session.clone(),
                order: planned.order,
                timeout: planned.timeout,
                discovers_targets: planned.discovers_targets,
                targets: targets.spans(planned.targets.iter().map(String::as_str)),
                launched: state.launched,
                deadline: state.deadline,
                created: state.created,
                ended: state.ended,
                discovery_ended: state.discovery_ended,
                discovered: targets.spans(state.discovered.iter().map(Target::as_str)),
                failed: state
                    .failed
                    .iter()
                    .map(|(target, reason)| (target.to_string(), reason.clone()))
                    .collect(),
            }
        });
        let plugins = plugins.collect();
        Text {
            version: VERSION,
            epoch: self.epoch,
            holder: self.holder.clone(),
            journal: self.run_start.version,
            uuid: self.run_start.uuid.clone(),
            start: self.run_start.start,
            ca_certificate: self.run_start.ca_certificate.clone(),
            ca_key: self.run_start.ca_key.clone(),
            phase: self.phase.clone(),
            plugins,
            targets: targets.names,
        }
    }
}

/// The serialized form. Each node's name occurs once, for any number of plugins.
#[derive(Serialize, Deserialize)]
struct Text {
    version: u32,
    epoch: u64,
    holder: String,
    journal: u32,
    uuid: String,
    start: Timestamp,
    ca_certificate: String,
    ca_key: String,
    phase: CheckpointPhase,
    plugins: Vec<PluginText>,
    targets: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct PluginText {
    plugin: PluginName,
    session: SessionId,
    order: i64,
    timeout: Option<u64>,
    #[serde(rename = "learns")]
    discovers_targets: bool,
    targets: Vec<Span>,
    launched: bool,
    deadline: Option<Timestamp>,
    created: bool,
    ended: bool,
    #[serde(rename = "counted")]
    discovery_ended: bool,
    #[serde(rename = "joined")]
    discovered: Vec<Span>,
    failed: BTreeMap<String, String>,
}

/// The index of the first name, and the number of names.
type Span = (usize, usize);

#[derive(Default)]
struct Targets {
    names: Vec<String>,
    places: BTreeMap<String, usize>,
}

impl Targets {
    fn spans<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for name in names {
            let place = *self.places.entry(name.to_owned()).or_insert_with(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            });
            match spans.last_mut() {
                Some((first, count)) if *first + *count == place => *count += 1,
                _ => spans.push((place, 1)),
            }
        }
        spans
    }
}

impl Text {
    fn into_memory(self) -> Checkpoint {
        let named = |spans: &[Span]| -> Vec<String> {
            let within = |(first, count): &Span| self.targets.iter().skip(*first).take(*count).cloned();
            spans.iter().flat_map(within).collect()
        };
        let planned = |text: &PluginText| Planned {
            plugin: text.plugin.clone(),
            session: text.session.clone(),
            order: text.order,
            timeout: text.timeout,
            targets: named(&text.targets),
            discovers_targets: text.discovers_targets,
        };
        let run_start = RunStart {
            version: self.journal,
            uuid: self.uuid.clone(),
            start: self.start,
            ca_certificate: self.ca_certificate.clone(),
            ca_key: self.ca_key.clone(),
            plugins: self.plugins.iter().map(planned).collect(),
        };
        let state = |text: &PluginText| PluginState {
            launched: text.launched,
            deadline: text.deadline,
            created: text.created,
            ended: text.ended,
            discovery_ended: text.discovery_ended,
            discovered: named(&text.discovered)
                .iter()
                .filter_map(|name| Target::parse(name).ok())
                .collect(),
            failed: text
                .failed
                .iter()
                .filter_map(|(target, reason)| Some((Target::parse(target).ok()?, reason.clone())))
                .collect(),
        };
        let states = self.plugins.iter().map(|text| (text.plugin.clone(), state(text)));
        let states = states.filter(|(_, state)| *state != PluginState::default()).collect();
        Checkpoint {
            epoch: self.epoch,
            holder: self.holder.clone(),
            run_start: Arc::new(run_start),
            phase: self.phase.clone(),
            states,
        }
    }
}

/// A takeover without the files of the previous process: when, and the plugins that had ended before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Takeover {
    pub(super) at: Timestamp,
    pub(super) ended: BTreeSet<PluginName>,
    /// Those that were launched before.
    pub(super) launched: BTreeSet<PluginName>,
}

#[cfg(test)]
mod tests;
