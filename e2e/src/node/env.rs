//! A container's environment, as a kubelet builds it.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path};

use anyhow::{Result, anyhow};
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, EnvVarSource, Pod, Secret};
use kube::{Api, Client, ResourceExt};

/// The TCP ports that `container` declares.
pub(super) fn ports(container: &Container) -> Vec<u16> {
    let ports = container.ports.iter().flatten();
    ports
        .filter(|port| {
            port.protocol
                .as_deref()
                .is_none_or(|protocol| protocol == "TCP")
        })
        .filter_map(|port| u16::try_from(port.container_port).ok())
        .collect()
}

/// Every variable: `envFrom`, over it `env`, over it what the demo app is told.
///
/// # Errors
/// In a kubelet's words, for `CreateContainerConfigError`.
pub(super) async fn variables(
    client: &Client,
    pod: &Pod,
    container: &Container,
    address: Ipv4Addr,
    root: &Path,
) -> Result<BTreeMap<String, String>> {
    let namespace = pod.namespace().unwrap_or_default();
    let objects = Objects {
        client,
        namespace: &namespace,
    };
    // First, so that a value can say where a mount is.
    let root = root.to_string_lossy().into_owned();
    let mut variables = BTreeMap::from([("POD_ROOT".to_owned(), root)]);
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let mut data = BTreeMap::new();
        if let Some(source) = &from.config_map_ref {
            data.extend(
                objects
                    .config_map(&source.name, source.optional)
                    .await?
                    .unwrap_or_default(),
            );
        }
        if let Some(source) = &from.secret_ref {
            data.extend(
                objects
                    .secret(&source.name, source.optional)
                    .await?
                    .unwrap_or_default(),
            );
        }
        variables.extend(
            data.into_iter()
                .map(|(key, value)| (format!("{prefix}{key}"), value)),
        );
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = objects.value(variable, pod, address).await? {
            let value = if variable.value_from.is_none() {
                expanded(&value, &variables)
            } else {
                value
            };
            variables.insert(variable.name.clone(), value);
        }
    }
    let ports: Vec<_> = ports(container).iter().map(u16::to_string).collect();
    variables.extend(
        [
            ("IMAGE", container.image.clone().unwrap_or_default()),
            ("POD_NAME", pod.name_any()),
            ("POD_NAMESPACE", namespace.clone()),
            ("POD_IP", address.to_string()),
            ("PORTS", ports.join(",")),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    Ok(variables)
}

/// Configuration objects of one namespace.
struct Objects<'a> {
    client: &'a Client,
    namespace: &'a str,
}

type Data = BTreeMap<String, String>;

impl Objects<'_> {
    async fn value(
        &self,
        variable: &EnvVar,
        pod: &Pod,
        address: Ipv4Addr,
    ) -> Result<Option<String>> {
        let Some(source) = &variable.value_from else {
            return Ok(Some(variable.value.clone().unwrap_or_default()));
        };
        match source {
            EnvVarSource {
                config_map_key_ref: Some(source),
                ..
            } => {
                let Some(data) = self.config_map(&source.name, source.optional).await? else {
                    return Ok(None);
                };
                self.key(
                    &data,
                    "ConfigMap",
                    &source.name,
                    &source.key,
                    source.optional,
                )
            }
            EnvVarSource {
                secret_key_ref: Some(source),
                ..
            } => {
                let Some(data) = self.secret(&source.name, source.optional).await? else {
                    return Ok(None);
                };
                self.key(&data, "Secret", &source.name, &source.key, source.optional)
            }
            EnvVarSource {
                field_ref: Some(source),
                ..
            } => Ok(Some(field(&source.field_path, pod, address)?)),
            _ => Err(anyhow!(
                "env {}: this node agent does not know such a source",
                variable.name
            )),
        }
    }

    async fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Option<Data>> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
        match maps.get_opt(name).await? {
            Some(map) => Ok(Some(map.data.unwrap_or_default())),
            None if optional == Some(true) => Ok(None),
            None => Err(anyhow!("configmap \"{name}\" not found")),
        }
    }

    async fn secret(&self, name: &str, optional: Option<bool>) -> Result<Option<Data>> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match secrets.get_opt(name).await? {
            Some(secret) => {
                let data = secret.data.unwrap_or_default();
                Ok(Some(
                    data.into_iter()
                        .map(|(key, value)| (key, text(&value.0)))
                        .collect(),
                ))
            }
            None if optional == Some(true) => Ok(None),
            None => Err(anyhow!("secret \"{name}\" not found")),
        }
    }

    fn key(
        &self,
        data: &Data,
        kind: &str,
        name: &str,
        key: &str,
        optional: Option<bool>,
    ) -> Result<Option<String>> {
        match data.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None if optional == Some(true) => Ok(None),
            None => Err(anyhow!(
                "couldn't find key {key} in {kind} {}/{name}",
                self.namespace
            )),
        }
    }
}

/// A value with `$(NAME)` replaced by what is known of that variable so far; unknown ones stay.
fn expanded(value: &str, known: &BTreeMap<String, String>) -> String {
    let mut expanded = value.to_owned();
    for (name, text) in known {
        expanded = expanded.replace(&format!("$({name})"), text);
    }
    expanded
}

/// The downward API, as far as the demo app could use it.
fn field(path: &str, pod: &Pod, address: Ipv4Addr) -> Result<String> {
    let in_map = |map: &BTreeMap<String, String>, rest: &str| {
        let key = rest.trim_end_matches("']");
        map.get(key).cloned().unwrap_or_default()
    };
    if let Some(rest) = path.strip_prefix("metadata.labels['") {
        return Ok(in_map(pod.labels(), rest));
    }
    if let Some(rest) = path.strip_prefix("metadata.annotations['") {
        return Ok(in_map(pod.annotations(), rest));
    }
    let spec = pod.spec.as_ref();
    match path {
        "metadata.name" => Ok(pod.name_any()),
        "metadata.namespace" => Ok(pod.namespace().unwrap_or_default()),
        "metadata.uid" => Ok(pod.uid().unwrap_or_default()),
        "spec.nodeName" => Ok(spec
            .and_then(|spec| spec.node_name.clone())
            .unwrap_or_default()),
        "spec.serviceAccountName" => Ok(spec
            .and_then(|spec| spec.service_account_name.clone())
            .unwrap_or_default()),
        "status.podIP" => Ok(address.to_string()),
        _ => Err(anyhow!("unsupported fieldPath: {path}")),
    }
}
