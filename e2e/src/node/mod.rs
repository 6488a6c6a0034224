//! The node agent: stands in for the scheduler and for one node's kubelet, container runtime and
//! network plugin.
//!
//! It binds pods to its node, gives each an address of its own, runs its containers as real
//! processes, probes them over the network, and reports what a kubelet would, word for word where
//! a controller or a person reads it. kube-controller-manager runs for real, so Deployments,
//! `ReplicaSet`s and `EndpointSlice`s are not its concern.
//!
//! # What a container is
//! A process of the demo app ([`crate::app`]): the image `demo:TAG` says how it behaves. Sluice's own
//! images are the Sluice of this workspace, if [`Config::sluice`] says where that is. Any other image cannot
//! be pulled. A process gets the pod's environment and, beside it, `IMAGE`, `POD_NAME`,
//! `POD_NAMESPACE`, `POD_IP` and `PORTS` (the container's TCP ports). There is no mount namespace:
//! the files of `ConfigMap` and Secret volumes lie at `$POD_ROOT/MOUNT_PATH/KEY`, and are renewed
//! every two seconds (a kubelet takes about a minute). Output goes to
//! `DIR/logs/NAMESPACE_POD_CONTAINER.log`.
//!
//! # What differs from a kubelet
//! - Readiness is probed at least four times a second, whatever `periodSeconds` says. A container
//!   without an HTTP or TCP probe is probed by GET `/readyz` at its first port, so that a story can
//!   make any pod unready ([`crate::app::admin::set_ready`]).
//! - Liveness and startup probes, `postStart`, `$(VAR)` in values, resource limits and Events are not
//!   there, nor are init containers that go on beside the others (`restartPolicy: Always`). `preStop` is honoured if it is a `sleep`.
//! - The back-off of a crashing container starts at 1 s instead of 10 s and ends at 16 s.
//! - The scheduler knows one node: it looks at the node selector and at CPU requests, no more.
//! - It is ztunnel as well, as far as that counts connections to pods: see [`ztunnel`].
//! - Pods of waypoints (label `gateway.istio.io/managed`) are left alone: their Envoy is started
//!   by whoever makes the Gateway.

mod address;
mod agent;
mod container;
mod env;
mod image;
mod object;
mod pod;
mod probe;
mod schedule;
mod slot;
mod status;
mod view;
mod volume;
mod ztunnel;

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use kube::Client;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sandbox::{PODS, Range};
use address::Addresses;
pub use object::MANAGER;
use ztunnel::Ztunnel;

/// What a node needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the Node object.
    pub name: String,
    /// The `demo-app` binary.
    pub app: PathBuf,
    /// The `sluice` binary, for pods of Sluice's own image.
    pub sluice: Option<PathBuf>,
    /// Folder for logs and mounted files.
    pub dir: PathBuf,
    /// Addresses of pods, local to this network namespace. The first is the node's own.
    pub addresses: Range,
}

impl Config {
    /// `node-1`, with pods in [`PODS`].
    #[must_use]
    pub fn new(app: impl Into<PathBuf>, dir: impl Into<PathBuf>) -> Self {
        Self {
            name: "node-1".to_owned(),
            app: app.into(),
            sluice: None,
            dir: dir.into(),
            addresses: PODS,
        }
    }
}

/// A running node. Dropping it kills its containers and leaves the API objects as they are, as if
/// the machine had lost power.
#[derive(Debug)]
pub struct Node {
    stop: CancellationToken,
    agent: JoinHandle<()>,
}

impl Node {
    /// Registers the Node object and begins to run pods.
    ///
    /// # Errors
    /// When the folders cannot be made or the API server refuses the Node object.
    pub async fn start(client: Client, config: Config) -> Result<Self> {
        for dir in ["logs", "pods"] {
            let path = config.dir.join(dir);
            std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        }
        let address = config
            .addresses
            .nth(1)
            .context("the address range is empty")?;
        object::register(&client, &config.name, address).await?;
        let ztunnel = Ztunnel::open(&config.name, address)?;
        let kubelet = Kubelet {
            ztunnel,
            addresses: Addresses::after(address, config.addresses),
            address,
            client,
            config,
        };
        let stop = CancellationToken::new();
        let agent = tokio::spawn(agent::run(Arc::new(kubelet), stop.clone()));
        Ok(Self { stop, agent })
    }

    /// Kills every container and ends. Pods keep their last status.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // Fails only if the agent panicked, and then there is nothing to wait for.
        let _ = (&mut self.agent).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What all parts of the agent share.
struct Kubelet {
    client: Client,
    config: Config,
    /// The node's own address.
    address: Ipv4Addr,
    addresses: Addresses,
    ztunnel: Ztunnel,
}
