//! A simulated worker: executes its plan, then uploads its result until it gets a final response.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::{Body, Client, header};
use sono_types::{ResultKey, Target, routes};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    content::{Upload, WorkerResult},
    hostile::Hostile,
    random::Random,
    schedule::{Step, WorkerPlan},
    world,
};

/// Size of a body's chunks, in bytes.
const CHUNK_BYTES: usize = 16 << 10;

/// A simulated worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) key: ResultKey,
    pub(crate) plan: WorkerPlan,
    pub(crate) result: WorkerResult,
    pub(crate) random: Random,
    /// Whether the disk may be full, so that uploads may fail with 507 and are retried.
    pub(crate) may_be_full: bool,
    /// Shared list of violations, reported immediately: they may block the simulation.
    pub(crate) violations: Violations,
}

/// Violations found by all workers.
pub(crate) type Violations = Arc<Mutex<Vec<String>>>;

/// Statistics of a worker.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Number of uploads.
    pub(crate) tries: usize,
    /// Number of failed and retried uploads.
    pub(crate) failed: usize,
    /// Whether the result got a 200.
    pub(crate) acknowledged: bool,
}

/// Outcome of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Status(u16, String),
    /// No response: the upload may have been accepted.
    None,
}

/// State of a running worker.
struct Session<'a> {
    client: Client,
    url: String,
    key: &'a ResultKey,
    report: Report,
    /// Whether an earlier upload without a response may have been accepted.
    unknown: bool,
    may_be_full: bool,
    violations: Violations,
}

impl Worker {
    /// Runs the worker. Calls `answered` after the final response.
    pub(crate) async fn work(
        mut self,
        environment: &BTreeMap<String, String>,
        answered: impl FnOnce(),
    ) -> anyhow::Result<Report> {
        let node = match &self.key.target {
            Target::Node(node) => Some(node.to_string()),
            Target::Global => None,
        };
        let config = world::worker_config(environment, node.as_deref())?;
        let base = config.aggregator_urls.first().context("the worker has an address")?;
        let mut session = Session {
            client: world::client(&config)?,
            url: format!("{base}{}", routes::result_path(&self.key.plugin, &self.key.target)),
            key: &self.key,
            report: Report::default(),
            unknown: false,
            may_be_full: self.may_be_full,
            violations: Arc::clone(&self.violations),
        };
        let progress = format!("{base}{}", routes::progress_path(&self.key.plugin, &self.key.target));
        let good = match &self.result {
            WorkerResult::Good(upload) => Some(upload.clone()),
            WorkerResult::Reported(_) | WorkerResult::Hostile(_) => None,
        };
        for step in std::mem::take(&mut self.plan.steps) {
            match (step, &good) {
                (Step::Wait { ms }, _) => sleep(Duration::from_millis(ms)).await,
                (Step::Progress { completed }, _) => session.send_progress(&progress, completed).await,
                // These steps require a result.
                (_, None) => {}
                (Step::Truncate { percent, with_length }, Some(upload)) => {
                    session.truncate(upload, percent, with_length).await;
                }
                (Step::Stall { percent, ms }, Some(upload)) => session.stall(upload, percent, ms).await,
                (Step::Abandon { after_ms }, Some(upload)) => session.abandon(upload, after_ms).await,
                (Step::AllAtOnce { times }, Some(upload)) => session.all_at_once(upload, times).await,
                (Step::Hostile(hostile), Some(_)) => session.hostile(hostile, &mut self.random).await?,
            }
        }
        let settled = match &self.result {
            WorkerResult::Good(upload) | WorkerResult::Reported(upload) => {
                session.until_settled(upload, &mut self.random).await
            }
            WorkerResult::Hostile(hostile) => {
                session.hostile(*hostile, &mut self.random).await?;
                false
            }
        };
        answered();
        if settled && good.is_some() {
            for ms in std::mem::take(&mut self.plan.again_after_ms) {
                sleep(Duration::from_millis(ms)).await;
                session.send_different_result().await;
            }
        }
        Ok(session.report)
    }
}

impl Session<'_> {
    async fn put(&mut self, upload: &Upload, body: Body, length: Option<u64>) -> Answer {
        put(&self.client, &self.url, upload, body, length).await
    }

    fn violation(&mut self, what: &str, status: u16, text: &str) {
        let violation = format!("{}: {what}: {status} {}", self.key, text.trim());
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        violations.push(violation);
    }

    /// Uploads until a final response. Returns false if that response is a violation.
    async fn until_settled(&mut self, upload: &Upload, random: &mut Random) -> bool {
        let mut pause = 20;
        loop {
            self.report.tries += 1;
            let length = upload.body.len() as u64;
            match self.put(upload, upload.body.clone().into(), Some(length)).await {
                Answer::Status(200, _) => {
                    self.report.acknowledged = true;
                    return true;
                }
                // 410: another error was stored for the target, and the archive is being packed.
                Answer::Status(status @ (409 | 410), text) => {
                    if !self.unknown {
                        self.violation("reported as a duplicate before the first upload", status, &text);
                    }
                    return true;
                }
                // The result may have been stored before the aggregator got SIGTERM.
                Answer::Status(503, _) => self.unknown = true,
                Answer::Status(500 | 507, _) if self.may_be_full => self.unknown = true,
                // A loaded machine may send the body too slowly; workers retry then.
                Answer::Status(500, text) if was_too_slow(&text) => self.unknown = true,
                Answer::Status(status, text) => {
                    self.violation("the result was rejected", status, &text);
                    return false;
                }
                Answer::None => self.unknown = true,
            }
            self.report.failed += 1;
            sleep(Duration::from_millis(pause / 2 + random.below(pause))).await;
            pause = (pause * 2).min(400);
        }
    }

    /// Sends a truncated body, which must not be stored.
    async fn truncate(&mut self, upload: &Upload, percent: u8, with_length: bool) {
        if upload.body.is_empty() {
            return;
        }
        let end = (upload.body.len() * usize::from(percent) / 100).min(upload.body.len() - 1);
        let chunks = chunks(upload.body.slice(..end))
            .map(Ok)
            .chain(futures::stream::once(async { Err(std::io::Error::other("cut")) }));
        let length = with_length.then_some(upload.body.len() as u64);
        self.report.tries += 1;
        match self.put(upload, Body::wrap_stream(chunks), length).await {
            Answer::Status(200, text) => self.violation("a truncated body was accepted", 200, &text),
            Answer::Status(409, text) if !self.unknown => {
                self.violation("reported as a duplicate before the first upload", 409, &text);
            }
            Answer::Status(..) | Answer::None => {}
        }
    }

    async fn stall(&mut self, upload: &Upload, percent: u8, ms: u64) {
        let at = upload.body.len() * usize::from(percent) / 100;
        let pause = futures::stream::once(async move {
            sleep(Duration::from_millis(ms)).await;
            Bytes::new()
        });
        let body = chunks(upload.body.slice(..at))
            .chain(pause)
            .chain(chunks(upload.body.slice(at..)))
            .filter(|chunk| std::future::ready(!chunk.is_empty()))
            .map(Ok::<_, std::io::Error>);
        self.report.tries += 1;
        let answer = self
            .put(upload, Body::wrap_stream(body), Some(upload.body.len() as u64))
            .await;
        self.record(&answer);
    }

    /// Checks and records the response to a correct body.
    fn record(&mut self, answer: &Answer) {
        match answer {
            Answer::Status(200, _) => {
                if self.report.acknowledged {
                    self.violation("accepted twice", 200, "");
                }
                self.report.acknowledged = true;
                self.unknown = true;
            }
            Answer::Status(status @ (409 | 410), text) if !self.unknown => {
                self.violation("reported as a duplicate before the first upload", *status, text);
            }
            Answer::Status(409 | 410, _) => {}
            Answer::Status(500 | 503, _) => self.unknown = true,
            Answer::Status(507, _) if self.may_be_full => self.unknown = true,
            Answer::Status(status, text) => self.violation("the result was rejected", *status, text),
            Answer::None => self.unknown = true,
        }
    }

    /// Sends the whole body and disconnects before the response.
    async fn abandon(&mut self, upload: &Upload, after_ms: u64) {
        let (sent, is_sent) = oneshot::channel::<()>();
        let mut sent = Some(sent);
        let end = futures::stream::once(async move {
            drop(sent.take());
            Bytes::new()
        });
        let body = chunks(upload.body.clone())
            .chain(end)
            .filter(|chunk| std::future::ready(!chunk.is_empty()))
            .map(Ok::<_, std::io::Error>);
        self.report.tries += 1;
        self.unknown = true;
        let (client, url) = (self.client.clone(), self.url.clone());
        let answer = tokio::select! {
            answer = put(&client, &url, upload, Body::wrap_stream(body), None) => answer,
            () = async {
                is_sent.await.ok();
                sleep(Duration::from_millis(after_ms)).await;
            } => Answer::None,
        };
        self.record(&answer);
    }

    async fn all_at_once(&mut self, upload: &Upload, times: u8) {
        let length = Some(upload.body.len() as u64);
        let requests = (0..times).map(|_| put(&self.client, &self.url, upload, upload.body.clone().into(), length));
        let answers = futures::future::join_all(requests).await;
        self.report.tries += answers.len();
        let before = self.unknown || self.report.acknowledged;
        let accepted = answers
            .iter()
            .filter(|answer| matches!(answer, Answer::Status(200, _)))
            .count();
        if accepted > 1 || accepted == 1 && self.report.acknowledged {
            self.violation("accepted more than once", 200, &format!("{answers:?}"));
        }
        for answer in &answers {
            // Parallel uploads may be duplicates of each other.
            self.unknown = true;
            if !matches!(answer, Answer::Status(200, _)) {
                self.record(answer);
            }
        }
        self.report.acknowledged |= accepted > 0;
        // After other responses than these the result may have been stored.
        let certain = |answer: &Answer| matches!(answer, Answer::Status(200 | 409 | 410, _));
        self.unknown = before || accepted > 0 || !answers.iter().all(certain);
    }

    /// Sends a hostile body until it is rejected for good, or as a duplicate.
    async fn hostile(&mut self, hostile: Hostile, random: &mut Random) -> anyhow::Result<()> {
        let upload = tokio::task::spawn_blocking(move || hostile.upload()).await??;
        let settled = self.unknown || self.report.acknowledged;
        loop {
            self.report.tries += 1;
            let length = hostile.sends_length().then_some(upload.body.len() as u64);
            let body = Body::wrap_stream(chunks(upload.body.clone()).map(Ok::<_, std::io::Error>));
            match self.put(&upload, body, length).await {
                Answer::Status(400, _) => return Ok(()),
                Answer::Status(409 | 410, _) if settled => return Ok(()),
                Answer::Status(500 | 503, _) | Answer::None => {}
                Answer::Status(507, _) if self.may_be_full => {}
                Answer::Status(status, text) => {
                    self.violation(&format!("wrong response to {hostile:?}"), status, &text);
                    return Ok(());
                }
            }
            self.report.failed += 1;
            sleep(Duration::from_millis(20 + random.below(100))).await;
        }
    }

    /// Uploads a different result for the same target, which must never be accepted.
    async fn send_different_result(&mut self) {
        let upload = Upload {
            body: Bytes::from_static(b"something else"),
            content_type: "",
            disposition: Some("attachment;filename=other".to_owned()),
            is_error: false,
        };
        self.report.tries += 1;
        match self.put(&upload, upload.body.clone().into(), None).await {
            Answer::Status(409 | 500 | 503, _) | Answer::None => {}
            Answer::Status(status, text) => self.violation("a second result was not rejected", status, &text),
        }
    }

    /// Sends a progress update, without retries.
    async fn send_progress(&mut self, url: &str, completed: u32) {
        let body = serde_json::json!({"msg": "in progress", "total": 1000, "completed": completed}).to_string();
        if let Ok(answer) = self.client.post(url).body(body).send().await {
            let status = answer.status().as_u16();
            if !matches!(status, 200 | 503) {
                self.violation("a progress update was rejected", status, "");
            }
        }
    }
}

/// Whether the error message is about a slow or broken body.
fn was_too_slow(text: &str) -> bool {
    [
        "the body sent nothing for",
        "the body exceeded the time limit of",
        "the body ended after",
        "the upload was interrupted after",
    ]
    .iter()
    .any(|words| text.contains(words))
}

async fn put(client: &Client, url: &str, upload: &Upload, body: Body, length: Option<u64>) -> Answer {
    let mut request = client
        .put(url)
        .header(header::CONTENT_TYPE, upload.content_type)
        .body(body);
    if let Some(disposition) = &upload.disposition {
        request = request.header(header::CONTENT_DISPOSITION, disposition);
    }
    if let Some(length) = length {
        request = request.header(header::CONTENT_LENGTH, length);
    }
    if upload.is_error {
        request = request.header(routes::ERROR_HEADER, "1");
    }
    match request.send().await {
        Err(_) => Answer::None,
        Ok(answer) => {
            let status = answer.status().as_u16();
            let text = timeout(Duration::from_secs(10), answer.text()).await;
            Answer::Status(status, text.ok().and_then(Result::ok).unwrap_or_default())
        }
    }
}

fn chunks(body: Bytes) -> impl futures::Stream<Item = Bytes> + Send + Unpin {
    let count = body.len().div_ceil(CHUNK_BYTES);
    futures::stream::iter((0..count).map(move |number| {
        let from = number * CHUNK_BYTES;
        body.slice(from..(from + CHUNK_BYTES).min(body.len()))
    }))
}
