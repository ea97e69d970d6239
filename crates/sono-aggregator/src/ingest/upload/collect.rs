//! Receives the body of an upload, with limits on size and time.

use std::{io, sync::Arc};

use axum::body::BodyDataStream;
use futures::StreamExt as _;
use sono_types::ResultKey;
use tokio::time::Instant;

use super::{Head, Received, Uploads, disk_full_message};
use crate::{
    connections::{MAX_STALL, UploadSlot},
    ingest::{
        error::UploadError,
        quota::Reservation,
        resume::{Partial, Partials, UploadPart},
        spool::Spool,
    },
};

/// A body that is being received.
struct IncomingBody {
    spool: Spool,
    size: u64,
    reservation: Reservation,
}

impl Uploads {
    /// Receives the body, a large one into a temporary file. The received part of an interrupted body is retained if its sender
    /// can resume the upload.
    pub(super) async fn collect(
        &self,
        key: &ResultKey,
        head: &Head,
        stream: &mut BodyDataStream,
        slot: &mut UploadSlot,
    ) -> Result<Received, UploadError> {
        let limit = self.limits.max_body_bytes;
        let from = head.part.as_ref().map_or(0, |part| part.from);
        let whole = head.length.map(|length| from.saturating_add(length));
        if whole.is_some_and(|whole| whole > limit) {
            return Err(too_large(limit));
        }
        let mut body = self.start_body(key, head, whole)?;
        if let Err(error) = self.receive_chunks(&mut body, stream, slot).await {
            match (&error, &head.part) {
                (UploadError::Broken(_) | UploadError::Preempted(_), Some(part))
                    if Partials::is_worth_retaining(body.size) =>
                {
                    self.retain_partial(key, part, body).await;
                }
                // Partial bodies of other uploads are discarded to free space.
                (UploadError::Full(_), _) => self.partials.forget_all(),
                _ => {}
            }
            return Err(error);
        }
        let IncomingBody {
            spool,
            size,
            reservation,
        } = body;
        if let Some(whole) = whole.filter(|whole| *whole != size) {
            return Err(UploadError::Broken(format!(
                "the body ended after {size} of {whole} bytes"
            )));
        }
        let content = spool.finish().await.map_err(|error| not_spooled(&error))?;
        Ok(Received { content, reservation })
    }

    /// The spool for the body: empty, or with the retained beginning.
    fn start_body(&self, key: &ResultKey, head: &Head, whole: Option<u64>) -> Result<IncomingBody, UploadError> {
        let rest = head.part.as_ref().filter(|part| part.from > 0);
        let Some(part) = rest else {
            self.partials.forget(key);
            return Ok(IncomingBody {
                spool: Spool::new(self.incoming.clone(), &self.writers, head.length),
                size: 0,
                reservation: Reservation::new(Arc::clone(&self.quota)),
            });
        };
        let follows = part.whole.is_none() || part.whole == whole;
        let partial = self.partials.take(key, part).filter(|_| follows);
        let Some(Partial {
            file,
            size,
            reservation,
        }) = partial
        else {
            let from = part.from;
            return Err(UploadError::Gap(format!(
                "the first {from} bytes of the body are not stored; send the body from the beginning"
            )));
        };
        tracing::info!(plugin_name = %key.plugin, node = %key.target, size, "resuming an interrupted upload");
        let spool =
            Spool::append_to(file, self.incoming.clone(), &self.writers).map_err(|error| not_spooled(&error))?;
        Ok(IncomingBody {
            spool,
            size,
            reservation,
        })
    }

    async fn receive_chunks(
        &self,
        body: &mut IncomingBody,
        stream: &mut BodyDataStream,
        slot: &mut UploadSlot,
    ) -> Result<(), UploadError> {
        let limit = self.limits.max_body_bytes;
        let until = Instant::now() + self.limits.max_body_time;
        while let Some(chunk) = self.next_chunk(stream, slot, until, body.size).await? {
            let length = chunk.len() as u64;
            self.metrics.received(length);
            if body.size + length > limit {
                return Err(too_large(limit));
            }
            body.reservation.grow(length)?;
            body.spool.write(&chunk).await.map_err(|error| not_spooled(&error))?;
            body.size += length;
        }
        Ok(())
    }

    async fn retain_partial(&self, key: &ResultKey, part: &UploadPart, body: IncomingBody) {
        let IncomingBody {
            spool,
            size,
            reservation,
        } = body;
        match spool.into_file().await {
            Ok(file) => self.partials.retain(
                key,
                part.name.clone(),
                Partial {
                    file,
                    size,
                    reservation,
                },
            ),
            // The sender then starts from the beginning.
            Err(error) => tracing::debug!(%error, "cannot store the received part of an upload"),
        }
    }

    /// The next chunk of a body with `size` received bytes and the deadline `until`; `None` at its end.
    async fn next_chunk(
        &self,
        stream: &mut BodyDataStream,
        slot: &mut UploadSlot,
        until: Instant,
        size: u64,
    ) -> Result<Option<bytes::Bytes>, UploadError> {
        let began = Instant::now();
        let idle = began + self.limits.idle_timeout;
        let mut checked = began;
        let chunk = loop {
            let next_check = checked + MAX_STALL;
            let chunk = tokio::time::timeout_at(idle.min(until).min(next_check), stream.next()).await;
            let (now, arrived) = (
                Instant::now(),
                chunk.as_ref().map_or(0, |chunk| arrived(chunk.as_ref())),
            );
            if !slot.may_stay(now - checked, arrived) {
                return Err(UploadError::Preempted(format!(
                    "the body stalled after {size} bytes while others were waiting"
                )));
            }
            checked = now;
            match chunk {
                Ok(chunk) => break chunk,
                Err(_) if now >= until => {
                    let seconds = self.limits.max_body_time.as_secs();
                    return Err(UploadError::Broken(format!(
                        "the body exceeded the time limit of {seconds} s; {size} bytes were received"
                    )));
                }
                Err(_) if now >= idle => {
                    let seconds = self.limits.idle_timeout.as_secs();
                    return Err(UploadError::Broken(format!(
                        "the body sent nothing for {seconds} s after {size} bytes"
                    )));
                }
                Err(_) => {}
            }
        };
        chunk
            .transpose()
            .map_err(|error| UploadError::Broken(format!("the upload was interrupted after {size} bytes: {error}")))
    }
}

fn too_large(limit: u64) -> UploadError {
    UploadError::Content(format!(
        "the body is larger than the limit of {limit} bytes (UploadLimits.MaxBodyBytes)"
    ))
}

fn arrived(chunk: Option<&Result<bytes::Bytes, axum::Error>>) -> usize {
    match chunk {
        Some(Ok(bytes)) => bytes.len(),
        Some(Err(_)) | None => 0,
    }
}

fn not_spooled(error: &io::Error) -> UploadError {
    let reason = format!("cannot store the body: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => UploadError::Full(disk_full_message(&reason)),
        _ => UploadError::Storage(reason),
    }
}
