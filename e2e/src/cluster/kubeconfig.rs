//! Kubeconfigs for the people and programs of a cluster; certificates lie beside them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::certs::Leaf;

/// How a user proves who they are.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    Certificate(Leaf),
    Token(String),
}

/// Writes `folder/NAME.kubeconfig` for the API server at the URL `server`.
pub(super) fn write(
    folder: &Path,
    name: &str,
    server: &str,
    ca_pem: &str,
    credentials: &Credentials,
) -> Result<PathBuf> {
    let name = name.replace([':', '/'], "-");
    let place = |suffix: &str, content: &str| -> Result<PathBuf> {
        let path = folder.join(format!("{name}{suffix}"));
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    };
    let user = match credentials {
        Credentials::Token(token) => json!({"token": token}),
        Credentials::Certificate(leaf) => json!({
            "client-certificate": place(".crt", &leaf.cert_pem)?,
            "client-key": place(".key", &leaf.key_pem)?,
        }),
    };
    let cluster = json!({
        "server": server,
        "certificate-authority": place(".ca.crt", ca_pem)?,
    });
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "e2e", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": name}}],
        "current-context": "e2e",
    });
    place(".kubeconfig", &serde_yaml_ng::to_string(&config)?)
}
