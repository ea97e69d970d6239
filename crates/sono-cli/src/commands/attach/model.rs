//! Sequences of commands against a model of a namespace, in simulated time. Each command must end with the verdict of its
//! own run, regardless of remains of earlier runs.

mod sequences;

use jiff::Timestamp;
use serde_json::{Value, json};
use sono_kube::{Pod, WatchEvent};

use super::followed::{End, FollowedRun};
use crate::identity::{self, AggregatorWorkload, Identity, Previous};

/// Milliseconds.
type Time = u64;

/// Delay between the creation of a Deployment, or the deletion of its pod, and a new pod.
const POD_DELAY: Time = 150;
/// Delays between the creation of a pod and the run's first status, and its end.
const STATUS_DELAY: Time = 700;
const RUN_DURATION: Time = 2_000;
/// Delay between the creation of a pod and its deletion.
const KILL_DELAY: Time = 1_100;
/// Maximum duration of a command.
const COMMAND_LIMIT: Time = 300_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// `run --wait`.
    Run { fails: bool },
    /// `run --rm`.
    RunRm { fails: bool },
    /// `run --wait`, while the aggregator's pod is deleted.
    RunKilled { fails: bool },
    /// The run's objects, as `kubectl apply` creates them; then `wait`.
    Apply { fails: bool },
    /// `delete`, without `--wait`.
    Delete,
}

const COMMANDS: [Command; 8] = [
    Command::Run { fails: false },
    Command::Run { fails: true },
    Command::RunRm { fails: false },
    Command::RunRm { fails: true },
    Command::RunKilled { fails: true },
    Command::Apply { fails: false },
    Command::Apply { fails: true },
    Command::Delete,
];

#[derive(Debug, Clone, Copy)]
struct World {
    /// Whether the aggregator is a Deployment.
    deployment: bool,
    /// Whether the run creates its namespace.
    own_namespace: bool,
    /// Whether pods have the run's id. Pods of older versions do not.
    annotated: bool,
    /// Whether the account may read Deployments.
    watches_workload: bool,
    /// Grace period of deleted pods.
    grace: Time,
    /// Whether all runs have one manifest and therefore one id.
    one_id: bool,
    /// Whether commands accept any pod with the aggregator's label, as before runs had an identity.
    by_label: bool,
}

#[derive(Debug)]
struct SimPod {
    run: usize,
    number: usize,
    created: Time,
    /// Start of the run. A replacement pod continues it.
    begun: Time,
    gone_at: Option<Time>,
}

#[derive(Debug)]
struct Model {
    world: World,
    now: Time,
    /// Whether each run so far fails.
    runs: Vec<bool>,
    configuration: Option<usize>,
    /// Run and creation time.
    deployment: Option<(usize, Time)>,
    pods: Vec<SimPod>,
    /// Creation time of the Deployment's next pod.
    due: Option<Time>,
    terminating: bool,
    made: usize,
    kill_at: Option<Time>,
}

impl Model {
    fn new(world: World) -> Self {
        Self {
            world,
            // Several commands may run within one second.
            now: 10,
            runs: Vec::new(),
            configuration: None,
            deployment: None,
            pods: Vec::new(),
            due: None,
            terminating: false,
            made: 0,
            kill_at: None,
        }
    }

    fn id(&self, run: usize) -> String {
        let run = if self.world.one_id { 0 } else { run };
        format!("00000000-0000-4000-8000-{run:012}")
    }

    fn time(at: Time) -> String {
        // Times of the API server have a resolution of one second.
        let second = i64::try_from(at / 1000).unwrap();
        Timestamp::from_second(1_790_000_000 + second).unwrap().to_string()
    }

    fn instant(&self) -> Timestamp {
        let now = i64::try_from(self.now).unwrap();
        Timestamp::from_millisecond(1_790_000_000_000 + now).unwrap()
    }

    fn annotations(&self, run: usize) -> Value {
        if self.world.annotated {
            json!({"sono-run-id": self.id(run)})
        } else {
            json!({})
        }
    }

    fn deployment_object(&self) -> Option<Value> {
        let (run, created) = self.deployment?;
        Some(
            json!({"kind": "Deployment", "metadata": {"name": "sonobuoy", "uid": format!("deployment-{run}"),
            "creationTimestamp": Self::time(created)},
            "spec": {"template": {"metadata": {"labels": {"sonobuoy-component": "aggregator"},
                "annotations": self.annotations(run)}}}}),
        )
    }

    fn pod_object(&self, pod: &SimPod) -> Value {
        let mut annotations = self.annotations(pod.run);
        if let Some(status) = self.status(pod) {
            annotations["sonobuoy.hept.io/status"] = json!(status.to_string());
        }
        let name = if self.world.deployment {
            format!("sonobuoy-{}", pod.number)
        } else {
            "sonobuoy".to_owned()
        };
        let mut object = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "uid": format!("pod-{}", pod.number), "creationTimestamp": Self::time(pod.created),
                "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}, "annotations": annotations},
            "spec": {"containers": []},
            "status": {"phase": if self.now < pod.created + STATUS_DELAY / 2 { "Pending" } else { "Running" }}});
        if self.world.deployment {
            object["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": "sonobuoy-1", "uid": format!("set-{}", pod.run), "controller": true}]);
        }
        if pod.gone_at.is_some() {
            object["metadata"]["deletionTimestamp"] = json!(Self::time(self.now));
        }
        object
    }

    fn status(&self, pod: &SimPod) -> Option<Value> {
        let first = pod.created + STATUS_DELAY;
        let end = first.max(pod.begun + RUN_DURATION);
        let verdict = if self.runs[pod.run] { "failed" } else { "passed" };
        (self.now >= first).then(|| {
            if self.now >= end {
                let name = format!("202601010000_sonobuoy_{}.tar.gz", self.id(pod.run));
                json!({"status": "complete",
                    "plugins": [{"plugin": "p", "node": "global", "status": "complete", "result-status": verdict}],
                    "tar-info": {"name": name, "created": "2026-01-01T00:00:00Z", "sha256": "ab", "size": 1}})
            } else {
                json!({"status": "running", "plugins": [{"plugin": "p", "node": "global", "status": "running"}]})
            }
        })
    }

    fn pods(&self) -> Vec<Pod> {
        let objects = self.pods.iter().map(|pod| self.pod_object(pod));
        objects.map(|pod| serde_json::from_value(pod).unwrap()).collect()
    }

    fn workload(&self) -> AggregatorWorkload {
        if self.world.watches_workload {
            AggregatorWorkload::of(self.deployment_object().into_iter().collect())
        } else {
            AggregatorWorkload::Forbidden
        }
    }

    /// Advances to the next change.
    fn advance(&mut self) {
        let pods = self.pods.iter();
        let changes = pods
            .flat_map(|pod| {
                let end = (pod.created + STATUS_DELAY).max(pod.begun + RUN_DURATION);
                [Some(pod.created + STATUS_DELAY), Some(end), pod.gone_at]
            })
            .flatten()
            .chain(self.due)
            .chain(self.kill_at);
        let next = changes.filter(|change| *change > self.now).min();
        // A waiting command polls at least once a second.
        self.now = next.unwrap_or(Time::MAX).min(self.now + 1_000);
        let now = self.now;
        self.pods.retain(|pod| pod.gone_at.is_none_or(|gone| gone > now));
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.delete_pods();
            self.due = self.deployment.map(|_| now + POD_DELAY);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            if let Some((run, _)) = self.deployment {
                self.make_pod(run);
            }
        }
        if self.terminating && self.pods.is_empty() {
            self.terminating = false;
        }
        self.check_newest();
    }

    /// Checks that `status` always finds the newest run.
    fn check_newest(&self) {
        let pods = self.pods();
        let workload = self.workload();
        let Some(newest) = self.configuration else { return };
        let found = identity::newest(&pods, &workload).and_then(|run| run.aggregator(&pods).cloned());
        let Some(found) = found else { return };
        let hidden = matches!(workload, AggregatorWorkload::Forbidden) && identity::is_terminating(&found);
        // The name of a single pod is fixed: the next run cannot start before its deletion.
        if hidden || !self.world.deployment && identity::is_terminating(&found) {
            return;
        }
        assert_eq!(self.run_of(&found), newest, "status shows another run: {self:?}");
    }

    fn run_of(&self, found: &Pod) -> usize {
        let uid = found.metadata.uid.clone().unwrap();
        let pod = self.pods.iter().find(|pod| format!("pod-{}", pod.number) == uid);
        pod.unwrap().run
    }

    fn make_pod(&mut self, run: usize) {
        let begun = self.pods.iter().find(|pod| pod.run == run).map(|pod| pod.begun);
        self.made += 1;
        self.pods.push(SimPod {
            run,
            number: self.made,
            created: self.now,
            begun: begun.unwrap_or(self.now),
            gone_at: None,
        });
    }

    fn delete_pods(&mut self) {
        let gone = self.now + self.world.grace;
        for pod in &mut self.pods {
            pod.gone_at.get_or_insert(gone);
        }
        let now = self.now;
        self.pods.retain(|pod| pod.gone_at.is_none_or(|gone| gone > now));
    }

    fn delete(&mut self) {
        (self.configuration, self.deployment, self.due) = (None, None, None);
        self.delete_pods();
        self.terminating = self.world.own_namespace && !self.pods.is_empty();
    }

    /// Creates the objects of a run, as returned by the API server; `None` if it refuses one.
    fn create(&mut self, fails: bool) -> Option<Vec<Value>> {
        if self.configuration.is_some() || self.terminating || !self.world.deployment && !self.pods.is_empty() {
            return None;
        }
        let run = self.runs.len();
        self.runs.push(fails);
        self.configuration = Some(run);
        if self.world.deployment {
            self.deployment = Some((run, self.now));
            self.due = Some(self.now + POD_DELAY);
            return self.deployment_object().map(|object| vec![object]);
        }
        self.make_pod(run);
        let mut pod = self.pod_object(self.pods.last()?);
        pod["metadata"]["annotations"] = self.annotations(run);
        Some(vec![pod])
    }

    /// Follows a run to its end.
    fn follow(&mut self, identity: Identity, starts_run: bool) -> End {
        let mut run = FollowedRun::new(identity);
        let limit = self.now + COMMAND_LIMIT;
        loop {
            run.apply(WatchEvent::Restarted(self.pods()));
            if self.world.watches_workload {
                let workloads = self.deployment_object().into_iter().collect();
                run.apply_workload(Some(Ok(WatchEvent::Restarted(workloads))));
            } else {
                run.apply_workload(None);
            }
            if let Some(end) = run.end(starts_run, self.instant()) {
                return end;
            }
            assert!(self.now < limit, "no end: {run:?} of {self:?}");
            self.advance();
        }
    }

    /// Checks of `run` before it creates anything. `false` if it refuses.
    fn may_create(&mut self) -> bool {
        if self.configuration.is_some() {
            return false;
        }
        let limit = self.now + COMMAND_LIMIT;
        while self.terminating {
            self.advance();
            assert!(
                self.now < limit,
                "the previous run's namespace is not deleted: {self:?}"
            );
        }
        loop {
            match identity::previous(&self.pods(), &self.workload()) {
                _ if self.world.by_label => return true,
                Previous::None => return true,
                Previous::Stays => return false,
                Previous::Leaves(_) => self.advance(),
            }
            assert!(self.now < limit, "the previous run's pods stay: {self:?}");
        }
    }

    /// Runs a command. Returns its own run and the end of the run.
    #[expect(
        clippy::unwrap_in_result,
        reason = "None is a command without a run; a broken model must panic"
    )]
    fn command(&mut self, command: Command) -> Option<(usize, End)> {
        let (fails, removes, kill) = match command {
            Command::Delete => {
                self.delete();
                return None;
            }
            Command::Apply { fails } => {
                self.create(fails)?;
                return self.wait();
            }
            Command::Run { fails } => (fails, false, false),
            Command::RunRm { fails } => (fails, true, false),
            Command::RunKilled { fails } => (fails, false, true),
        };
        if !self.may_create() {
            return None;
        }
        let run = self.runs.len();
        let id = self.id(run);
        let created = self.create(fails).expect("nothing of the previous run is left");
        self.kill_at = kill.then(|| self.now + KILL_DELAY);
        // A manifest of an older version may have no UUID.
        let id = Some(id.as_str()).filter(|_| self.world.annotated);
        let identity = if self.world.by_label {
            identity::newest(&self.pods(), &AggregatorWorkload::None)?
        } else {
            Identity::of_created(&created, id).expect("the aggregator was created")
        };
        let end = self.follow(identity.clone(), true);
        if removes && matches!(end, End::Complete(_)) {
            let pods = self.pods();
            let pod = identity.aggregator(&pods).expect("the archive is in its pod");
            assert_eq!(self.run_of(pod), run, "another run's archive: {self:?}");
            self.delete();
            while !self.pods.is_empty() {
                self.advance();
            }
            self.terminating = false;
        }
        Some((run, end))
    }

    /// `wait`, without an identity.
    fn wait(&mut self) -> Option<(usize, End)> {
        let run = self.runs.len() - 1;
        let limit = self.now + COMMAND_LIMIT;
        loop {
            assert!(self.now < limit, "{self:?}");
            let pods = self.pods();
            let workload = self.workload();
            // Without permission for Deployments, a run is found only when its pod exists.
            let mut identity = identity::newest(&pods, &workload)?;
            let pod = identity.aggregator(&pods);
            let is_replaced = pod.is_some_and(crate::aggregator::is_replaced);
            let ambiguous = is_replaced && pod.is_some_and(identity::is_terminating);
            if matches!(workload, AggregatorWorkload::Forbidden) && ambiguous {
                self.advance();
                continue;
            }
            if let Some(pod) = pod {
                identity.learn(pod);
            }
            let end = self.follow(identity, false);
            return Some((run, end));
        }
    }
}
