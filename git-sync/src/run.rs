//! Watches Canaries and their snapshots, and makes a pass whenever something ended, and now and then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use http::HeaderValue;
use http::header::USER_AGENT;
use k8s_openapi::api::core::v1::{Pod, PodTemplate};
use kube::api::{Api, ListParams};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Client, ResourceExt as _};
use sluice_crds::{Canary, labels};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::args::Args;
use crate::metrics::Metrics;
use crate::outcome::{self, Ended, Stance};
use crate::pass::pass;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::tell::tell;
use crate::wanted::Digests;

/// Who writes, as the API server notes it: its field manager is what is before the `/`.
const PROGRAM: &str = concat!("sluice-git-sync/", env!("CARGO_PKG_VERSION"));

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

/// Writes back until it is told to stop. `ready` says whether the branch was read, and all told, at least once.
///
/// # Errors
/// When it cannot start, or a watch ends on its own.
pub async fn run(args: Args, metrics: Metrics, ready: watch::Sender<bool>) -> anyhow::Result<()> {
    let repository = args.to_repository()?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    std::fs::create_dir_all(&args.directory)
        .with_context(|| format!("--directory {} cannot be made", args.directory.display()))?;
    let mut config = kube::Config::infer()
        .await
        .context("no way to reach the API server")?;
    config
        .headers
        .push((USER_AGENT, HeaderValue::from_static(PROGRAM)));
    let client = Client::try_from(config).context("no client for the API server")?;
    let changed = Arc::new(Notify::new());
    let (cluster, watches) = caches(client, args.namespace.as_deref(), &changed);
    let writer = Writer::new(&args, &cluster, repository, metrics);
    tokio::select! {
        () = watches => anyhow::bail!("a watch ended"),
        () = writer.run(&changed, &ready) => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Caches, and what keeps them.
fn caches(
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

/// Brings what the cluster says to Git.
struct Writer<'a> {
    args: &'a Args,
    cluster: &'a Cluster,
    metrics: Metrics,
    repository: Repository,
    progress: Progress,
}

impl<'a> Writer<'a> {
    fn new(args: &'a Args, cluster: &'a Cluster, repository: Repository, metrics: Metrics) -> Self {
        Self {
            args,
            cluster,
            metrics,
            repository,
            progress: Progress::default(),
        }
    }

    async fn run(mut self, changed: &Notify, ready: &watch::Sender<bool>) {
        let filled = async {
            let canaries = self.cluster.canaries.wait_until_ready().await;
            canaries.is_ok() && self.cluster.snapshots.wait_until_ready().await.is_ok()
        };
        if !filled.await {
            return;
        }
        let (mut known, mut due) = (Vec::new(), Instant::now());
        loop {
            let stances = self.cluster.stances();
            if stances != known || Instant::now() >= due {
                due = self.pass(&stances).await;
                ready.send_if_modified(|ready| {
                    let first = !*ready && self.progress.has_begun();
                    *ready |= first;
                    first
                });
                known = stances;
            }
            tokio::select! {
                () = changed.notified() => sleep(TOGETHER).await,
                () = sleep_until(due) => {}
            }
        }
    }

    /// Makes a pass, and returns when the next is due if nothing happens.
    async fn pass(&mut self, stances: &[Stance]) -> Instant {
        if !self.progress.is_written(stances) {
            self.metrics.waits();
        }
        let digests = async |stance: &Stance| self.cluster.digests(stance).await;
        let mode = self.args.on_rejection;
        let outcome = pass(&self.repository, mode, stances, digests).await;
        let pause = match &outcome {
            Ok(news) => {
                self.metrics.passed(news, chrono::Utc::now());
                self.args.interval
            }
            Err(error) => {
                self.metrics.failed();
                let failures = self.progress.failures();
                let pause = PAUSES.0.saturating_mul(1 << failures.min(10));
                let pause = pause.min(PAUSES.1);
                tracing::error!(%error, ?pause, "nothing was written back; it is tried again");
                pause
            }
        };
        let outcome = outcome.as_ref().map(Clone::clone);
        for news in self.progress.ended(stances, outcome) {
            if let Some(stance) = stances.get(news.stance) {
                let canary = self.cluster.canary(stance);
                tell(&self.cluster.client, canary.as_deref(), stance, &news).await;
            }
        }
        Instant::now() + pause
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
