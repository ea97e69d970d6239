//! The body of an upload, taken in: its bounds in size and time.

use std::{io, sync::Arc};

use axum::body::BodyDataStream;
use futures::StreamExt as _;
use tokio::time::Instant;

use super::{Head, Receive, Received, Uploads, no_room};
use crate::{
    room::{PATIENCE_WHILE_OTHERS_WAIT, Reserved, Seat},
    spool::Spool,
};

impl Uploads {
    /// Takes the body in, a large one into a temporary file.
    pub(super) async fn collect(
        &self,
        head: &Head,
        stream: &mut BodyDataStream,
        seat: &mut Seat,
    ) -> Result<Received, Receive> {
        let limit = self.limits.max_body_bytes;
        let too_large = || Receive::Content(format!("the body is larger than the limit of {limit} bytes"));
        if head.length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut spool = Spool::new(self.incoming.clone(), &self.writers, head.length);
        let mut reserved = Reserved::new(Arc::clone(&self.room));
        let until = Instant::now() + self.limits.max_body_time;
        let mut size = 0_u64;
        while let Some(chunk) = self.next_chunk(stream, seat, until, size).await? {
            size += chunk.len() as u64;
            self.metrics.received(chunk.len() as u64);
            if size > limit {
                return Err(too_large());
            }
            reserved.grow(chunk.len() as u64).map_err(Receive::Full)?;
            spool.write(&chunk).await.map_err(|error| not_spooled(&error))?;
        }
        if let Some(length) = head.length.filter(|length| *length != size) {
            return Err(Receive::Broken(format!(
                "the body broke off after {size} of {length} bytes"
            )));
        }
        let content = spool.finish().await.map_err(|error| not_spooled(&error))?;
        Ok(Received { content, reserved })
    }

    /// The next piece of a body of which `size` bytes have come and which may take until `until`; none at its end.
    async fn next_chunk(
        &self,
        stream: &mut BodyDataStream,
        seat: &mut Seat,
        until: Instant,
        size: u64,
    ) -> Result<Option<bytes::Bytes>, Receive> {
        let began = Instant::now();
        let idle = began + self.limits.idle_timeout;
        let mut looked = began;
        let chunk = loop {
            let look = looked + PATIENCE_WHILE_OTHERS_WAIT;
            let chunk = tokio::time::timeout_at(idle.min(until).min(look), stream.next()).await;
            let (now, brought) = (
                Instant::now(),
                chunk.as_ref().map_or(0, |chunk| brought(chunk.as_ref())),
            );
            if !seat.may_stay(now - looked, brought) {
                return Err(Receive::GaveWay(format!(
                    "the body brought next to nothing for a while after {size} bytes, and others were waiting"
                )));
            }
            looked = now;
            match chunk {
                Ok(chunk) => break chunk,
                Err(_) if now >= until => {
                    let seconds = self.limits.max_body_time.as_secs();
                    return Err(Receive::Broken(format!(
                        "the body took longer than the limit of {seconds} s, {size} bytes of it arrived"
                    )));
                }
                Err(_) if now >= idle => {
                    let seconds = self.limits.idle_timeout.as_secs();
                    return Err(Receive::Broken(format!(
                        "the body sent nothing for {seconds} s after {size} bytes"
                    )));
                }
                Err(_) => {}
            }
        };
        chunk
            .transpose()
            .map_err(|error| Receive::Broken(format!("the body broke off after {size} bytes: {error}")))
    }
}

fn brought(chunk: Option<&Result<bytes::Bytes, axum::Error>>) -> usize {
    match chunk {
        Some(Ok(bytes)) => bytes.len(),
        Some(Err(_)) | None => 0,
    }
}

fn not_spooled(error: &io::Error) -> Receive {
    let reason = format!("storing the body: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Receive::Full(no_room(&reason)),
        _ => Receive::Storage(reason),
    }
}
