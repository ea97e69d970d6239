//! A download that goes on where it was cut off: which byte next, how often, and when to give up. Where the bytes come
//! from is said by whoever calls.

use std::{io::Write as _, time::Duration};

use bytes::Bytes;

/// Attempts in a row that bring nothing.
const TRIES: u32 = 8;
/// Before the second of them; each further one waits twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// A connection that brings nothing for so long counts as cut.
const STALLED: Duration = Duration::from_mins(1);

/// Bytes on their way.
pub(super) trait Flow {
    /// The next piece; `None` at the end, which may come too early.
    async fn next(&mut self) -> Result<Option<Bytes>, String>;
}

/// Why no bytes come, before the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closed {
    /// It may go better next time.
    Now(String),
    /// Nobody there can send a part of an archive.
    ForEver(String),
    /// The account may use no way to the bytes: what was refused on each.
    Refused(Vec<String>),
}

/// Why a download is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cut {
    /// Given up, with that many bytes there.
    At { have: u64, cause: String },
    /// Nobody there can send a part of an archive.
    Impossible(String),
    /// The disk does not take it.
    Disk(String),
    /// The account may use no way to the bytes: what was refused on each.
    Refused(Vec<String>),
}

/// Appends to `file`, which has `have` bytes, until it has `size`. `open` starts at a byte; `seen` is told how many
/// there are.
pub(super) async fn fill<F: Flow>(
    file: &mut fs_err::File,
    have: u64,
    size: u64,
    mut open: impl AsyncFnMut(u64) -> Result<F, Closed>,
    mut seen: impl FnMut(u64),
) -> Result<(), Cut> {
    let (mut have, mut tries, mut pause) = (have, 0, FIRST_PAUSE);
    while have < size {
        let before = have;
        let cause = match open(have).await {
            Err(Closed::ForEver(cause)) => return Err(Cut::Impossible(cause)),
            Err(Closed::Refused(causes)) => return Err(Cut::Refused(causes)),
            Err(Closed::Now(cause)) => cause,
            Ok(mut flow) => loop {
                let piece = match tokio::time::timeout(STALLED, flow.next()).await {
                    Ok(Ok(Some(piece))) => piece,
                    Ok(Ok(None)) => break "the connection ended".to_owned(),
                    Ok(Err(cause)) => break cause,
                    Err(_) => break format!("nothing came for {} s", STALLED.as_secs()),
                };
                let wanted = usize::try_from(size - have).unwrap_or(usize::MAX).min(piece.len());
                file.write_all(&piece[..wanted])
                    .map_err(|error| Cut::Disk(error.to_string()))?;
                have += wanted as u64;
                seen(have);
                if have == size {
                    return Ok(());
                }
            },
        };
        if have > before {
            (tries, pause) = (0, FIRST_PAUSE);
        }
        tries += 1;
        tracing::debug!(have, size, tries, cause, "the transfer was cut");
        if tries == TRIES {
            return Err(Cut::At { have, cause });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// What one attempt brings: so many bytes in pieces of that size, then an end of that kind.
    #[derive(Debug, Clone, Copy)]
    enum Attempt {
        Bytes { length: usize, piece: usize, error: bool },
        Stalls,
        Closed,
        Never,
        Refused,
    }

    struct Script {
        rest: VecDeque<Result<Option<Bytes>, String>>,
        stalls: bool,
    }

    impl Flow for Script {
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

    /// The file after the attempts, what came of them, and the bytes they were asked to start at.
    async fn run(already: usize, attempts: &[Attempt]) -> (Vec<u8>, Result<(), Cut>, Vec<u64>) {
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
                Attempt::Bytes { length, piece, error } => {
                    // More than the archive has is what a broken server would send.
                    let sent: Vec<u8> = rest.iter().copied().chain([0; 10]).take(length).collect();
                    let mut script: VecDeque<_> = sent
                        .chunks(piece)
                        .map(|piece| Ok(Some(Bytes::copy_from_slice(piece))))
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
                Attempt::Closed => Err(Closed::Now("refused".to_owned())),
                Attempt::Never => Err(Closed::ForEver("too old".to_owned())),
                Attempt::Refused => Err(Closed::Refused(vec!["forbidden".to_owned()])),
            }
        };
        let result = fill(&mut file, already as u64, 1000, open, |_| {}).await;
        (fs_err::read(&path).unwrap(), result, asked)
    }

    const fn bytes(length: usize, error: bool) -> Attempt {
        Attempt::Bytes {
            length,
            piece: 7,
            error,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_at_the_byte_where_it_stopped() {
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
    async fn every_cut_is_mended_as_long_as_something_comes() {
        let attempts: Vec<Attempt> = std::iter::repeat_n(bytes(10, true), 100).collect();
        let (file, result, asked) = run(0, &attempts).await;
        assert_eq!((result, file), (Ok(()), content()));
        assert_eq!(asked, (0..100).map(|attempt| attempt * 10).collect::<Vec<u64>>());
    }

    #[tokio::test(start_paused = true)]
    async fn tries_without_a_byte_are_bounded_and_what_came_stays() {
        let (file, result, asked) = run(0, &[bytes(10, true)]).await;
        assert_eq!(
            result,
            Err(Cut::At {
                have: 10,
                cause: "refused".to_owned()
            })
        );
        assert_eq!(file, content()[..10]);
        assert_eq!(asked.len(), 8);
        let (_, result, asked) = run(5, &[Attempt::Never]).await;
        assert_eq!((result, asked), (Err(Cut::Impossible("too old".to_owned())), vec![5]));
    }

    /// Issue 16 (operator A8): what is forbidden now is forbidden in four seconds.
    #[tokio::test(start_paused = true)]
    async fn refusal_is_not_tried_again() {
        let (file, result, asked) = run(0, &[bytes(10, true), Attempt::Refused]).await;
        assert_eq!(result, Err(Cut::Refused(vec!["forbidden".to_owned()])));
        assert_eq!((file.len(), asked), (10, vec![0, 10]));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_asked_for_when_all_is_there() {
        assert_eq!(run(1000, &[]).await, (content(), Ok(()), Vec::new()));
    }
}
