//! Stands in for the telemetry of the node's ztunnel: who connects to its pods.
//!
//! The connections are real: the demo app tells of each that it accepts, with the address that it comes
//! from, and addresses become workloads by their Pods, as Istio names them. What ztunnel would know from
//! certificates is taken from the Pod's service account: every pod is taken to be of the mesh. As with
//! ztunnel, the node's own connections, which are a kubelet's probes, are not seen. Served where ztunnel
//! serves its metrics, at port 15020 of the node.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    os::{linux::net::SocketAddrExt, unix::net},
    sync::Arc,
};

use anyhow::{Context, Result};
use axum::{Router, routing::get};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::net::{TcpListener, UnixDatagram};

use crate::{certs::spiffe_uri, cluster::METRICS_PORT};

/// What Istio writes where it knows nothing.
const UNKNOWN: &str = "unknown";
/// Names the Gateway that a waypoint's pods belong to; their Deployment has the same name.
const GATEWAY: &str = "gateway.networking.k8s.io/gateway-name";
/// What the Deployment controller appends to the names of its `ReplicaSet`s.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A pod as Istio's metrics name it.
#[derive(Clone, Debug)]
struct Workload {
    name: String,
    namespace: String,
    principal: String,
}

/// The labels of ztunnel's that matter here; the others only repeat these.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    reporter: &'static str,
    request_protocol: &'static str,
    response_flags: &'static str,
    connection_security_policy: &'static str,
    source_workload: String,
    source_workload_namespace: String,
    source_principal: String,
    destination_workload: String,
    destination_workload_namespace: String,
    destination_principal: String,
}

/// The telemetry of one node.
#[derive(Debug)]
pub(super) struct Ztunnel {
    socket: String,
    node: Ipv4Addr,
    messages: Mutex<Option<net::UnixDatagram>>,
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    workloads: Mutex<HashMap<Ipv4Addr, Workload>>,
    opened: Family<Labels, Counter>,
}

impl Ztunnel {
    /// Takes messages from now on; they are read by [`Self::run`].
    ///
    /// # Errors
    /// When another node of this name runs in the same network.
    pub(super) fn open(node: &str, address: Ipv4Addr) -> Result<Self> {
        // An abstract name: a path would be too long in a deep checkout.
        let socket = format!("ztunnel-of-{node}");
        let name = net::SocketAddr::from_abstract_name(socket.as_bytes())?;
        let messages = net::UnixDatagram::bind_addr(&name).context("opening ztunnel's socket")?;
        messages.set_nonblocking(true)?;
        Ok(Self {
            socket,
            node: address,
            messages: Mutex::new(Some(messages)),
            known: Arc::default(),
        })
    }

    /// Where the app sends its messages.
    pub(super) fn socket(&self) -> &str {
        &self.socket
    }

    /// Notes whose address a pod's is. It stays: an address comes back only after all others.
    pub(super) fn learn(&self, pod: &Pod) {
        let ip = pod.status.as_ref().and_then(|s| s.pod_ip.as_deref());
        if let Some(Ok(ip)) = ip.map(str::parse) {
            self.known.workloads.lock().insert(ip, workload(pod));
        }
    }

    /// Counts, and serves the counts. Does nothing the second time.
    pub(super) fn run(&self) -> impl Future<Output = ()> + Send + 'static {
        let messages = self.messages.lock().take();
        let (known, node) = (Arc::clone(&self.known), self.node);
        async move {
            let Some(messages) = messages else { return };
            let served = serve(Arc::clone(&known), node);
            let (Err(error), ()) = tokio::join!(served, count(messages, &known, node)) else {
                return;
            };
            tracing::warn!("ztunnel's metrics: {error:#}");
        }
    }
}

async fn count(messages: net::UnixDatagram, known: &Known, node: Ipv4Addr) {
    let messages = match UnixDatagram::from_std(messages) {
        Ok(messages) => messages,
        Err(error) => return tracing::warn!(%error, "reading ztunnel's socket"),
    };
    let mut buffer = [0; 128];
    while let Ok(length) = messages.recv(&mut buffer).await {
        let text = std::str::from_utf8(buffer.get(..length).unwrap_or_default());
        let mut addresses = text.unwrap_or_default().split(' ').map(str::parse);
        if let (Some(Ok(to)), Some(Ok(from))) = (addresses.next(), addresses.next())
            && from != node
        {
            known.opened(from, to);
        }
    }
}

impl Known {
    fn opened(&self, from: Ipv4Addr, to: Ipv4Addr) {
        let workloads = self.workloads.lock();
        let named = |ip: &Ipv4Addr| workloads.get(ip).cloned().unwrap_or_else(Workload::unknown);
        let (source, destination) = (named(&from), named(&to));
        let policy = if source.principal == UNKNOWN {
            UNKNOWN
        } else {
            "mutual_tls"
        };
        let labels = Labels {
            reporter: "destination",
            request_protocol: "tcp",
            response_flags: "-",
            connection_security_policy: policy,
            source_workload: source.name,
            source_workload_namespace: source.namespace,
            source_principal: source.principal,
            destination_workload: destination.name,
            destination_workload_namespace: destination.namespace,
            destination_principal: destination.principal,
        };
        self.opened.get_or_create(&labels).inc();
    }
}

async fn serve(known: Arc<Known>, node: Ipv4Addr) -> Result<()> {
    let mut registry = Registry::with_prefix("istio");
    registry.register(
        "tcp_connections_opened",
        "The total number of TCP connections opened",
        known.opened.clone(),
    );
    let registry = Arc::new(registry);
    let metrics = move || async move {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([("content-type", kind)], text)
    };
    let listener = TcpListener::bind(SocketAddr::from((node, METRICS_PORT))).await?;
    let router = Router::new().route("/stats/prometheus", get(metrics));
    Ok(axum::serve(listener, router).await?)
}

impl Workload {
    fn unknown() -> Self {
        Self {
            name: UNKNOWN.to_owned(),
            namespace: UNKNOWN.to_owned(),
            principal: UNKNOWN.to_owned(),
        }
    }
}

/// As istiod names workloads: by the Deployment behind a `ReplicaSet`, else by the owner, else by the pod.
fn workload(pod: &Pod) -> Workload {
    let namespace = pod.namespace().unwrap_or_default();
    let owner = pod
        .owner_references()
        .first()
        .map(|owner| owner.name.clone());
    let owner = owner.unwrap_or_else(|| pod.name_any());
    let hash = pod.labels().get(TEMPLATE_HASH);
    let deployment = hash.and_then(|hash| owner.strip_suffix(&format!("-{hash}")));
    let name = pod.labels().get(GATEWAY).map(String::as_str).or(deployment);
    let account = pod
        .spec
        .as_ref()
        .and_then(|s| s.service_account_name.as_deref());
    Workload {
        name: name.unwrap_or(&owner).to_owned(),
        principal: spiffe_uri(&namespace, account.unwrap_or("default")),
        namespace,
    }
}
