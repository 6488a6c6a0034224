//! A Kubernetes cluster with an ambient mesh, inside the sandbox.
//!
//! Real: etcd, API server, controllers, istiod, Envoy, Prometheus. Absent: scheduler, kubelet (the
//! node agent runs pods), CNI and ztunnel (clients speak HBONE themselves).

mod access;
mod api_server;
mod apply;
pub mod audit;
mod bare;
mod control_plane;
mod definitions;
mod envoy;
mod gate;
mod istiod;
mod kubeconfig;
mod prometheus;
mod relay;
mod sds;
mod timing;
mod waypoint;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Client;
use kube::api::{Api, DynamicObject};
use serde_json::json;

use crate::build::Tools;
use crate::certs::Authority;
use crate::paths;
use crate::process::until;
use crate::sandbox::WAYPOINTS;
pub use api_server::ApiServer;
use api_server::Files;
pub use apply::Answered;
pub use audit::Audit;
pub use bare::Bare;
use control_plane::ControlPlane;
pub use envoy::Shares;
pub use gate::{Gate, Refusal, Write};
pub use prometheus::Prometheus;
pub use relay::Relay;
pub use timing::Timing;
use timing::Timings;
pub(crate) use waypoint::METRICS_PORT;
pub use waypoint::{HBONE_PORT, Waypoint};

/// Everybody in this group may do everything.
const MASTERS: &str = "system:masters";
/// The harness's own user, as the audit log names it.
pub const ADMIN: &str = "admin";
/// Waypoints' addresses start here; those before are the cluster's own.
const FIRST_WAYPOINT: u32 = 10;
/// Long, because controllers come back slowly after an outage of the API server.
const NAMESPACE_READY: Duration = Duration::from_mins(1);

/// A running cluster. Dropping it kills all of it.
pub struct Cluster {
    tools: Tools,
    authority: Arc<Authority>,
    files: Files,
    admin_config: PathBuf,
    client: Client,
    prometheus: Prometheus,
    control_plane: ControlPlane,
    waypoints: AtomicU32,
    timings: Vec<Timing>,
}

impl Cluster {
    /// Starts one and waits until every part answers. Only inside [`crate::sandbox`]: its ports are
    /// fixed.
    ///
    /// # Errors
    /// If a part does not come up; the error names it and quotes the end of its log.
    pub async fn start(tools: Tools) -> Result<Self> {
        // Fails only if the program installed a provider before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let timings = Timings::new();
        let run = paths::new_run()?;
        let authority = Arc::new(Authority::new()?);
        let files = Files::new(&run, &authority)?;
        let admin_config = files.kubeconfig(&authority, ADMIN, Some(MASTERS))?;
        let client = control_plane::client(&admin_config, apply::MANAGER).await?;

        let (prometheus, control_plane, ()) = tokio::try_join!(
            timings.time("prometheus", Prometheus::launch(&tools, &run)),
            control_plane::start(&tools, &files, &authority, &client, &timings),
            timings.time("SDS server", sds::start(Arc::clone(&authority))),
        )?;
        let waypoints = AtomicU32::new(FIRST_WAYPOINT);
        let timings = timings.into_parts();
        Ok(Self {
            tools,
            authority,
            files,
            admin_config,
            client,
            prometheus,
            control_plane,
            waypoints,
            timings,
        })
    }

    /// A client that may do everything; the audit log calls it [`ADMIN`].
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The same for something that stands in for another program: it writes by that name.
    ///
    /// # Errors
    /// If the name is none.
    pub async fn client_named(&self, program: &str) -> Result<Client> {
        control_plane::client(&self.admin_config, program).await
    }

    /// The programs that the cluster is made of, and those that run on it.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The authority that everything trusts: API server, its users, and the mesh.
    #[must_use]
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The folder of this run: logs as `NAME.log`, and data.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.files.run
    }

    /// How long each part took to start.
    #[must_use]
    pub fn timings(&self) -> &[Timing] {
        &self.timings
    }

    /// What was asked of the API server.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::new(self.files.audit.clone())
    }

    /// The API server, to stop and start it.
    #[must_use]
    pub fn api_server(&self) -> &ApiServer {
        &self.control_plane.api_server
    }

    /// Loses all that was ever written to the API server, with the machine that held it, and starts anew what a cluster
    /// is made of: its kinds, and nothing of anybody's. Prometheus keeps what it knows, as one outside does.
    ///
    /// # Errors
    /// If a part does not come up; the error quotes the end of its log.
    pub async fn lose(&self) -> Result<()> {
        let lost = self
            .control_plane
            .lose(&self.tools, &self.files, &self.client);
        lost.await
    }

    /// Prometheus, to stop and start it.
    #[must_use]
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// Prometheus' base URL.
    #[must_use]
    pub fn prometheus_url(&self) -> &'static str {
        self.prometheus.url()
    }

    /// The kubeconfig of [`ADMIN`].
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_config
    }

    /// Creates the resource definitions of a folder, each of which is a JSON file, and waits until they are
    /// served.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn define(&self, folder: &Path) -> Result<()> {
        definitions::add(&self.client, folder).await
    }

    /// Applies YAML of any kinds, in order, as `kubectl apply --server-side --force-conflicts` does.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        apply::apply(&self.client, yaml).await
    }

    /// Applies YAML as `kubectl apply` does, in a namespace, and returns the API server's answer to
    /// each object: nothing, or its reason to refuse. Unknown fields are refused.
    ///
    /// # Errors
    /// If the API server does not answer, or does not serve such a kind.
    pub async fn apply_strictly(&self, namespace: &str, yaml: &str) -> Result<Vec<Answered>> {
        apply::apply_strictly(&self.client, namespace, yaml).await
    }

    /// Makes a namespace of the mesh, whose Services use the waypoint named `waypoint`.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        let object: Namespace = serde_json::from_value(json!({"metadata": {
            "name": name,
            "labels": {
                "istio.io/dataplane-mode": "ambient",
                "istio.io/use-waypoint": "waypoint",
            },
        }}))?;
        control_plane::create_namespace(&self.client, &object).await?;
        // Pods are refused until the namespace has its default account.
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), name);
        until("the default service account", NAMESPACE_READY, async || {
            accounts.get("default").await?;
            Ok(())
        })
        .await
    }

    /// Makes a waypoint and starts its Envoy, which reaches istiod by this relay, if there is one. Prometheus scrapes it
    /// from now on.
    ///
    /// # Errors
    /// If its listeners do not come up; the error quotes the end of Envoy's log.
    pub async fn waypoint(
        &self,
        namespace: &str,
        name: &str,
        relay: Option<&Relay>,
    ) -> Result<Waypoint> {
        let ip = self.address()?;
        let run = &self.files.run;
        let place = (namespace, name);
        let istiod = relay.map_or(istiod::XDS, Relay::address);
        let (client, tools) = (self.client(), &self.tools);
        let waypoint = Waypoint::launch(client, tools, run, place, ip, istiod).await?;
        self.prometheus
            .scrape(namespace, waypoint.pod(), ip)
            .await?;
        Ok(waypoint)
    }

    /// Makes the Pod of a client that the harness itself is; returns the address to connect from. So the
    /// mesh knows whose connections these are.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn client_pod(&self, namespace: &str, name: &str) -> Result<Ipv4Addr> {
        let ip = self.address()?;
        waypoint::client_pod(&self.client, namespace, name, ip).await?;
        Ok(ip)
    }

    /// An address for one that is no pod of the node's.
    fn address(&self) -> Result<Ipv4Addr> {
        let n = self.waypoints.fetch_add(1, Ordering::Relaxed);
        WAYPOINTS.nth(n).context("no address is left")
    }

    /// Stops scraping a waypoint and kills it. Its objects go with its namespace.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn remove_waypoint(&self, waypoint: Waypoint) -> Result<()> {
        self.prometheus
            .forget(waypoint.namespace(), waypoint.pod())
            .await?;
        waypoint.kill().await
    }

    /// istiod's debug pages, such as `/debug/syncz`.
    ///
    /// # Errors
    /// If istiod does not answer.
    pub async fn istiod_debug(&self, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", istiod::HTTP);
        Ok(reqwest::get(url).await?.error_for_status()?.text().await?)
    }

    /// Fails if a part of the cluster ended by itself, quoting the end of its log.
    ///
    /// # Errors
    /// As said.
    pub async fn alive(&self) -> Result<()> {
        self.control_plane.alive().await
    }
}
