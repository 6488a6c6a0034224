//! Does to the Lease what [`evaluate()`] says.

use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::pin;

use anyhow::Context as _;
use chrono::Utc;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::evaluate::holder;
use super::fence::{Fence, Gate};
use super::handover;
use super::{DURATION, Me, PATIENCE, RETRY, Step, View, WRITE_FOR, evaluate};
use crate::client;
use crate::metrics::Metrics;
use crate::observe::Absence;

/// Which Lease, and who asks for it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The pod that this process runs in, if it is known. A process takes over at once from an earlier
    /// one of the same pod.
    pub pod: Option<String>,
}

/// This process's part in the election.
#[derive(Debug)]
pub struct Election {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// An election that this process does not take part in yet: its fence is closed.
#[derive(Debug)]
pub struct Nomination {
    gate: Gate,
}

impl Nomination {
    /// A nomination, and the fence that opens when it is won.
    #[must_use]
    pub fn new() -> (Self, Fence) {
        let (gate, fence) = Gate::new();
        (Self { gate }, fence)
    }

    /// Takes part from now on: this process must be ready to act.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn stand(
        self,
        config: &kube::Config,
        watching: Client,
        place: Place,
        absence: Absence,
        metrics: Metrics,
    ) -> anyhow::Result<Election> {
        let api = Api::namespaced(client::for_the_lease(config)?, &place.namespace);
        let watched: Api<Lease> = Api::namespaced(watching, &place.namespace);
        let changes = watch_object(watched, &place.name).default_backoff();
        let name = place.pod.clone().unwrap_or_else(hostname);
        let name = format!("{name}_{:08x}", random());
        let candidate = Candidate {
            api,
            me: Me {
                name,
                predecessor: None,
                renewed: None,
            },
            place,
            view: View::Unknown,
            gate: self.gate,
            absence,
            metrics,
            complained: false,
        };
        let (stop, stopped) = oneshot::channel();
        let changes = changes.filter_map(|change| async { change.ok() });
        let task = tokio::spawn(candidate.run(changes, stopped));
        Ok(Election { stop, task })
    }
}

impl Election {
    /// Waits for its end, which comes only when it fails.
    ///
    /// # Errors
    /// When it panicked.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        (&mut self.task)
            .await
            .context("the election ended on its own")
    }

    /// Releases the Lease, if it is ours: nothing is written any more by then.
    ///
    /// # Errors
    /// When it failed before.
    pub async fn end(self) -> anyhow::Result<()> {
        // The receiver is gone only when the task ended.
        let _ = self.stop.send(());
        self.task.await.context("the election failed")
    }
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Four bytes from the system.
fn random() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or_default()
}

struct Candidate {
    api: Api<Lease>,
    place: Place,
    me: Me,
    view: View,
    gate: Gate,
    absence: Absence,
    metrics: Metrics,
    /// Whether the log says already that the Lease cannot be written.
    complained: bool,
}

impl Candidate {
    async fn run(
        mut self,
        changes: impl Stream<Item = Option<Lease>>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let mut changes = pin!(changes);
        tracing::info!(name = self.me.name, "stands for election");
        loop {
            let now = Instant::now();
            let wake = match evaluate(&self.view, &self.me, now) {
                Step::Wait(until) => until,
                Step::StepDown => {
                    self.step_down();
                    // What was seen last may be old: this process may have been frozen, or cut off.
                    self.read().await;
                    continue;
                }
                step @ (Step::Create | Step::Take | Step::Renew) => {
                    if self.write(step).await {
                        continue;
                    }
                    Instant::now() + RETRY
                }
            };
            tokio::select! {
                _ = &mut stopped => break,
                () = sleep_until(wake) => {}
                Some(lease) = changes.next() => self.see(lease),
            }
        }
        self.release().await;
    }

    /// Takes note of the Lease as it is. News that are older than what is known are none.
    fn see(&mut self, lease: Option<Lease>) {
        let since = Instant::now();
        let first = matches!(self.view, View::Unknown);
        match lease {
            None => match self.view {
                View::Unknown => self.view = View::Never,
                View::There { .. } => self.view = View::Gone { since },
                View::Never | View::Gone { .. } => {}
            },
            Some(lease) => {
                let known = match &self.view {
                    View::There { lease, .. } => version(lease),
                    View::Unknown | View::Never | View::Gone { .. } => None,
                };
                if known.is_some() && version(&lease) <= known {
                    return;
                }
                if first {
                    let of_our_pod = |name: &&String| {
                        let (pod, _) = name.rsplit_once('_').unwrap_or_default();
                        self.place.pod.as_deref() == Some(pod)
                    };
                    self.me.predecessor = holder(&lease).filter(of_our_pod).cloned();
                }
                if let Some(until) = handover::told(&lease) {
                    self.absence.heard(until);
                }
                let lease = Box::new(lease);
                self.view = View::There { lease, since };
            }
        }
    }

    /// Writes the Lease; tells whether something is known now that was not before.
    async fn write(&mut self, step: Step) -> bool {
        let sent = Instant::now();
        let lease = self.ours(step);
        let params = PostParams::default();
        let answer = if step == Step::Create {
            within(self.api.create(&params, &lease)).await
        } else {
            within(self.api.replace(&self.place.name, &params, &lease)).await
        };
        match answer {
            Ok(lease) => {
                self.see(Some(lease));
                self.won(sent);
                true
            }
            Err(Failure::Outrun) => self.read().await,
            Err(failure) => {
                self.complain(&failure);
                false
            }
        }
    }

    /// Looks at the Lease; tells whether that went well. Nobody does so regularly: changes are watched.
    async fn read(&mut self) -> bool {
        match within(self.api.get_opt(&self.place.name)).await {
            Ok(lease) => {
                self.see(lease);
                true
            }
            Err(failure) => {
                self.complain(&failure);
                false
            }
        }
    }

    /// The Lease as we want it. It keeps its version: the API server takes it only if it is as we saw it.
    fn ours(&self, step: Step) -> Lease {
        let at = Utc::now();
        let now = MicroTime(Timestamp::now());
        let mut lease = match &self.view {
            View::There { lease, .. } if step != Step::Create => lease.as_ref().clone(),
            _ => {
                let mut lease = Lease::default();
                lease.metadata.name = Some(self.place.name.clone());
                lease
            }
        };
        if step == Step::Take
            && let Some(since) = handover::unattended_since(&lease, at)
        {
            self.absence.lasted_since(since);
        }
        handover::tell(&mut lease, self.absence.mesh_behind_until(), at);
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if step != Step::Renew {
            spec.acquire_time = Some(now.clone());
            let changed_hands = spec.holder_identity.as_ref() != Some(&self.me.name);
            let before = spec.lease_transitions.unwrap_or_default();
            spec.lease_transitions = Some(before.saturating_add(changed_hands.into()));
        }
        spec.renew_time = Some(now);
        spec.holder_identity = Some(self.me.name.clone());
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        lease
    }

    fn won(&mut self, sent: Instant) {
        let until = sent + WRITE_FOR;
        if Instant::now() >= until {
            return;
        }
        if self.me.renewed.replace(sent).is_none() {
            tracing::info!(name = self.me.name, "took the lease: this process acts");
            self.metrics.leads(true);
        }
        self.complained = false;
        self.gate.open(until);
    }

    fn step_down(&mut self) {
        self.gate.close();
        self.me.renewed = None;
        self.metrics.leads(false);
        tracing::warn!(
            name = self.me.name,
            "lost the lease: this process writes nothing more"
        );
    }

    async fn release(mut self) {
        self.gate.close();
        if self.me.renewed.take().is_none() {
            return;
        }
        self.metrics.leads(false);
        let mut lease = self.ours(Step::Renew);
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
        }
        let params = PostParams::default();
        match within(self.api.replace(&self.place.name, &params, &lease)).await {
            Ok(_) => tracing::info!(name = self.me.name, "released the lease"),
            Err(failure) => tracing::warn!(
                %failure,
                "the lease was not released: another takes over when it ran out"
            ),
        }
    }

    fn complain(&mut self, failure: &Failure) {
        if std::mem::replace(&mut self.complained, true) {
            tracing::debug!(%failure, "the lease cannot be had");
        } else {
            tracing::warn!(%failure, "the lease cannot be had, and is tried again every second");
        }
    }
}

/// Why nothing became known.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it is not as it was seen last")]
    Outrun,
    #[error(transparent)]
    Other(Box<kube::Error>),
    #[error("the API server did not answer within {PATIENCE:?}")]
    Silence,
}

async fn within<T>(answer: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
            Err(Failure::Outrun)
        }
        Ok(Err(error)) => Err(Failure::Other(Box::new(error))),
        Err(_) => Err(Failure::Silence),
    }
}

/// Versions of one resource are ordered numbers, see [`crate::observe::written`].
fn version(lease: &Lease) -> Option<u64> {
    lease.resource_version()?.parse().ok()
}

#[cfg(test)]
mod tests;
