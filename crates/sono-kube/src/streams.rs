//! Container logs, and commands in containers.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::AsyncBufRead;
use jiff::Timestamp;
use kube::{
    Api,
    api::{AttachParams, LogParams},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, ReadBuf},
    sync::oneshot,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Cluster, KubeError, Pod,
    error::Cause,
    stall::{STALL_TIMEOUT, StallTimeout, stall_message},
};

/// Size of the buffer between the connection and the reader of a command's output, in bytes.
const STDOUT_BUFFER: usize = 1 << 20;
/// Bytes of standard error that are reported.
const STDERR_LIMIT: u64 = 16 << 10;

/// Which part of a log to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether the stream continues until the container ends.
    pub follow: bool,
    /// Whether to read the log of the container before its last restart.
    pub previous: bool,
    /// Whether each line begins with a timestamp.
    pub timestamps: bool,
    /// Only lines of the last so many seconds.
    pub since_seconds: Option<i64>,
    /// Only lines since this time.
    pub since_time: Option<Timestamp>,
    /// Only the last so many lines.
    pub tail_lines: Option<i64>,
    /// Only about this many bytes.
    pub limit_bytes: Option<i64>,
}

impl Cluster {
    /// Streams a container's log, as the server sends it.
    pub async fn pod_logs(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: &LogOptions,
    ) -> Result<impl AsyncBufRead + Send + Unpin + use<>, KubeError> {
        let parameters = LogParams {
            container: Some(container.to_owned()),
            follow: options.follow,
            previous: options.previous,
            timestamps: options.timestamps,
            since_seconds: options.since_seconds,
            since_time: options.since_time,
            tail_lines: options.tail_lines,
            limit_bytes: options.limit_bytes,
            pretty: false,
        };
        let stream = Api::<Pod>::namespaced(self.client(), namespace)
            .log_stream(pod, &parameters)
            .await
            .map_err(|error| {
                self.failure(
                    error,
                    &format!("reading the log of container {container} of pod `{pod}`"),
                )
            })?;
        Ok(Box::pin(stream))
    }

    /// Runs a command in a container. Each read of its output, and waiting for its end, time out after one minute.
    pub async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        command: &[&str],
    ) -> Result<ExecStream, KubeError> {
        let request = format!("running {} in pod `{pod}`", command.join(" "));
        let parameters = AttachParams {
            container: Some(container.to_owned()),
            max_stdout_buf_size: Some(STDOUT_BUFFER),
            ..AttachParams::default()
        };
        let pods = Api::<Pod>::namespaced(self.client(), namespace);
        let opened = tokio::time::timeout(STALL_TIMEOUT, pods.exec(pod, command.iter().copied(), &parameters)).await;
        let mut process = match opened {
            Ok(opened) => opened.map_err(|error| self.failure(error, &request))?,
            Err(_) => {
                return Err(KubeError::NoAnswer {
                    server: self.server_url().to_owned(),
                    request,
                    limit: STALL_TIMEOUT,
                });
            }
        };
        let (stdout, stderr, status) = (process.stdout(), process.stderr(), process.take_status());
        let stderr = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut bytes = Vec::new();
            if let Some(mut stderr) = stderr {
                // A broken connection is reported on standard output; standard error up to then is still useful.
                if (&mut stderr).take(STDERR_LIMIT).read_to_end(&mut bytes).await.is_ok() {
                    drop(tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await);
                }
            }
            String::from_utf8_lossy(&bytes).trim().to_owned()
        }));
        let (break_off, broken) = oneshot::channel();
        let status = AbortOnDropHandle::new(tokio::spawn(async move {
            let status = match status {
                Some(status) => status.await,
                None => None,
            };
            if status.is_none() {
                // Fails if the output was read to its end and its reader dropped.
                break_off.send(()).ok();
            }
            let joined = process.join().await;
            match status {
                Some(status) => Ok(exit_code(&status)),
                None => Err(joined.err().map_or_else(
                    || Cause("the connection ended before the command did".to_owned()),
                    |error| Cause::of(&error),
                )),
            }
        }));
        let stdout: Box<dyn AsyncRead + Send + Unpin> = match stdout {
            Some(stdout) => Box::new(StallTimeout::new(
                Breakable {
                    pipe: stdout,
                    broken,
                    is_broken: false,
                },
                STALL_TIMEOUT,
            )),
            None => Box::new(tokio::io::empty()),
        };
        Ok(ExecStream {
            stdout,
            stderr,
            status,
            server: self.server_url().to_owned(),
            request,
        })
    }
}

/// A command's output, which ends when the connection breaks. The client's pipe would stay open, so reading would hang.
struct Breakable<R> {
    pipe: R,
    /// Sent after the last byte was written to the pipe.
    broken: oneshot::Receiver<()>,
    is_broken: bool,
}

impl<R: AsyncRead + Unpin> AsyncRead for Breakable<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let ready @ Poll::Ready(_) = Pin::new(&mut self.pipe).poll_read(context, buffer) {
            return ready;
        }
        if !self.broken.is_terminated() {
            self.is_broken = matches!(Pin::new(&mut self.broken).poll(context), Poll::Ready(Ok(())));
        }
        if !self.is_broken {
            return Poll::Pending;
        }
        // Data that arrived between the two reads.
        match Pin::new(&mut self.pipe).poll_read(context, buffer) {
            Poll::Pending => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the connection ended before the command did",
            ))),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

fn exit_code(status: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Status) -> Result<u8, String> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let code = status
        .details
        .iter()
        .flat_map(|details| details.causes.iter().flatten())
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .and_then(|cause| cause.message.as_ref()?.parse::<i32>().ok());
    match code {
        Some(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        None => Err(status.message.clone().unwrap_or_else(|| "no reason given".to_owned())),
    }
}

/// A command that was started in a container.
pub struct ExecStream {
    /// The command's standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Both tasks are joined by [`ExecStream::finish`], and aborted on drop.
    stderr: AbortOnDropHandle<String>,
    status: AbortOnDropHandle<Result<Result<u8, String>, Cause>>,
    server: String,
    request: String,
}

impl std::fmt::Debug for ExecStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ExecStream")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutcome {
    /// The exit code; 255 for larger ones.
    pub code: u8,
    /// The first 16 KiB of standard error.
    pub stderr: String,
}

impl ExecStream {
    /// Waits for the end of the command. Call it after reading [`ExecStream::stdout`] to its end: unread output is
    /// lost.
    pub async fn finish(self) -> Result<ExecOutcome, KubeError> {
        let Self {
            stdout,
            stderr,
            mut status,
            server,
            request,
        } = self;
        drop(stdout);
        let lost = |source| KubeError::Broken {
            server: server.clone(),
            request: request.clone(),
            source,
        };
        let Ok(ended) = tokio::time::timeout(STALL_TIMEOUT, &mut status).await else {
            return Err(lost(Cause(stall_message(STALL_TIMEOUT))));
        };
        let status = ended.map_err(|error| lost(Cause(error.to_string())))?;
        // After an error the pipe of standard error stays open, too: its task is aborted.
        let status = status.map_err(lost)?;
        let stderr = stderr.await.map_err(|error| lost(Cause(error.to_string())))?;
        match status {
            Ok(code) => Ok(ExecOutcome { code, stderr }),
            Err(message) => Err(KubeError::Refused {
                request,
                code: 500,
                message,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn output_ends_with_an_error_when_the_connection_broke_and_nothing_is_left() {
        // Like the client's pipe, it stays open when its writer is dropped.
        let (pipe, mut writer) = tokio::io::simplex(64);
        let (break_off, broken) = oneshot::channel();
        let mut output = Breakable {
            pipe,
            broken,
            is_broken: false,
        };
        let mut text = [0; 3];
        writer.write_all(b"abcdef").await.unwrap();
        output.read_exact(&mut text).await.unwrap();
        drop(writer);
        break_off.send(()).unwrap();
        output.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"def");
        let error = output.read_exact(&mut text).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(
            output.read(&mut text).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionAborted
        );
    }

    #[tokio::test]
    async fn output_ends_where_the_command_ends() {
        let (pipe, mut writer) = tokio::io::simplex(64);
        let (break_off, broken) = oneshot::channel();
        drop(break_off);
        let mut output = Breakable {
            pipe,
            broken,
            is_broken: false,
        };
        writer.write_all(b"abc").await.unwrap();
        writer.shutdown().await.unwrap();
        let mut text = String::new();
        assert_eq!(output.read_to_string(&mut text).await.unwrap(), 3);
        assert_eq!(text, "abc");
    }
}
