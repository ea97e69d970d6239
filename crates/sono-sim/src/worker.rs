//! One simulated worker: what its plan says, then its result, again and again until it has an answer for good.

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
    content::{Fate, Upload},
    hostile::Hostile,
    random::Random,
    schedule::{Step, WorkerPlan},
    world,
};

/// Size of the pieces in which a body is sent.
const PIECE: usize = 16 << 10;

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) key: ResultKey,
    pub(crate) plan: WorkerPlan,
    pub(crate) fate: Fate,
    pub(crate) random: Random,
    /// Whether it may be told that there is no room, and has to try again.
    pub(crate) may_be_full: bool,
    /// Where it says at once what broke a promise: the simulation may come to a stand because of it.
    pub(crate) complaints: Complaints,
}

/// What broke a promise, of all workers.
pub(crate) type Complaints = Arc<Mutex<Vec<String>>>;

/// How it went: what was answered, and what must not have been.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Tries, in all.
    pub(crate) tries: usize,
    /// Tries that failed and were made again.
    pub(crate) failed: usize,
    /// Whether a 200 was seen for the result.
    pub(crate) acknowledged: bool,
}

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Status(u16, String),
    /// No answer: it may have been taken all the same.
    None,
}

/// One worker at work.
struct At<'a> {
    client: Client,
    url: String,
    key: &'a ResultKey,
    report: Report,
    /// An earlier try may have been taken although no answer was seen.
    unknown: bool,
    may_be_full: bool,
    complaints: Complaints,
}

impl Worker {
    /// Does all of it. Calls `answered` once its result has been settled.
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
        let mut at = At {
            client: world::client(&config)?,
            url: format!("{base}{}", routes::result_path(&self.key.plugin, &self.key.target)),
            key: &self.key,
            report: Report::default(),
            unknown: false,
            may_be_full: self.may_be_full,
            complaints: Arc::clone(&self.complaints),
        };
        let progress = format!("{base}{}", routes::progress_path(&self.key.plugin, &self.key.target));
        let good = match &self.fate {
            Fate::Good(upload) => Some(upload.clone()),
            Fate::Reported(_) | Fate::Hostile(_) => None,
        };
        for step in std::mem::take(&mut self.plan.steps) {
            match (step, &good) {
                (Step::Wait { ms }, _) => sleep(Duration::from_millis(ms)).await,
                (Step::Progress { completed }, _) => at.tell(&progress, completed).await,
                // Who has no result has nothing to cut off.
                (_, None) => {}
                (Step::Truncate { percent, with_length }, Some(upload)) => {
                    at.truncate(upload, percent, with_length).await;
                }
                (Step::Stall { percent, ms }, Some(upload)) => at.stall(upload, percent, ms).await,
                (Step::Abandon { after_ms }, Some(upload)) => at.abandon(upload, after_ms).await,
                (Step::AllAtOnce { times }, Some(upload)) => at.all_at_once(upload, times).await,
                (Step::Hostile(hostile), Some(_)) => at.hostile(hostile, &mut self.random).await?,
            }
        }
        let settled = match &self.fate {
            Fate::Good(upload) | Fate::Reported(upload) => at.until_settled(upload, &mut self.random).await,
            Fate::Hostile(hostile) => {
                at.hostile(*hostile, &mut self.random).await?;
                false
            }
        };
        answered();
        if settled && good.is_some() {
            for ms in std::mem::take(&mut self.plan.again_after_ms) {
                sleep(Duration::from_millis(ms)).await;
                at.again().await;
            }
        }
        Ok(at.report)
    }
}

impl At<'_> {
    async fn put(&mut self, upload: &Upload, body: Body, length: Option<u64>) -> Answer {
        put(&self.client, &self.url, upload, body, length).await
    }

    fn violation(&mut self, what: &str, status: u16, text: &str) {
        let complaint = format!("{}: {what}: {status} {}", self.key, text.trim());
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        complaints.push(complaint);
    }

    /// Sends it as it should until it has an answer for good. False when that is none that it may get.
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
                // 410: another error took its place, and the archive is being made.
                Answer::Status(status @ (409 | 410), text) => {
                    if !self.unknown {
                        self.violation("known before it was sent", status, &text);
                    }
                    return true;
                }
                // It may have been put in place before the aggregator was told to end.
                Answer::Status(503, _) => self.unknown = true,
                Answer::Status(500 | 507, _) if self.may_be_full => self.unknown = true,
                // A machine under load brings a body too slowly, and a worker comes again then.
                Answer::Status(500, text) if was_too_slow(&text) => self.unknown = true,
                Answer::Status(status, text) => {
                    self.violation("its result was refused", status, &text);
                    return false;
                }
                Answer::None => self.unknown = true,
            }
            self.report.failed += 1;
            sleep(Duration::from_millis(pause / 2 + random.below(pause))).await;
            pause = (pause * 2).min(400);
        }
    }

    /// Cut off: nothing of it may count.
    async fn truncate(&mut self, upload: &Upload, percent: u8, with_length: bool) {
        if upload.body.is_empty() {
            return;
        }
        let end = (upload.body.len() * usize::from(percent) / 100).min(upload.body.len() - 1);
        let pieces = pieces(upload.body.slice(..end))
            .map(Ok)
            .chain(futures::stream::once(async { Err(std::io::Error::other("cut")) }));
        let length = with_length.then_some(upload.body.len() as u64);
        self.report.tries += 1;
        match self.put(upload, Body::wrap_stream(pieces), length).await {
            Answer::Status(200, text) => self.violation("a body that was cut off was taken", 200, &text),
            Answer::Status(409, text) if !self.unknown => self.violation("known before it was sent", 409, &text),
            Answer::Status(..) | Answer::None => {}
        }
    }

    async fn stall(&mut self, upload: &Upload, percent: u8, ms: u64) {
        let at = upload.body.len() * usize::from(percent) / 100;
        let pause = futures::stream::once(async move {
            sleep(Duration::from_millis(ms)).await;
            Bytes::new()
        });
        let body = pieces(upload.body.slice(..at))
            .chain(pause)
            .chain(pieces(upload.body.slice(at..)))
            .filter(|piece| std::future::ready(!piece.is_empty()))
            .map(Ok::<_, std::io::Error>);
        self.report.tries += 1;
        let answer = self
            .put(upload, Body::wrap_stream(body), Some(upload.body.len() as u64))
            .await;
        self.take(&answer);
    }

    /// What an answer to the right body may be.
    fn take(&mut self, answer: &Answer) {
        match answer {
            Answer::Status(200, _) => {
                if self.report.acknowledged {
                    self.violation("taken twice", 200, "");
                }
                self.report.acknowledged = true;
                self.unknown = true;
            }
            Answer::Status(status @ (409 | 410), text) if !self.unknown => {
                self.violation("known before it was sent", *status, text);
            }
            Answer::Status(409 | 410, _) => {}
            Answer::Status(500 | 503, _) => self.unknown = true,
            Answer::Status(507, _) if self.may_be_full => self.unknown = true,
            Answer::Status(status, text) => self.violation("its result was refused", *status, text),
            Answer::None => self.unknown = true,
        }
    }

    /// Everything is sent, and nobody waits for the answer.
    async fn abandon(&mut self, upload: &Upload, after_ms: u64) {
        let (sent, is_sent) = oneshot::channel::<()>();
        let mut sent = Some(sent);
        let end = futures::stream::once(async move {
            drop(sent.take());
            Bytes::new()
        });
        let body = pieces(upload.body.clone())
            .chain(end)
            .filter(|piece| std::future::ready(!piece.is_empty()))
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
        self.take(&answer);
    }

    async fn all_at_once(&mut self, upload: &Upload, times: u8) {
        let length = Some(upload.body.len() as u64);
        let requests = (0..times).map(|_| put(&self.client, &self.url, upload, upload.body.clone().into(), length));
        let answers = futures::future::join_all(requests).await;
        self.report.tries += answers.len();
        let before = self.unknown || self.report.acknowledged;
        let taken = answers
            .iter()
            .filter(|answer| matches!(answer, Answer::Status(200, _)))
            .count();
        if taken > 1 || taken == 1 && self.report.acknowledged {
            self.violation("taken more than once", 200, &format!("{answers:?}"));
        }
        for answer in &answers {
            // Among themselves they may know of each other.
            self.unknown = true;
            if !matches!(answer, Answer::Status(200, _)) {
                self.take(answer);
            }
        }
        self.report.acknowledged |= taken > 0;
        self.unknown = before || taken > 0 || answers.iter().any(|answer| matches!(answer, Answer::None));
    }

    /// Refused for good, or known already.
    async fn hostile(&mut self, hostile: Hostile, random: &mut Random) -> anyhow::Result<()> {
        let upload = tokio::task::spawn_blocking(move || hostile.upload()).await??;
        let settled = self.unknown || self.report.acknowledged;
        loop {
            self.report.tries += 1;
            let length = hostile.says_length().then_some(upload.body.len() as u64);
            let body = Body::wrap_stream(pieces(upload.body.clone()).map(Ok::<_, std::io::Error>));
            match self.put(&upload, body, length).await {
                Answer::Status(400, _) => return Ok(()),
                Answer::Status(409 | 410, _) if settled => return Ok(()),
                Answer::Status(500 | 503, _) | Answer::None => {}
                Answer::Status(507, _) if self.may_be_full => {}
                Answer::Status(status, text) => {
                    self.violation(&format!("{hostile:?} was answered"), status, &text);
                    return Ok(());
                }
            }
            self.report.failed += 1;
            sleep(Duration::from_millis(20 + random.below(100))).await;
        }
    }

    /// Something else under the same name: it must not be taken, whatever has happened to the aggregator meanwhile.
    async fn again(&mut self) {
        let upload = Upload {
            body: Bytes::from_static(b"something else"),
            content_type: "",
            disposition: Some("attachment;filename=other".to_owned()),
            is_error: false,
        };
        self.report.tries += 1;
        match self.put(&upload, upload.body.clone().into(), None).await {
            Answer::Status(409 | 500 | 503, _) | Answer::None => {}
            Answer::Status(status, text) => self.violation("sent again after it was taken", status, &text),
        }
    }

    /// Progress is worth one try.
    async fn tell(&mut self, url: &str, completed: u32) {
        let body = serde_json::json!({"msg": "going on", "total": 1000, "completed": completed}).to_string();
        if let Ok(answer) = self.client.post(url).body(body).send().await {
            let status = answer.status().as_u16();
            if !matches!(status, 200 | 503) {
                self.violation("progress was refused", status, "");
            }
        }
    }
}

/// The aggregator's words for a body that it did not wait for.
fn was_too_slow(text: &str) -> bool {
    [
        "the body sent nothing for",
        "the body took longer than",
        "the body broke off after",
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

fn pieces(body: Bytes) -> impl futures::Stream<Item = Bytes> + Send + Unpin {
    let count = body.len().div_ceil(PIECE);
    futures::stream::iter((0..count).map(move |number| {
        let from = number * PIECE;
        body.slice(from..(from + PIECE).min(body.len()))
    }))
}
