//! Starts everything that talks to the API server, in order.

use std::path::Path;

use anyhow::{Context, Result};
use hyper::header::{HeaderValue, USER_AGENT};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use super::api_server::{self, ApiServer, Files};
use super::timing::Timings;
use super::{MASTERS, definitions, istiod, waypoint};
use crate::build::Tools;
use crate::certs::Authority;
use crate::process::Process;

/// A client that calls itself `program`: the field manager of what it writes without naming another.
pub(super) async fn client(kubeconfig: &Path, program: &str) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    let program = HeaderValue::from_str(program)?;
    config.headers.push((USER_AGENT, program));
    Ok(Client::try_from(config)?)
}

/// What everything else asks.
pub(super) struct ControlPlane {
    pub(super) api_server: ApiServer,
    etcd: Process,
    controllers: Process,
    istiod: Process,
}

impl ControlPlane {
    /// Kills all of it, deletes all that was ever stored, and starts it anew.
    pub(super) async fn lose(&self, tools: &Tools, files: &Files, client: &Client) -> Result<()> {
        self.istiod.kill().await?;
        self.controllers.kill().await?;
        self.api_server.stop().await?;
        self.etcd.kill().await?;
        api_server::delete_stored(files)?;
        self.etcd.restart().await?;
        api_server::etcd_ready(&self.etcd).await?;
        self.api_server.start().await?;
        self.controllers.restart().await?;
        self.istiod.restart().await?;
        fill(client, tools, &self.istiod, &Timings::new()).await
    }

    pub(super) async fn alive(&self) -> Result<()> {
        self.api_server.alive().await?;
        for part in [&self.etcd, &self.controllers, &self.istiod] {
            part.alive().await?;
        }
        Ok(())
    }
}

/// etcd, then the API server, then all that needs it at once.
pub(super) async fn start(
    tools: &Tools,
    files: &Files,
    authority: &Authority,
    client: &Client,
    timings: &Timings,
) -> Result<ControlPlane> {
    let etcd = timings
        .time("etcd", api_server::start_etcd(tools, files))
        .await?;
    let api_server = api_server::start_api_server(tools, files, authority);
    let api_server = timings.time("kube-apiserver", api_server).await?;
    let kubeconfig = |user: &str| files.kubeconfig(authority, user, Some(MASTERS));
    let controllers = api_server::start_controllers(
        tools,
        files,
        &kubeconfig("system:kube-controller-manager")?,
    )?;
    // istiod reads resource definitions as they come, and must not wait for them.
    let istiod = istiod::start(tools, &files.run, &kubeconfig("istiod")?)?;
    fill(client, tools, &istiod, timings).await?;
    Ok(ControlPlane {
        api_server,
        etcd,
        controllers,
        istiod,
    })
}

/// What an empty cluster needs, and istiod in it.
async fn fill(client: &Client, tools: &Tools, istiod: &Process, timings: &Timings) -> Result<()> {
    tokio::try_join!(
        timings.time(
            "resource definitions",
            definitions::create(client, &tools.crds)
        ),
        timings.time("node and namespace", cluster_objects(client)),
        timings.time("istiod", istiod::ready(istiod)),
    )?;
    Ok(())
}

/// The namespace of istiod, and the node of the waypoints: the controller of endpoints leaves out
/// pods of unknown nodes.
async fn cluster_objects(client: &Client) -> Result<()> {
    let namespace = serde_json::from_value(json!({"metadata": {"name": "istio-system"}}))?;
    create_namespace(client, &namespace).await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let node = serde_json::from_value(json!({"metadata": {"name": waypoint::NODE}}))?;
    nodes.create(&PostParams::default(), &node).await?;
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let (params, patch) = (PatchParams::default(), Patch::Merge(&status));
    nodes.patch_status(waypoint::NODE, &params, &patch).await?;
    Ok(())
}

pub(super) async fn create_namespace(client: &Client, namespace: &Namespace) -> Result<()> {
    Api::all(client.clone())
        .create(&PostParams::default(), namespace)
        .await
        .context("creating a namespace")?;
    Ok(())
}
