//! A stand-in exporter: the series that a Cilium agent, a sidecar or another SDK would have of a scene's
//! revisions, made from what their pods say that they answered. Prometheus really scrapes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use sluice_crds::labels;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Scene;
use super::look::address;
use crate::app::{Counts, admin};

/// Whose series it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StandIn {
    /// Hubble's `httpV2`, of the agent of a node, without durations.
    Hubble,
    /// Those of a sidecar beside each pod, without durations.
    Sidecar,
    /// Those of an SDK, under OpenTelemetry's own names and with the resource's attributes in `target_info`
    /// alone, as a Prometheus keeps them that escapes nothing and promotes nothing.
    Dots,
}

impl StandIn {
    /// Where Prometheus looks for it: see `mesh/prometheus.yaml`.
    fn port(self) -> u16 {
        match self {
            Self::Hubble => 9965,
            Self::Sidecar => 9966,
            Self::Dots => 9967,
        }
    }
}

/// A running exporter. Dropping it ends it.
#[derive(Debug)]
pub struct Exporter {
    _task: JoinSet<()>,
}

/// Of every pod that there was, by revision and name: counters do not fall when pods go.
type Served = Arc<Mutex<BTreeMap<(String, String), Counts>>>;

impl Scene<'_> {
    /// Starts a stand-in exporter for this scene. There is one of a kind at a time.
    ///
    /// # Errors
    /// When another is running.
    pub async fn export(&self, kind: StandIn) -> Result<Exporter> {
        let (client, namespace) = (self.client(), self.namespace.clone());
        let served = Served::default();
        let page = move || {
            let (client, namespace, served) =
                (client.clone(), namespace.clone(), Arc::clone(&served));
            async move {
                let text = page(kind, &client, &namespace, &served).await;
                let kind = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
                text.map(|text| ([("content-type", kind)], text))
                    .map_err(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")))
            }
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, kind.port()));
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("the stand-in for {kind:?}"))?;
        let router = Router::new().route("/metrics", get(page));
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!("the stand-in for {kind:?}: {error}");
            }
        });
        Ok(Exporter { _task: task })
    }
}

async fn page(kind: StandIn, client: &Client, namespace: &str, served: &Served) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut served = served.lock().await;
    for pod in pods
        .list(&ListParams::default().labels(labels::REVISION))
        .await?
    {
        let revision = pod.labels().get(labels::REVISION).cloned();
        // One that starts or ends does not answer; it keeps what it had.
        let Ok(address) = address(&pod) else { continue };
        if let (Some(revision), Ok(counts)) = (revision, admin::counts(address).await) {
            served.insert((revision, pod.name_any()), counts);
        }
    }
    let mut text = String::new();
    match kind {
        StandIn::Hubble => {
            let mut revisions = BTreeMap::<&str, Counts>::new();
            for ((revision, _), counts) in &*served {
                let sum = revisions.entry(revision).or_default();
                sum.total += counts.total;
                sum.failed += counts.failed;
            }
            for (revision, counts) in revisions {
                // Each request is seen where it leaves and where it arrives.
                for reporter in ["client", "server"] {
                    for (status, count) in by_status(counts) {
                        writeln!(
                            text,
                            "hubble_http_requests_total{{method=\"GET\",protocol=\"HTTP/1.1\",\
                             reporter=\"{reporter}\",status=\"{status}\",\
                             destination_namespace=\"{namespace}\",\
                             destination_workload=\"{revision}\"}} {count}"
                        )?;
                    }
                }
            }
        }
        StandIn::Sidecar => {
            for ((revision, pod), counts) in &*served {
                for (code, count) in by_status(*counts) {
                    writeln!(
                        text,
                        "istio_requests_total{{reporter=\"destination\",pod=\"{pod}\",\
                         request_protocol=\"http\",response_code=\"{code}\",response_flags=\"-\",\
                         destination_workload_namespace=\"{namespace}\",\
                         destination_workload=\"{revision}\"}} {count}"
                    )?;
                }
            }
        }
        StandIn::Dots => {
            for ((revision, pod), counts) in &*served {
                let process = format!("job=\"{namespace}/shop\",instance=\"{pod}\"");
                writeln!(
                    text,
                    "target_info{{{process},\"k8s.namespace.name\"=\"{namespace}\",\
                     \"k8s.deployment.name\"=\"{revision}\"}} 1"
                )?;
                for (code, count) in by_status(*counts) {
                    writeln!(
                        text,
                        "{{\"http.server.request.duration_seconds_count\",{process},\
                         \"http.response.status_code\"=\"{code}\"}} {count}"
                    )?;
                }
            }
        }
    }
    Ok(text)
}

/// A status that never was has no series.
fn by_status(counts: Counts) -> impl Iterator<Item = (u16, u64)> {
    let all = [(200, counts.total - counts.failed), (500, counts.failed)];
    all.into_iter().filter(|(_, count)| *count > 0)
}
