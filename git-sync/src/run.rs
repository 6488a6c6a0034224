//! Watches Canaries and their snapshots, and makes a pass whenever something ended, and now and then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Pod, PodTemplate};
use kube::api::{Api, ListParams};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Client, ResourceExt as _};
use sluice_crds::{Canary, labels};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::args::Args;
use crate::outcome::{self, Ended, Stance};
use crate::pass::pass;
use crate::tell::{Told, tell};
use crate::wanted::Digests;

/// How long more is waited for once something changed: several writes belong to one end, and ends of one moment go
/// into one push.
const TOGETHER: Duration = Duration::from_secs(2);
/// The first pause after a pass that failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// What is known of the cluster.
struct Cluster {
    client: Client,
    canaries: Store<Canary>,
    snapshots: Store<PodTemplate>,
}

/// Writes back until it is told to stop.
///
/// # Errors
/// When it cannot start, or a watch ends on its own.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    std::fs::create_dir_all(&args.directory)
        .with_context(|| format!("--directory {} cannot be made", args.directory.display()))?;
    let client = Client::try_default()
        .await
        .context("no way to reach the API server")?;
    let changed = Arc::new(Notify::new());
    let (cluster, watches) = watch(client, args.namespace.as_deref(), &changed);
    tokio::select! {
        () = watches => anyhow::bail!("a watch ended"),
        () = write_back(&args, &cluster, &changed) => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Caches, and what keeps them.
fn watch(
    client: Client,
    namespace: Option<&str>,
    changed: &Arc<Notify>,
) -> (Cluster, impl Future<Output = ()>) {
    let canaries: Api<Canary> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let snapshots: Api<PodTemplate> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let ours = watcher::Config::default().labels(labels::REVISION);
    let (canary_cache, canary_writer) = reflector::store();
    let (snapshot_cache, snapshot_writer) = reflector::store();
    let notify = || {
        let changed = Arc::clone(changed);
        move || {
            changed.notify_one();
            std::future::ready(())
        }
    };
    let told = notify();
    let canaries = watcher(canaries, watcher::Config::default())
        .default_backoff()
        .reflect(canary_writer)
        .inspect_err(
            |error| tracing::warn!(%error, "the watch of Canaries failed and is tried again"),
        )
        .for_each(move |_| told());
    let told = notify();
    let snapshots = watcher(snapshots, ours)
        .default_backoff()
        .reflect(snapshot_writer)
        .inspect_err(
            |error| tracing::warn!(%error, "the watch of snapshots failed and is tried again"),
        )
        .for_each(move |_| told());
    let cluster = Cluster {
        client,
        canaries: canary_cache,
        snapshots: snapshot_cache,
    };
    let watches = async move {
        tokio::select! {
            () = canaries => {}
            () = snapshots => {}
        }
    };
    (cluster, watches)
}

async fn write_back(args: &Args, cluster: &Cluster, changed: &Notify) {
    let repository = args.to_repository();
    let reporter = Reporter {
        controller: "sluice-git-sync".to_owned(),
        instance: None,
    };
    let recorder = Recorder::new(cluster.client.clone(), reporter);
    let mut told = Told::default();
    let (mut known, mut due, mut failures) = (Vec::new(), Instant::now(), 0_u32);
    let filled = async {
        let canaries = cluster.canaries.wait_until_ready().await;
        canaries.is_ok() && cluster.snapshots.wait_until_ready().await.is_ok()
    };
    if !filled.await {
        return;
    }
    loop {
        let stances = cluster.stances();
        if stances != known || Instant::now() >= due {
            let digests = async |stance: &Stance| cluster.digests(stance).await;
            let outcome = pass(&repository, args.on_rejection, &stances, digests).await;
            due = Instant::now() + args.interval;
            match outcome {
                Ok(news) => {
                    failures = 0;
                    for news in news {
                        let Some(stance) = stances.get(news.stance) else {
                            continue;
                        };
                        if told.is_new(stance, &news) {
                            let canary = cluster.canary(stance);
                            tell(&recorder, canary.as_deref(), stance, &news).await;
                        }
                    }
                }
                Err(error) => {
                    let pause = PAUSES.0.saturating_mul(1 << failures.min(10)).min(PAUSES.1);
                    failures = failures.saturating_add(1);
                    due = Instant::now() + pause;
                    tracing::error!(%error, ?pause, "nothing was written back; it is tried again");
                }
            }
            known = stances;
        }
        tokio::select! {
            () = changed.notified() => sleep(TOGETHER).await,
            () = sleep_until(due) => {}
        }
    }
}

impl Cluster {
    /// What is to be told of every Canary that something is to be told of.
    fn stances(&self) -> Vec<Stance> {
        let canaries = self.canaries.state();
        let stances = canaries.iter().map(|canary| {
            let namespace = canary.namespace().unwrap_or_default();
            outcome::stance(canary, |revision| {
                let key = ObjectRef::new(revision).within(&namespace);
                Ended::read(self.snapshots.get(&key)?.as_ref())
            })
        });
        let mut stances: Vec<_> = stances.filter(|s| s.serving.is_some()).collect();
        stances.sort_by(|a, b| a.canary.cmp(&b.canary));
        stances
    }

    fn canary(&self, stance: &Stance) -> Option<Arc<Canary>> {
        let key = ObjectRef::new(&stance.canary.name).within(&stance.canary.namespace);
        self.canaries.get(&key)
    }

    /// By what digests the revision that serves runs. Without the right to read pods, or without pods, by none.
    async fn digests(&self, stance: &Stance) -> Digests {
        let Some(serving) = &stance.serving else {
            return Digests::new();
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &stance.canary.namespace);
        let own =
            ListParams::default().labels(&format!("{}={}", labels::REVISION, serving.revision));
        match pods.list(&own).await {
            Ok(pods) => outcome::digests(&pods.items),
            Err(error) => {
                tracing::warn!(canary = %stance.canary, %error, "digests are not known: the tag is recorded alone");
                Digests::new()
            }
        }
    }
}
