//! A container's place in its pod: its surroundings, and its view in the pod's status.

use std::{fs::File, net::Ipv4Addr, path::PathBuf, process::Stdio, sync::Arc};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use tokio::{
    process::{Child, Command},
    sync::watch,
};

use super::{Kubelet, env, image, view::View, volume};

/// The views of a pod's containers, in the order of its spec.
pub(super) type Views = watch::Sender<Vec<View>>;

/// One container of one pod.
pub(super) struct Slot {
    pub(super) kubelet: Arc<Kubelet>,
    pub(super) pod: Arc<Pod>,
    pub(super) address: Ipv4Addr,
    pub(super) container: Container,
    /// Of the container in the pod's spec.
    pub(super) index: usize,
    pub(super) views: Views,
}

impl Slot {
    /// Starts the container's process, with its environment.
    ///
    /// # Errors
    /// With the waiting reason a kubelet would give.
    pub(super) async fn start(&self) -> Result<Child, (&'static str, anyhow::Error)> {
        let client = &self.kubelet.client;
        let variables = env::variables(
            client,
            &self.pod,
            &self.container,
            self.address,
            &self.root(),
        )
        .await
        .map_err(|error| ("CreateContainerConfigError", error))?;
        self.spawn(variables)
            .map_err(|error| ("RunContainerError", error))
    }

    fn spawn(&self, variables: impl IntoIterator<Item = (String, String)>) -> Result<Child> {
        let image = self.container.image.as_deref().unwrap_or_default();
        let program = image::program(&self.kubelet.config, image).map_err(anyhow::Error::msg)?;
        let namespace = self.pod.namespace().unwrap_or_default();
        let name = format!(
            "{namespace}_{}_{}.log",
            self.pod.name_any(),
            self.container.name
        );
        let path = self.kubelet.config.dir.join("logs").join(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        Command::new(program)
            .args(self.container.args.iter().flatten())
            .env_clear()
            .envs(variables)
            .env("CONNECTIONS_TO", self.kubelet.ztunnel.socket())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in a terminal is for the harness; pods end as the API says.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))
    }

    /// Writes the files of the container's volumes, or renews them.
    pub(super) async fn write_volumes(&self) -> Result<()> {
        volume::write(
            &self.kubelet.client,
            &self.pod,
            &self.container,
            &self.root(),
        )
        .await
    }

    /// Where the container's mounts are.
    fn root(&self) -> PathBuf {
        let uid = self.pod.uid().unwrap_or_default();
        self.kubelet
            .config
            .dir
            .join("pods")
            .join(uid)
            .join(&self.container.name)
    }

    /// `NAME_NAMESPACE(UID)`, as a kubelet names a pod in messages.
    pub(super) fn pod_title(&self) -> String {
        let pod = &self.pod;
        let namespace = pod.namespace().unwrap_or_default();
        format!(
            "{}_{namespace}({})",
            pod.name_any(),
            pod.uid().unwrap_or_default()
        )
    }

    /// Changes the container's view; the pod's status follows.
    pub(super) fn see(&self, change: impl FnOnce(&mut View)) {
        self.views.send_modify(|views| {
            if let Some(view) = views.get_mut(self.index) {
                change(view);
            }
        });
    }
}
