//! The execution of effects.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use sono_run::{Effect, Event, NotRecorded, Record};
use sono_types::{RunStatus, SharedError, error_chain, layout};

use super::{Coordinator, ended_by, finished_run};
use crate::{
    coordinator::{
        finalize::{self, Finish, NotPacked},
        launcher::Start,
        requests::{Reply, write},
        run::FinishedRun,
        startup::Drivers,
        tasks::wait_for_ownership,
    },
    durability::checkpoint::CheckpointWriter,
    error::RunError,
    observe::run_events::RunEvents,
};

impl Coordinator<'_> {
    /// Carries out effects in their order, including those that follow from them. Returns the finished run at its end.
    pub(super) async fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        reply: Option<Reply>,
        shutdown: &mut Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<FinishedRun>, RunError> {
        if let Some(checkpoint_writer) = &self.checkpoint_writer {
            update_checkpoint(checkpoint_writer, &effects);
        }
        let mut records = Vec::new();
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Launch { plugin, deadline } => {
                    let barrier = self.checkpoint_writer.as_ref().map(CheckpointWriter::barrier);
                    let start = Start::Create(barrier);
                    self.launcher
                        .launch(&self.run, &plugin, deadline, start, &mut self.tasks);
                    let results = self.run.expected().filter(|key| key.plugin == plugin).count();
                    self.publisher.publish(self.run_events.started(&plugin, results));
                }
                Effect::Watch { plugin, deadline } => {
                    self.launcher
                        .launch(&self.run, &plugin, deadline, Start::Watch, &mut self.tasks);
                }
                Effect::StopMonitor(plugin) => self.tasks.stop(&plugin),
                Effect::RecordError { key, failure } => {
                    self.publisher.publish(self.run_events.failed(&key, &failure));
                    let errors = self.files.directory.join(layout::errors_dir(&key));
                    self.tasks.record(&errors, &key, failure);
                }
                Effect::Record(record) => records.push(record),
                Effect::Progressed => self.progress.mark(),
                Effect::Publish => self.snapshots.mark(),
                Effect::Finish => self.finish(),
                Effect::Commit(record) => {
                    write(self.journal, std::mem::take(&mut records), None);
                    let committed = self.commit(record, shutdown).await?;
                    effects.extend(self.handle(Event::Committed(committed)));
                }
                Effect::Flush => {
                    write(self.journal, std::mem::take(&mut records), None);
                    // A shutdown drops the wait, not the write.
                    tokio::select! {
                        _ = self.journal.append_and_sync(Vec::new()) => {}
                        () = &mut *shutdown => return Err(RunError::Stopped),
                    }
                }
                Effect::Release => {
                    // Workers can discard their results.
                    self.over.store(true, Ordering::Relaxed);
                    self.server.lingers = true;
                    self.problems += clean_up_after(&self.launcher.drivers).await;
                }
                Effect::Serve(tarball) => self.view.seal(&self.files.root.join(&tarball.name), &tarball),
                Effect::Show(status) => self.show(status),
                Effect::RemoveResults => {
                    if let Err(error) = fs_err::remove_dir_all(&self.files.directory) {
                        tracing::warn!(%error, "cannot remove the packed directory");
                    }
                }
                Effect::KeepResults(error) => tracing::warn!(
                    error = error_chain(&error),
                    "cannot record the archive in the journal, retaining the packed directory"
                ),
                Effect::End => return self.end().map(Some),
            }
        }
        write(self.journal, records, reply);
        Ok(None)
    }

    /// Starts the task that writes the archive.
    fn finish(&mut self) {
        self.publisher.publish(self.run_events.collected());
        let finish = Finish {
            directory: self.files.directory.clone(),
            incoming: self.files.incoming.clone(),
            archive: self.files.archive.clone(),
            stored: self.run.stored(),
            expected: self.run.expected().cloned().collect(),
            discovered: self.run.discovered().to_vec(),
            left_out: self.run.left_out(),
            drivers: Arc::clone(&self.launcher.drivers),
            backend: Arc::clone(&self.backend),
            config: self.config.clone(),
            clock: Arc::clone(&self.clock),
            log: self.log.clone(),
            coordinator: self.handle.clone(),
            commits_in_progress: Arc::clone(&self.commits_in_progress),
            cleans_up_before_packing: self.checkpoint_writer.is_none(),
            disk_full: self.disk_full.clone(),
            unprocessed: self.run.unprocessed().clone(),
            errors: std::mem::take(&mut self.tasks.writes),
        };
        let barrier = self.checkpoint_writer.as_ref().map(CheckpointWriter::barrier);
        self.tasks.finish = Some(tokio::spawn(async move {
            wait_for_ownership(barrier).await;
            finalize::finish(finish).await
        }));
    }

    /// Records the archive before it is published: without the record, the next process would pack again.
    ///
    /// # Cancel safety
    ///
    /// A shutdown drops the wait, not the write: the record may still reach the disk, and the next process then shows this
    /// archive. Otherwise it packs again.
    async fn commit(
        &mut self,
        record: Record,
        shutdown: &mut Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Result<(), NotRecorded>, RunError> {
        let committed = tokio::select! {
            committed = self.journal.append_and_sync(vec![record.clone()]) => committed,
            // The archive is not published yet: the next process packs again.
            () = &mut *shutdown => return Err(RunError::Stopped),
        };
        if let Some(checkpoint_writer) = &self.checkpoint_writer {
            checkpoint_writer.record(&record);
            tokio::select! {
                () = checkpoint_writer.barrier().wait() => {}
                lost = checkpoint_writer.ownership_lost() => return Err(ended_by(&lost)),
                () = &mut *shutdown => return Err(RunError::Stopped),
            }
        }
        Ok(committed)
    }

    fn show(&self, mut status: RunStatus) {
        if let Some(NotPacked::Withheld(reason)) = &self.broken {
            status.withheld.clone_from(reason);
        }
        let complete = self.broken.is_none().then(|| RunEvents::complete(&status));
        self.publisher.show(status);
        self.publisher.publish(complete);
    }

    fn end(&mut self) -> Result<FinishedRun, RunError> {
        if let Some(error) = self.broken.take() {
            let directory = self.files.directory.clone();
            let source = SharedError::new(error);
            return Err(RunError::Pack { directory, source });
        }
        if self.run.timed_out() {
            tracing::error!("Timeout occurred when running plugins. Inspect logs further for details.");
        }
        Ok(finished_run(&self.files.root, self.run.status(), self.problems))
    }
}

/// Removes the plugins' objects after the archive is complete. Returns the number of failures, which are logged.
pub(super) async fn clean_up_after(drivers: &Drivers) -> usize {
    let (_, problems) = finalize::clean_up(drivers).await;
    for problem in &problems {
        tracing::error!(problem, "cannot clean up");
    }
    problems.len()
}

/// Passes the effects that change the checkpoint to its writer.
fn update_checkpoint(checkpoint_writer: &CheckpointWriter, effects: &[Effect]) {
    for effect in effects {
        match effect {
            Effect::Record(record) => checkpoint_writer.record(record),
            Effect::StopMonitor(plugin) => checkpoint_writer.plugin_ended(plugin),
            _ => {}
        }
    }
}
