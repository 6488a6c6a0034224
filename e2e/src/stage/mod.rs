//! What stories and the demo play on: a cluster, a node, and Sluice, shared by all; and a [`Scene`]
//! for each, a namespace with a waypoint, an app, and clients.

pub mod app;
mod command;
mod controller;
mod direct;
mod exporter;
mod git_sync;
mod guarded;
mod install;
mod look;
mod neighbour;
mod person;
mod recording;
mod scene;
mod target;
mod wait;
mod witness;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::build::{Programs, Tools};
use crate::cluster::{Cluster, Relay};
use crate::node::{self, Node};

pub use app::App;
pub use controller::{Controller, Gated, SECOND, Second, USER};
pub use direct::{Direct, Sight};
pub use exporter::{Exporter, StandIn};
pub use git_sync::GitSync;
pub use guarded::{Guarded, TENANT};
pub use install::rights;
pub use look::{address, is_ready, weights};
pub use person::EDITOR;
pub use recording::{Life, Recording, Seen, Split, Turn};
pub use scene::{Scene, describe, no_failure, only_failures_of, serves};
pub use wait::{TICK, eventually};
pub use witness::{Exposure, condition, list, says};

/// A cluster with a node and Sluice on it. Dropping it ends all of it.
pub struct Stage {
    /// Last to be dropped would be first to be missed: Sluice ends before its cluster.
    pub controller: Controller,
    /// `None` only while it is being made anew.
    node: Mutex<Option<Node>>,
    /// The cluster.
    pub cluster: Cluster,
    programs: Programs,
    gated: AtomicU16,
    /// Namespaces of scenes that were not yet closed.
    open: parking_lot::Mutex<BTreeSet<String>>,
}

impl Stage {
    /// Starts everything.
    ///
    /// # Errors
    /// When a part does not start; the error quotes its log.
    pub async fn start(tools: Tools, programs: &Programs) -> Result<Self> {
        let cluster = Cluster::start(tools).await?;
        let node = start_node(&cluster, programs).await?;
        install::grant(&cluster).await?;
        let controller = Controller::start(&cluster, &programs.sluice).await?;
        Ok(Self {
            controller,
            node: Mutex::new(Some(node)),
            cluster,
            programs: programs.clone(),
            gated: AtomicU16::new(1),
            open: parking_lot::Mutex::default(),
        })
    }

    /// The whole cluster is lost, with its node and with all that the API server ever stored. Then there is an empty one,
    /// with a node, and Sluice is installed on it.
    ///
    /// # Errors
    /// When a part does not start; the error quotes its log.
    pub async fn lose(&self) -> Result<()> {
        let mut node = self.node.lock().await;
        self.controller.kill().await?;
        if let Some(node) = node.take() {
            node.stop().await;
        }
        self.cluster.lose().await?;
        *node = Some(start_node(&self.cluster, &self.programs).await?);
        self.install().await
    }

    /// A second Sluice beside the stage's own. It is a standby as long as that one lives.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn second(&self) -> Result<Second> {
        Second::start(&self.cluster, &self.programs.sluice).await
    }

    /// A Sluice for one namespace alone, behind a gate.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn gated(&self, namespace: &str) -> Result<Gated> {
        let number = self.gated.fetch_add(1, Ordering::Relaxed);
        let admin = SocketAddr::new(ADMIN.ip(), ADMIN.port() + number);
        Gated::start(&self.cluster, &self.programs.sluice, (namespace, admin)).await
    }

    /// The bundles of a Canary's rollouts that Sluice recorded, in their order.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn recordings(&self, namespace: &str, canary: &str) -> Result<Vec<PathBuf>> {
        let of = format!("{namespace}.{canary}.");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(controller::recordings(&self.cluster))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&of) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// Runs a command of Sluice, and waits until it has ended.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn command(&self, words: &[&str]) -> Result<Output> {
        let command = Command::new(&self.programs.sluice)
            .args(words)
            .output()
            .await;
        command.context("sluice cannot be started")
    }

    /// A namespace of its own, with a waypoint.
    ///
    /// # Errors
    /// When the API server refuses, or the waypoint does not start.
    pub async fn scene(&self, name: &str) -> Result<Scene<'_>> {
        Scene::set(self, name, None).await
    }

    /// The same, whose waypoint reaches istiod by a relay.
    ///
    /// # Errors
    /// As for [`Stage::scene`].
    pub async fn scene_behind(&self, relay: &Relay, name: &str) -> Result<Scene<'_>> {
        Scene::set(self, name, Some(relay)).await
    }

    fn opened(&self, namespace: &str) {
        self.open.lock().insert(namespace.to_owned());
    }

    fn closed(&self, namespace: &str) {
        self.open.lock().remove(namespace);
    }

    /// Fails if a scene was set and never closed: nobody looked at who owns what in it.
    ///
    /// # Errors
    /// With their names.
    pub fn all_closed(&self) -> Result<()> {
        let open = self.open.lock();
        ensure!(open.is_empty(), "scenes that were never closed: {open:?}");
        Ok(())
    }
}

async fn start_node(cluster: &Cluster, programs: &Programs) -> Result<Node> {
    let dir = cluster.run_dir().join("node");
    let mut node = node::Config::new(programs.demo_app.clone(), dir);
    node.sluice = Some(programs.sluice.clone());
    Node::start(cluster.client_named(node::MANAGER).await?, node).await
}

/// Where Sluice serves its metrics.
pub const ADMIN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 18_080);
