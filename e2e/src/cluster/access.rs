//! How programs reach the API server and istiod: by kubeconfigs, and by cables and gates that can be shut.

use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};

use super::kubeconfig::{self, Credentials};
use super::{ADMIN, Cluster, Gate, MASTERS, Relay, api_server, istiod};
use crate::paths;
use crate::sandbox::Door;

/// How long a token of [`Cluster::kubeconfig_for_service_account`] lives, in seconds.
const TOKEN_SECONDS: i64 = 24 * 3600;

impl Cluster {
    /// Writes a kubeconfig for a user, with a client certificate. They may do what RBAC grants.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn kubeconfig_for(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        self.files.kubeconfig(&self.authority, user, group)
    }

    /// Writes a kubeconfig for a service account, with a token, as a pod of it would have.
    ///
    /// # Errors
    /// If there is no such account.
    pub async fn kubeconfig_for_service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf> {
        let token = self.token(namespace, name).await?;
        let file = format!("{namespace}-{name}");
        let ca = self.authority.ca_pem();
        kubeconfig::write(&self.files.pki, &file, &api_server::url(), ca, &token)
    }

    /// Lays a [`Relay`] to the API server for one service account, and writes the kubeconfig that leads through it.
    ///
    /// # Errors
    /// If there is no such account, or no port is left.
    pub async fn relay(&self, namespace: &str, account: &str) -> Result<(Relay, PathBuf)> {
        let token = self.token(namespace, account).await?;
        let file = format!("relay-{namespace}-{account}");
        let (pki, ca) = (&self.files.pki, self.authority.ca_pem());
        let relay = Relay::to(api_server::ADDRESS).await?;
        let server = format!("https://{}", relay.address());
        let kubeconfig = kubeconfig::write(pki, &file, &server, ca, &token)?;
        Ok((relay, kubeconfig))
    }

    /// Lays a [`Relay`] to istiod, for a waypoint.
    ///
    /// # Errors
    /// If no port is left.
    pub async fn relay_to_istiod(&self) -> Result<Relay> {
        Relay::to(istiod::XDS).await
    }

    async fn token(&self, namespace: &str, name: &str) -> Result<Credentials> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("asking for a token of {namespace}/{name}"))?;
        let token = answer
            .status
            .context("a token request without a token")?
            .token;
        Ok(Credentials::Token(token))
    }

    /// Opens a [`Gate`] to the API server for one service account, and writes the kubeconfig that leads
    /// through it.
    ///
    /// # Errors
    /// If there is no such account, or no port is left.
    pub async fn gate(&self, namespace: &str, account: &str, name: &str) -> Result<Gate> {
        let token = self.token(namespace, account).await?;
        let http = api_server::http_client(&self.authority)?;
        Gate::open_at(http, |address| {
            let (server, ca) = (format!("http://{address}"), self.authority.ca_pem());
            kubeconfig::write(
                &self.files.pki,
                &format!("gate-{name}"),
                &server,
                ca,
                &token,
            )
        })
        .await
    }

    /// Lets the machine outside reach the API server, and writes `target/e2e/kubeconfig` for it.
    ///
    /// # Errors
    /// If the door or the file cannot be used.
    pub fn open(&self, door: Door) -> Result<PathBuf> {
        let address = door.address()?;
        door.lead_to(api_server::ADDRESS)?;
        let leaf = Credentials::Certificate(self.authority.user(ADMIN, Some(MASTERS))?);
        let ca = self.authority.ca_pem();
        let written = kubeconfig::write(
            &self.files.pki,
            "outside",
            &format!("https://{address}"),
            ca,
            &leaf,
        )?;
        let path = paths::cache().join("kubeconfig");
        std::fs::copy(&written, &path).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}
