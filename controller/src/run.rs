//! Wires everything together, and ends it in order.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::channel::mpsc;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::controller::{Config, Error as ApplierError, ReconcileRequest, applier};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use sluice_crds::{Canary, PolicySpec, labels};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin;
use crate::args::Controller;
use crate::bundle::Recording;
use crate::client::{self, Silence};
use crate::evidence::{Reader, Secrets, USER_AGENT};
use crate::lease::{self, Fence, Nomination};
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::observe::caches::Queue;
use crate::observe::{Absence, Caches, Scope};
use crate::parse;
use crate::reconcile::{self, Context};
use crate::turns::Turns;

/// Reconciles that run at once. Each is mostly waiting for the API server.
const CONCURRENCY: u16 = 16;

type Requests = mpsc::UnboundedReceiver<ReconcileRequest<Canary>>;

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When it cannot start, or a part of it ends on its own.
pub async fn run(args: Controller) -> anyhow::Result<()> {
    // First of all: Linux ignores a SIGTERM that the first process of a container does not catch.
    let mut told_to_stop = std::pin::pin!(told_to_stop()?);
    let (stop, stopping) = watch::channel(false);
    let (ready, is_ready) = watch::channel(false);
    let metrics = Metrics::default();
    let recording = Recording::start(args.record.as_deref())?;
    let config = kube::Config::infer()
        .await
        .context("no way to reach the API server")?;
    let (nomination, fence) = Nomination::new();
    let silence = Silence::default();
    let client = client::for_requests(&config, &fence, &silence)?;
    let watches = client::for_watches(&config, &fence)?;

    let shown = metrics.clone();
    let page = move || shown.encode();
    let admin = admin::serve(args.admin_address, page, is_ready, stopping.clone());
    let mut admin = tokio::spawn(admin);
    let (queue, requests) = mpsc::unbounded();
    let started = Instant::now();
    let absence = Absence::default();
    let scope = Scope {
        client: &watches,
        namespace: args.namespace.as_deref(),
        absence: &absence,
    };
    let cluster = tokio::select! {
        cluster = Cluster::watch(&scope, &queue) => cluster?,
        () = &mut told_to_stop => return Ok(()),
    };
    tracing::info!(after = ?started.elapsed(), "the caches are filled");
    ready.send_replace(true);

    // Only who is ready to act stands for election.
    let home = args.lease_namespace.clone();
    let place = lease::Place {
        namespace: args.lease_namespace,
        name: args.lease_name,
        pod: std::env::var("POD_NAME")
            .ok()
            .filter(|name| !name.is_empty()),
    };
    let mut election = nomination.stand(
        &config,
        watches.clone(),
        place,
        absence.clone(),
        metrics.clone(),
    )?;
    let program = Program {
        fence,
        client,
        silence,
        watches,
        absence,
        namespace: args.namespace,
        home,
        http: http_client()?,
        queue,
        metrics,
        recording: recording.clone(),
        stopping,
    };
    let mut terms = tokio::spawn(program.serve(cluster, requests));
    // A part that ends on its own ends all: half a controller looks healthy and is not.
    tokio::select! {
        () = &mut told_to_stop => {}
        ended = &mut terms => ended.context("acting failed")??,
        ended = election.ended() => ended?,
        ended = &mut admin => return ended.context("the admin server failed")?,
    }
    // What is being written is finished; nothing new starts. Only then may another take over.
    stop.send_replace(true);
    if !terms.is_finished() {
        terms.await.context("acting failed while it ended")??;
    }
    recording.end();
    election.end().await?;
    admin.await.context("the admin server failed")?
}

/// What is known of the cluster, and the watches that keep it so.
struct Cluster {
    caches: Caches,
    watches: JoinSet<()>,
}

impl Cluster {
    async fn watch(scope: &Scope<'_>, queue: &Queue) -> anyhow::Result<Self> {
        let (caches, watches) = Caches::start(scope, queue);
        caches.ready().await?;
        Ok(Self { caches, watches })
    }
}

/// What lasts from one term of leadership to the next.
struct Program {
    fence: Fence,
    client: Client,
    silence: Silence,
    watches: Client,
    absence: Absence,
    namespace: Option<String>,
    /// Where it runs itself.
    home: String,
    http: reqwest::Client,
    queue: Queue,
    metrics: Metrics,
    recording: Recording,
    stopping: watch::Receiver<bool>,
}

impl Program {
    /// Acts whenever this process leads, until it is told to stop.
    async fn serve(self, mut cluster: Cluster, mut requests: Requests) -> anyhow::Result<()> {
        let mut stopping = self.stopping.clone();
        loop {
            // Told to stop, or nobody is left to tell.
            if *stopping.borrow() || stopping.has_changed().is_err() {
                return Ok(());
            }
            tokio::select! {
                _ = stopping.changed() => {}
                () = self.fence.opened() => {
                    self.lead(&mut cluster, &mut requests).await?;
                    self.metrics.clear();
                }
                // Who acts is asked by its own watches.
                Some(_) = requests.next() => {}
                Some(ended) = cluster.watches.join_next() => {
                    ended.context("a watch ended on its own")?;
                    anyhow::bail!("a watch ended on its own");
                }
            }
        }
    }

    /// Acts until this process leads no more, or is told to stop. What it remembers is gone then:
    /// another may write until the next term.
    async fn lead(&self, cluster: &mut Cluster, requests: &mut Requests) -> anyhow::Result<()> {
        if cluster.caches.may_be_old() {
            // Nothing is to be decided by what another changed since. A full look costs no more than a
            // start does.
            let scope = Scope {
                client: &self.watches,
                namespace: self.namespace.as_deref(),
                absence: &self.absence,
            };
            let renewed = tokio::select! {
                renewed = Cluster::watch(&scope, &self.queue) => renewed,
                () = self.fence.closed() => return Ok(()),
            };
            *cluster = renewed?;
        }
        let (end, ending) = watch::channel(false);
        let secrets = Secrets::new(self.client.clone());
        let reader = Reader::new(self.http.clone(), self.absence.clone(), secrets);
        let reporter = Reporter {
            controller: labels::MANAGER.to_owned(),
            instance: None,
        };
        let context = Arc::new(Context {
            recorder: Recorder::new(self.client.clone(), reporter),
            client: self.client.clone(),
            silence: self.silence.clone(),
            caches: cluster.caches.clone(),
            absence: self.absence.clone(),
            reader: reader.clone(),
            home: self.home.clone(),
            memories: Memories::default(),
            metrics: self.metrics.clone(),
            built_in: parse::plan::parse(&PolicySpec::built_in())?,
            recording: self.recording.clone(),
        });
        reconcile::resume(&context);
        let queue = self.queue.clone();
        let ask = move |key: ObjectRef<Canary>| {
            // The receiver is gone only when the program ends.
            let _ = queue.unbounded_send(ReconcileRequest::from(key));
        };
        for canary in cluster.caches.canaries.state() {
            ask(ObjectRef::from_obj(canary.as_ref()));
        }
        let mut reader = tokio::spawn(reader.run(ask, ending));
        tokio::select! {
            () = work(context, requests, self.stopping.clone()) => {}
            // What is under way ends here: nothing of it would be written.
            () = self.fence.closed() => {}
            ended = &mut reader => ended.context("the metrics reader ended on its own")?,
            Some(ended) = cluster.watches.join_next() => {
                ended.context("a watch ended on its own")?;
                anyhow::bail!("a watch ended on its own");
            }
        }
        end.send_replace(true);
        if !reader.is_finished() {
            reader.await.context("the metrics reader failed")?;
        }
        Ok(())
    }
}

/// Reconciles what the queue asks for, one reconcile of a Canary at a time.
async fn work(context: Arc<Context>, requests: &mut Requests, mut stopping: watch::Receiver<bool>) {
    let canaries = context.caches.canaries.clone();
    let known = Arc::clone(&context);
    let turns = Turns::new(CONCURRENCY.into());
    let requests = requests.take_until(async move {
        // An error means that the sender is gone: the program ends as well.
        let _ = stopping.wait_for(|stop| *stop).await;
    });
    let requests = turns.take(requests).map(Ok::<_, std::convert::Infallible>);
    let config = Config::default().concurrency(CONCURRENCY);
    let reconciled = applier(
        |canary, context| Box::pin(reconcile::reconcile(canary, context)),
        |canary, error, context| reconcile::retry(&canary, error, &context),
        context,
        canaries,
        requests,
        config,
    );
    reconciled
        .for_each(|result| {
            let canary = |key: &ObjectRef<DynamicObject>| {
                ObjectRef::new(&key.name).within(key.namespace.as_deref().unwrap_or_default())
            };
            match result {
                Ok((key, _)) => turns.end(&key),
                Err(ApplierError::ReconcilerFailed(_, key)) => turns.end(&canary(&key)),
                Err(ApplierError::ObjectNotFound(key)) => {
                    let key = canary(&key);
                    reconcile::forget(&known, &key);
                    turns.end(&key);
                }
                // Neither has a Canary: what they end ends all.
                Err(ApplierError::QueueError(_) | ApplierError::RunnerError(_)) => {}
            }
            std::future::ready(())
        })
        .await;
}

/// The client for metrics. Its time-outs are set with each query.
fn http_client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .build()
        .context("no HTTP client")
}

/// Ready once somebody ends the program: SIGTERM or an interrupt. Both are caught from the call on.
///
/// # Errors
/// If the system refuses.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("an interrupt cannot be caught")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
    })
}
