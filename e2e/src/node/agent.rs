//! The agent's loop: every pod of the cluster goes by here.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{Config, Event, watcher},
    },
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Kubelet, object, pod, schedule};

/// Pods that a waypoint's own process stands behind.
const MANAGED_BY_MESH: (&str, &str) = ("gateway.istio.io/managed", "istio.io-mesh-controller");
/// How often pods that did not fit are looked at again.
const RESCHEDULE: Duration = Duration::from_secs(1);

/// A pod's uid.
type Uid = String;

/// Runs pods until told to stop; then kills what runs.
pub(super) async fn run(kubelet: Arc<Kubelet>, stopped: CancellationToken) {
    let pods: Api<Pod> = Api::all(kubelet.client.clone());
    let mut events = Box::pin(watcher(pods, Config::default()).default_backoff());
    let mut retry = interval(RESCHEDULE);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut agent = Agent {
        tasks: JoinSet::new(),
        running: HashMap::new(),
        pending: HashMap::new(),
        listed: HashSet::new(),
        kubelet,
    };
    let heartbeat = object::keep_alive(
        agent.kubelet.client.clone(),
        agent.kubelet.config.name.clone(),
    );
    agent.tasks.spawn(heartbeat);
    agent.tasks.spawn(agent.kubelet.ztunnel.run());
    loop {
        tokio::select! {
            event = events.try_next() => match event {
                Ok(Some(event)) => agent.handle(event).await,
                Ok(None) => break,
                // The watcher lists again by itself, with a back-off.
                Err(error) => tracing::debug!(%error, "watching pods"),
            },
            _ = retry.tick() => agent.schedule_pending().await,
            Some(_) = agent.tasks.join_next() => {}
            () = stopped.cancelled() => break,
        }
    }
    agent.tasks.shutdown().await;
}

struct Agent {
    kubelet: Arc<Kubelet>,
    /// One task for each pod. Dropping them kills their processes.
    tasks: JoinSet<()>,
    /// Pods on this node.
    running: HashMap<Uid, watch::Sender<Arc<Pod>>>,
    /// Pods that wait for a node.
    pending: HashMap<Uid, Pod>,
    /// Pods met in the list that is being read.
    listed: HashSet<Uid>,
}

impl Agent {
    async fn handle(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.extend(pod.uid());
                self.seen(pod).await;
            }
            Event::InitDone => {
                self.running.retain(|uid, _| self.listed.contains(uid));
                self.pending.retain(|uid, _| self.listed.contains(uid));
            }
            Event::Apply(pod) => self.seen(pod).await,
            Event::Delete(pod) => {
                if let Some(uid) = pod.uid() {
                    // Its task notices that there will be no more news.
                    self.running.remove(&uid);
                    self.pending.remove(&uid);
                }
            }
        }
    }

    async fn seen(&mut self, pod: Pod) {
        self.kubelet.ztunnel.learn(&pod);
        let (label, manager) = MANAGED_BY_MESH;
        if pod
            .labels()
            .get(label)
            .is_some_and(|value| value == manager)
        {
            return;
        }
        let (Some(uid), Some(spec)) = (pod.uid(), &pod.spec) else {
            return;
        };
        match &spec.node_name {
            None if pod.metadata.deletion_timestamp.is_none() => {
                self.schedule(&pod).await;
                self.pending.insert(uid, pod);
            }
            Some(node) if *node == self.kubelet.config.name => {
                self.pending.remove(&uid);
                self.run(uid, pod);
            }
            _ => {
                self.pending.remove(&uid);
            }
        }
    }

    fn run(&mut self, uid: Uid, pod: Pod) {
        let ended = is_ended(&pod);
        let deleted = pod.metadata.deletion_timestamp.is_some();
        let pod = Arc::new(pod);
        if let Some(running) = self.running.get(&uid) {
            running.send_replace(pod);
        } else if deleted || !ended {
            let (seen, news) = watch::channel(pod);
            self.tasks.spawn(pod::run(Arc::clone(&self.kubelet), news));
            self.running.insert(uid, seen);
        }
    }

    async fn schedule_pending(&mut self) {
        let pending: Vec<_> = self.pending.values().cloned().collect();
        for pod in pending {
            self.schedule(&pod).await;
        }
    }

    async fn schedule(&self, pod: &Pod) {
        let running = self.running.values().map(|seen| Arc::clone(&seen.borrow()));
        let used = running
            .filter(|pod| !is_ended(pod))
            .map(|pod| schedule::cpu(&pod))
            .sum();
        if let Err(error) = schedule::schedule(&self.kubelet, pod, used).await {
            // Bound already by an earlier attempt, or gone; the next event tells.
            tracing::debug!(pod = pod.name_any(), "scheduling: {error:#}");
        }
    }
}

fn is_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
