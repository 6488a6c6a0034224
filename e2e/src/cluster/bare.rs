//! An API server with its database, and nothing that acts on what it holds.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kube::Client;
use kube::api::DynamicObject;

use super::api_server::{self, ApiServer, Files};
use super::{ADMIN, Answered, MASTERS, apply, control_plane, definitions};
use crate::build::Tools;
use crate::certs::Authority;
use crate::paths;
use crate::process::Process;

/// A cluster that takes objects and refuses them. Dropping it ends it.
pub struct Bare {
    client: Client,
    kubeconfig: PathBuf,
    // Dropped in this order.
    _api_server: ApiServer,
    _etcd: Process,
}

impl Bare {
    /// Starts one that serves Gateway API's, Istio's and our kinds. Only inside [`crate::sandbox`]: its ports are fixed.
    ///
    /// # Errors
    /// If a part does not come up; the error names it and quotes the end of its log.
    pub async fn start(tools: &Tools) -> Result<Self> {
        // Fails only if the program installed a provider before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authority = Authority::new()?;
        let files = Files::new(&paths::new_run()?, &authority)?;
        let kubeconfig = files.kubeconfig(&authority, ADMIN, Some(MASTERS))?;
        let client = control_plane::client(&kubeconfig).await?;
        let etcd = api_server::start_etcd(tools, &files).await?;
        let api_server = api_server::start_api_server(tools, &files, &authority).await?;
        definitions::create(&client, &tools.crds).await?;
        Ok(Self {
            client,
            kubeconfig,
            _api_server: api_server,
            _etcd: etcd,
        })
    }

    /// Creates the resource definitions of a folder, each of which is a JSON file, and waits until they are served.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn define(&self, folder: &Path) -> Result<()> {
        definitions::add(&self.client, folder).await
    }

    /// What the API server would say to an object that `kubectl apply --server-side` brings, in its own namespace, which must be
    /// there. Nothing is written. Unknown fields and kinds are refused.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn try_out(&self, object: &serde_json::Value) -> Result<Answered> {
        apply::try_out(&self.client, object).await
    }

    /// Applies YAML of any kinds, in order, as `kubectl apply --server-side --force-conflicts` does.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        apply::apply(&self.client, yaml).await
    }

    /// The kubeconfig of its administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}
