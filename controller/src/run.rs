//! Wires everything together, and ends it in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::channel::mpsc;
use kube::Client;
use kube::runtime::controller::{Config, Error as ApplierError, ReconcileRequest, applier};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use sluice_crds::{Canary, labels};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin;
use crate::args::Args;
use crate::evidence::Reader;
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::observe::Caches;
use crate::reconcile::{self, Context};

/// Reconciles that run at once. Each is mostly waiting for the API server.
const CONCURRENCY: u16 = 16;

/// How long the API server may be silent in an answer: a rollback must not wait for a connection that
/// is only half there.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
/// The same for a watch, which the server ends within five minutes.
const WATCH_PATIENCE: Duration = Duration::from_secs(330);

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When it cannot start, or a part of it ends on its own.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let (ready, is_ready) = watch::channel(false);
    let metrics = Metrics::default();
    let config = kube::Config::infer()
        .await
        .context("no way to reach the API server")?;
    let client = client(&config, REQUEST_PATIENCE)?;

    let (queue, requests) = mpsc::unbounded();
    let (caches, mut watches) = Caches::start(&self::client(&config, WATCH_PATIENCE)?, &queue);
    let reader = Reader::new(http_client()?);
    let reporter = Reporter {
        controller: labels::MANAGER.to_owned(),
        instance: None,
    };
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        caches: caches.clone(),
        reader: reader.clone(),
        memories: Memories::default(),
        metrics: metrics.clone(),
    });

    let admin = admin::serve(args.admin_address, metrics, is_ready, stopping.clone());
    let mut admin = tokio::spawn(admin);
    let changed = move |key: ObjectRef<Canary>| {
        // The receiver is gone only when the program ends.
        let _ = queue.unbounded_send(ReconcileRequest::from(key));
    };
    let mut reader = tokio::spawn(reader.run(changed, stopping.clone()));
    let started = std::time::Instant::now();
    caches.ready().await?;
    tracing::info!(after = ?started.elapsed(), "the caches are filled");
    reconcile::resume(&context);
    ready.send_replace(true);

    let mut worker = tokio::spawn(work(Arc::clone(&context), requests, stopping));
    // A part that ends on its own ends all: half a controller looks healthy and is not.
    tokio::select! {
        () = told_to_stop() => tracing::info!("told to stop"),
        ended = &mut worker => ended.context("the reconcile loop ended on its own")?,
        ended = &mut reader => ended.context("the metrics reader ended on its own")?,
        ended = &mut admin => return ended.context("the admin server failed")?,
        Some(ended) = watches.join_next() => ended.context("a watch ended on its own")?,
    }
    // What is being written is finished; nothing new starts.
    stop.send_replace(true);
    drop(watches);
    if !worker.is_finished() {
        worker
            .await
            .context("the reconcile loop failed while it ended")?;
    }
    if !reader.is_finished() {
        reader.await.context("the metrics reader failed")?;
    }
    admin.await.context("the admin server failed")?
}

/// Reconciles what the queue asks for, one reconcile of a Canary at a time.
async fn work(
    context: Arc<Context>,
    requests: mpsc::UnboundedReceiver<ReconcileRequest<Canary>>,
    mut stopping: watch::Receiver<bool>,
) {
    let canaries = context.caches.canaries.clone();
    let gone = Arc::clone(&context);
    let requests = requests
        .take_until(async move {
            // An error means that the sender is gone: the program ends as well.
            let _ = stopping.wait_for(|stop| *stop).await;
        })
        .map(Ok::<_, std::convert::Infallible>);
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
            if let Err(ApplierError::ObjectNotFound(key)) = result {
                forget(&gone, &key);
            }
            std::future::ready(())
        })
        .await;
}

fn forget(context: &Context, key: &ObjectRef<kube::api::DynamicObject>) {
    if let Some(namespace) = &key.namespace {
        reconcile::forget(context, &ObjectRef::new(&key.name).within(namespace));
    }
}

/// A client of the API server that gives up on one that is silent for so long.
fn client(config: &kube::Config, patience: Duration) -> anyhow::Result<Client> {
    let mut config = config.clone();
    config.read_timeout = Some(patience);
    Client::try_from(config).context("no client for the API server")
}

/// The client for metrics. Its time-outs are set with each query.
fn http_client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("no HTTP client")
}

async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        tracing::warn!("SIGTERM cannot be caught: only an interrupt ends this in order");
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
