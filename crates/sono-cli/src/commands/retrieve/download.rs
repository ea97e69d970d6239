//! Resumable download: offsets, retries and their limits. The caller supplies the source of the bytes.

use std::{io::Write as _, time::Duration};

use bytes::Bytes;

/// Maximum number of consecutive attempts without data.
const MAX_TRIES: u32 = 8;
/// Delay before the second attempt. It doubles for each further attempt, up to [`MAX_BACKOFF`].
const INITIAL_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(4);
/// Time without data after which a connection is closed.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Stream of bytes.
pub(super) trait ByteSource {
    /// The next chunk; `None` at the end of the stream, which may be premature.
    async fn next(&mut self) -> Result<Option<Bytes>, String>;
}

/// Error while opening a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenError {
    /// A retry may succeed.
    Transient(String),
    /// The aggregator cannot send parts of an archive.
    Unsupported(String),
    /// The account may not use any transport, with the reason for each.
    Refused(Vec<String>),
}

/// Error of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DownloadError {
    /// Attempts are exhausted; `have` bytes were stored.
    Incomplete { have: u64, cause: String },
    /// The aggregator cannot send parts of an archive.
    Unsupported(String),
    /// The file cannot be written.
    Disk(String),
    /// The account may not use any transport, with the reason for each.
    Refused(Vec<String>),
}

/// Appends to `file`, which has `have` bytes, until it has `size` bytes. `open` opens a stream at an offset; `seen` receives
/// the number of stored bytes.
pub(super) async fn fill<F: ByteSource>(
    file: &mut fs_err::File,
    have: u64,
    size: u64,
    mut open: impl AsyncFnMut(u64) -> Result<F, OpenError>,
    mut seen: impl FnMut(u64),
) -> Result<(), DownloadError> {
    let (mut have, mut tries, mut pause) = (have, 0, INITIAL_BACKOFF);
    while have < size {
        let before = have;
        let cause = match open(have).await {
            Err(OpenError::Unsupported(cause)) => return Err(DownloadError::Unsupported(cause)),
            Err(OpenError::Refused(causes)) => return Err(DownloadError::Refused(causes)),
            Err(OpenError::Transient(cause)) => cause,
            Ok(mut flow) => loop {
                let chunk = match tokio::time::timeout(STALL_TIMEOUT, flow.next()).await {
                    Ok(Ok(Some(chunk))) => chunk,
                    Ok(Ok(None)) => break "the connection ended".to_owned(),
                    Ok(Err(cause)) => break cause,
                    Err(_) => break format!("no data for {} s", STALL_TIMEOUT.as_secs()),
                };
                let length = usize::try_from(size - have).unwrap_or(usize::MAX).min(chunk.len());
                file.write_all(&chunk[..length])
                    .map_err(|error| DownloadError::Disk(error.to_string()))?;
                have += length as u64;
                seen(have);
                if have == size {
                    return Ok(());
                }
            },
        };
        if have > before {
            (tries, pause) = (0, INITIAL_BACKOFF);
        }
        tries += 1;
        tracing::debug!(have, size, tries, cause, "the transfer was interrupted");
        if tries == MAX_TRIES {
            return Err(DownloadError::Incomplete { have, cause });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_BACKOFF);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Outcome of an attempt: bytes in chunks and an end, or an error.
    #[derive(Debug, Clone, Copy)]
    enum Attempt {
        Bytes { length: usize, chunk: usize, error: bool },
        Stalls,
        Closed,
        Never,
        Refused,
    }

    struct Script {
        rest: VecDeque<Result<Option<Bytes>, String>>,
        stalls: bool,
    }

    impl ByteSource for Script {
        async fn next(&mut self) -> Result<Option<Bytes>, String> {
            match self.rest.pop_front() {
                Some(next) => next,
                None if self.stalls => std::future::pending().await,
                None => Ok(None),
            }
        }
    }

    fn content() -> Vec<u8> {
        (0..1000u32).map(|number| (number % 251) as u8).collect()
    }

    /// Content of the file after the attempts, their result, and the offsets at which they started.
    async fn run(already: usize, attempts: &[Attempt]) -> (Vec<u8>, Result<(), DownloadError>, Vec<u64>) {
        let whole = content();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("part");
        fs_err::write(&path, &whole[..already]).unwrap();
        let mut file = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
        let (mut attempts, mut asked) = (attempts.iter().copied(), Vec::new());
        let open = async |offset: u64| {
            asked.push(offset);
            let rest = &whole[usize::try_from(offset).unwrap()..];
            match attempts.next().unwrap_or(Attempt::Closed) {
                Attempt::Bytes { length, chunk, error } => {
                    // A broken server may send more bytes than the archive has.
                    let sent: Vec<u8> = rest.iter().copied().chain([0; 10]).take(length).collect();
                    let mut script: VecDeque<_> = sent
                        .chunks(chunk)
                        .map(|chunk| Ok(Some(Bytes::copy_from_slice(chunk))))
                        .collect();
                    if error {
                        script.push_back(Err("reset".to_owned()));
                    }
                    Ok(Script {
                        rest: script,
                        stalls: false,
                    })
                }
                Attempt::Stalls => Ok(Script {
                    rest: VecDeque::new(),
                    stalls: true,
                }),
                Attempt::Closed => Err(OpenError::Transient("refused".to_owned())),
                Attempt::Never => Err(OpenError::Unsupported("too old".to_owned())),
                Attempt::Refused => Err(OpenError::Refused(vec!["forbidden".to_owned()])),
            }
        };
        let result = fill(&mut file, already as u64, 1000, open, |_| {}).await;
        (fs_err::read(&path).unwrap(), result, asked)
    }

    const fn bytes(length: usize, error: bool) -> Attempt {
        Attempt::Bytes {
            length,
            chunk: 7,
            error,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn interrupted_download_resumes_at_its_offset() {
        let attempts = [
            bytes(300, true),
            Attempt::Closed,
            Attempt::Stalls,
            bytes(1, false),
            bytes(5000, false),
        ];
        let (file, result, asked) = run(100, &attempts).await;
        assert_eq!(result, Ok(()));
        assert_eq!(file, content());
        assert_eq!(asked, [100, 400, 400, 400, 401]);
    }

    #[tokio::test(start_paused = true)]
    async fn download_with_progress_is_retried_without_limit() {
        let attempts: Vec<Attempt> = std::iter::repeat_n(bytes(10, true), 100).collect();
        let (file, result, asked) = run(0, &attempts).await;
        assert_eq!((result, file), (Ok(()), content()));
        assert_eq!(asked, (0..100).map(|attempt| attempt * 10).collect::<Vec<u64>>());
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_without_data_are_limited_and_data_is_retained() {
        let (file, result, asked) = run(0, &[bytes(10, true)]).await;
        assert_eq!(
            result,
            Err(DownloadError::Incomplete {
                have: 10,
                cause: "refused".to_owned()
            })
        );
        assert_eq!(file, content()[..10]);
        assert_eq!(asked.len(), 8);
        let (_, result, asked) = run(5, &[Attempt::Never]).await;
        assert_eq!(
            (result, asked),
            (Err(DownloadError::Unsupported("too old".to_owned())), vec![5])
        );
    }

    /// A missing permission is permanent.
    #[tokio::test(start_paused = true)]
    async fn refusal_is_not_retried() {
        let (file, result, asked) = run(0, &[bytes(10, true), Attempt::Refused]).await;
        assert_eq!(result, Err(DownloadError::Refused(vec!["forbidden".to_owned()])));
        assert_eq!((file.len(), asked), (10, vec![0, 10]));
    }

    #[tokio::test(start_paused = true)]
    async fn complete_file_opens_no_stream() {
        assert_eq!(run(1000, &[]).await, (content(), Ok(()), Vec::new()));
    }
}
