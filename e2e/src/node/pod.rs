//! One pod's life on the node, from its binding to its deletion.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Kubelet, container::Runner, slot::Slot, status::Facts, view::View};

/// Between attempts to write to an API server that does not answer.
const RETRY: Duration = Duration::from_millis(250);
const DEFAULT_GRACE: i64 = 30;

/// Runs a pod until it is deleted. `seen` holds its latest version, and is closed when the API
/// server no longer has it.
pub(super) async fn run(kubelet: Arc<Kubelet>, mut seen: watch::Receiver<Arc<Pod>>) {
    let pod = Arc::clone(&seen.borrow());
    // A pod that was deleted before it started, or while no node agent ran.
    if pod.metadata.deletion_timestamp.is_some() {
        return delete(&kubelet, &pod).await;
    }
    let lease = match kubelet.addresses.take() {
        Ok(lease) => lease,
        Err(error) => return tracing::warn!(pod = pod.name_any(), "{error:#}"),
    };
    let inits = pod.spec.iter().flat_map(|spec| spec.init_containers.iter());
    let inits: Vec<_> = inits.flatten().cloned().collect();
    let containers = pod.spec.iter().flat_map(|spec| spec.containers.clone());
    let first = inits.len();
    let containers: Vec<_> = inits.into_iter().chain(containers).collect();
    let (views, _) = watch::channel(containers.iter().map(|_| View::creating(first)).collect());
    let (stop, stopped) = watch::channel(None);
    let runners = containers.into_iter().enumerate();
    let runners = runners.map(|(index, container)| {
        Runner::new(Slot {
            kubelet: Arc::clone(&kubelet),
            pod: Arc::clone(&pod),
            address: lease.address,
            container,
            index,
            views: views.clone(),
        })
    });
    let mut running = JoinSet::new();
    running.spawn(live(runners.collect(), first, stopped));
    let host = kubelet.address.to_string();
    let facts = Facts::of(&pod, host, lease.address.to_string());
    let mut reporter = Reporter {
        kubelet: &kubelet,
        pod: &pod,
        facts,
    };
    let mut changes = views.subscribe();
    // Subscribed after the first state was set, so that state has to be told without a change.
    changes.mark_changed();
    let gone = loop {
        tokio::select! {
            biased;
            grace = deletion(&mut seen) => {
                let deadline = Instant::now() + grace.unwrap_or_default();
                let _ = stop.send(Some(deadline));
                break grace.is_none();
            }
            _ = changes.changed() => {
                let views = changes.borrow_and_update().clone();
                if reporter.report(&views, false).await == Report::Gone {
                    let _ = stop.send(Some(Instant::now()));
                    break true;
                }
            }
        }
    };
    while running.join_next().await.is_some() {}
    let root = kubelet
        .config
        .dir
        .join("pods")
        .join(pod.uid().unwrap_or_default());
    // What is left over goes with the folder of the run.
    let _ = tokio::fs::remove_dir_all(root).await;
    if !gone {
        let views = views.borrow().clone();
        reporter.report(&views, true).await;
        delete(&kubelet, &pod).await;
    }
}

/// Runs the first containers, which are the init containers, one after the other to their end, then the others together.
async fn live(runners: Vec<Runner>, first: usize, stop: watch::Receiver<Option<Instant>>) {
    let mut runners = runners.into_iter();
    for init in runners.by_ref().take(first) {
        init.once().run(stop.clone()).await;
        if stop.borrow().is_some() {
            return;
        }
    }
    let others = runners.map(|runner| runner.run(stop.clone()));
    futures::future::join_all(others).await;
}

/// Waits until the pod is to end. Returns its grace period, or `None` if it is no longer there.
async fn deletion(seen: &mut watch::Receiver<Arc<Pod>>) -> Option<Duration> {
    let pod = seen
        .wait_for(|pod| pod.metadata.deletion_timestamp.is_some())
        .await
        .ok()?;
    let seconds = pod
        .metadata
        .deletion_grace_period_seconds
        .unwrap_or(DEFAULT_GRACE);
    Some(Duration::from_secs(
        u64::try_from(seconds).unwrap_or_default(),
    ))
}

#[derive(Debug, PartialEq)]
enum Report {
    Written,
    Gone,
}

struct Reporter<'a> {
    kubelet: &'a Kubelet,
    pod: &'a Pod,
    facts: Facts,
}

impl Reporter<'_> {
    /// Writes the pod's status, however often it takes.
    async fn report(&mut self, views: &[View], stopping: bool) -> Report {
        let Some(spec) = &self.pod.spec else {
            return Report::Gone;
        };
        let status = self.facts.status(spec, views, stopping);
        loop {
            match self.write(&status).await {
                Ok(()) => return Report::Written,
                Err(error) if is_gone(&error) => return Report::Gone,
                Err(error) => {
                    tracing::debug!(pod = self.pod.name_any(), %error, "writing the status");
                }
            }
            sleep(RETRY).await;
        }
    }

    async fn write(&self, status: &PodStatus) -> Result<(), kube::Error> {
        // The uid makes it a conflict to write to a namesake of a pod that has gone.
        let patch = json!({"metadata": {"uid": self.pod.uid()}, "status": status});
        let pods = pods(self.kubelet, self.pod);
        let name = self.pod.name_any();
        pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(patch))
            .await
            .map(drop)
    }
}

/// Removes the object of a pod whose processes have ended.
pub(super) async fn delete(kubelet: &Kubelet, pod: &Pod) {
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions {
            uid: pod.uid(),
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    };
    loop {
        match pods(kubelet, pod).delete(&pod.name_any(), &params).await {
            Ok(_) => return,
            Err(error) if is_gone(&error) => return,
            Err(error) => tracing::debug!(pod = pod.name_any(), %error, "deleting the pod"),
        }
        sleep(RETRY).await;
    }
}

fn pods(kubelet: &Kubelet, pod: &Pod) -> Api<Pod> {
    Api::namespaced(kubelet.client.clone(), &pod.namespace().unwrap_or_default())
}

/// Not there any more, or another pod of the same name is.
fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404 || status.code == 409)
}
