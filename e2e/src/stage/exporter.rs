//! A stand-in exporter: the series that a Cilium agent, a sidecar or another SDK would have of a scene's
//! revisions, made from what their pods say that they answered. Prometheus really scrapes it.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Those of the ztunnel of a node, with a connection for each request.
    Ztunnel,
    /// Hubble's `flow`, of the agent of a node, with a flow each way for each request.
    Flows,
}

impl StandIn {
    /// Where Prometheus looks for it: see `mesh/prometheus.yaml`.
    fn port(self) -> u16 {
        match self {
            Self::Hubble => 9965,
            Self::Sidecar => 9966,
            Self::Dots => 9967,
            Self::Ztunnel => 9968,
            Self::Flows => 9969,
        }
    }
}

/// A running exporter. Dropping it ends it.
#[derive(Debug)]
pub struct Exporter {
    _task: JoinSet<()>,
    lossy: Lossy,
}

/// Revisions of which half of what carries their requests is said to fail, whatever their pods answered.
type Lossy = Arc<Mutex<BTreeSet<String>>>;

impl Exporter {
    /// Says from now on that half of a revision's connections, or flows, failed.
    pub async fn loses(&self, revision: &str) {
        self.lossy.lock().await.insert(revision.to_owned());
    }
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
        let (served, lossy) = (Served::default(), Lossy::default());
        let told = Arc::clone(&lossy);
        let page = move || {
            let (client, namespace) = (client.clone(), namespace.clone());
            let (served, lossy) = (Arc::clone(&served), Arc::clone(&told));
            async move {
                let lossy = lossy.lock().await.clone();
                let text = page(kind, &client, &namespace, &served, &lossy).await;
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
        Ok(Exporter { _task: task, lossy })
    }
}

async fn page(
    kind: StandIn,
    client: &Client,
    namespace: &str,
    served: &Served,
    lossy: &BTreeSet<String>,
) -> Result<String> {
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
            for (revision, counts) in by_revision(&served) {
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
        StandIn::Ztunnel | StandIn::Flows => {
            for (revision, Counts { total, .. }) in by_revision(&served) {
                let failed = if lossy.contains(revision) {
                    total / 2
                } else {
                    0
                };
                if kind == StandIn::Ztunnel {
                    ztunnel(&mut text, namespace, revision, total, failed)?;
                } else {
                    flows(&mut text, namespace, revision, total, failed)?;
                }
            }
        }
    }
    Ok(text)
}

/// As <https://github.com/istio/ztunnel/blob/master/src/proxy/metrics.rs> counts: those that fail are opened, too.
fn ztunnel(
    text: &mut String,
    namespace: &str,
    revision: &str,
    opened: u64,
    failed: u64,
) -> std::fmt::Result {
    let counters = [
        ("opened", "-", opened),
        ("closed", "-", opened - failed),
        ("closed", "CONNECT", failed),
        ("failed", "CONNECT", failed),
    ];
    for (what, flags, count) in counters {
        if count > 0 {
            writeln!(
                text,
                "istio_tcp_connections_{what}_total{{reporter=\"destination\",pod=\"ztunnel-stand-in\",\
                 request_protocol=\"tcp\",response_flags=\"{flags}\",connection_security_policy=\"mutual_tls\",\
                 source_workload=\"waypoint\",source_workload_namespace=\"{namespace}\",\
                 source_principal=\"spiffe://cluster.local/ns/{namespace}/sa/waypoint\",\
                 destination_workload=\"{revision}\",destination_workload_namespace=\"{namespace}\"}} {count}"
            )?;
        }
    }
    Ok(())
}

/// As <https://github.com/cilium/cilium/blob/main/pkg/hubble/metrics/flow/handler.go> counts what a policy denies: by
/// a verdict and by a drop.
fn flows(
    text: &mut String,
    namespace: &str,
    revision: &str,
    all: u64,
    denied: u64,
) -> std::fmt::Result {
    let to = format!("destination_namespace=\"{namespace}\",destination_workload=\"{revision}\"");
    let from = format!("source_namespace=\"{namespace}\",source_workload=\"{revision}\"");
    let nowhere = "destination_namespace=\"\",destination_workload=\"\"";
    let nobody = "source_namespace=\"\",source_workload=\"\"";
    let passed = all - denied;
    let counters = [
        (
            format!("{to},{nobody}"),
            "PolicyVerdict",
            "",
            "FORWARDED",
            passed,
        ),
        (
            format!("{to},{nobody}"),
            "Trace",
            "to-endpoint",
            "FORWARDED",
            passed,
        ),
        (
            format!("{from},{nowhere}"),
            "Trace",
            "to-stack",
            "FORWARDED",
            passed,
        ),
        (
            format!("{to},{nobody}"),
            "PolicyVerdict",
            "",
            "DROPPED",
            denied,
        ),
        (format!("{to},{nobody}"), "Drop", "", "DROPPED", denied),
    ];
    for (ends, kind, point, verdict, count) in counters {
        if count > 0 {
            writeln!(
                text,
                "hubble_flows_processed_total{{protocol=\"TCP\",type=\"{kind}\",subtype=\"{point}\",\
                 verdict=\"{verdict}\",{ends}}} {count}"
            )?;
        }
    }
    Ok(())
}

/// One node's agent sees the pods of a revision as one.
fn by_revision(served: &BTreeMap<(String, String), Counts>) -> BTreeMap<&str, Counts> {
    let mut revisions = BTreeMap::<&str, Counts>::new();
    for ((revision, _), counts) in served {
        let sum = revisions.entry(revision).or_default();
        sum.total += counts.total;
        sum.failed += counts.failed;
    }
    revisions
}

/// A status that never was has no series.
fn by_status(counts: Counts) -> impl Iterator<Item = (u16, u64)> {
    let all = [(200, counts.total - counts.failed), (500, counts.failed)];
    all.into_iter().filter(|(_, count)| *count > 0)
}
