//! What `sluice preflight` tells in the init container of each pod of Sluice.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::helm::NAMESPACE;
use e2e::stage::{Scene, eventually};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::Value;

use super::{START, of_the_release};

/// What of the cluster is as it should be is in the log of each pod's init container.
pub(super) async fn told_each_time(scene: &Scene<'_>) -> Result<()> {
    let mut told = 0;
    for (_, log) in starts(scene).await? {
        for line in ["ok           sluice-crds", "ok           waypoint-class"] {
            ensure!(log.contains(line), "{line:?} is not in {log}");
        }
        told += 1;
    }
    ensure!(told >= 3, "{told} pods told what the cluster lacks");
    Ok(())
}

/// And what is not: a pod that starts beside a kind of an older release says so, and starts all the same.
pub(super) async fn an_older_kind_is_told(scene: &Scene<'_>) -> Result<()> {
    const OLDER_KIND: &str = "clustercanarypolicies.sluice.dev";
    const FIELDS: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    const FIELD: &str = "maxConcurrent";
    const TOLD: &str = "error        sluice-crds     clustercanarypolicies.sluice.dev is older: it lacks spec.maxConcurrent: \
                        kubectl apply --server-side -f crds/manifests";
    let kinds: Api<CustomResourceDefinition> = Api::all(scene.client());
    let replaced = async |mut kind: Value, field: Option<Value>| -> Result<Value> {
        let fields = kind.pointer_mut(FIELDS).and_then(Value::as_object_mut);
        let fields = fields.context("no fields")?;
        let before = match field {
            Some(field) => fields.insert(FIELD.to_owned(), field),
            None => fields.remove(FIELD),
        };
        let kind = serde_json::from_value(kind)?;
        kinds
            .replace(OLDER_KIND, &PostParams::default(), &kind)
            .await?;
        Ok(before.unwrap_or_default())
    };
    let kind = async || Ok::<_, anyhow::Error>(serde_json::to_value(kinds.get(OLDER_KIND).await?)?);
    let field = replaced(kind().await?, None).await?;
    ensure!(field.is_object(), "{OLDER_KIND} has no {FIELD}");
    let before = starts(scene).await?;
    let pods: Api<Pod> = Api::namespaced(scene.client(), NAMESPACE);
    let one = before.keys().next().context("no pod")?;
    pods.delete(one, &DeleteParams::default()).await?;
    let told = eventually("a kind of an older release told", START, async || {
        let mut after = starts(scene).await?;
        after.retain(|pod, _| !before.contains_key(pod));
        let told = after.values().any(|log| log.contains(TOLD));
        Ok(if told {
            Ok(())
        } else {
            Err(format!("{after:?}"))
        })
    })
    .await;
    replaced(kind().await?, Some(field)).await?;
    told
}

/// What the init containers of pods said, by the names of the pods.
async fn starts(scene: &Scene<'_>) -> Result<BTreeMap<String, String>> {
    let pods: Api<Pod> = Api::namespaced(scene.client(), NAMESPACE);
    let mut starts = BTreeMap::new();
    for pod in pods.list(&of_the_release()).await? {
        let inits = pod.spec.iter().flat_map(|spec| &spec.init_containers);
        if inits.flatten().all(|init| init.name != "preflight") {
            continue;
        }
        let name = pod.name_any();
        let file = format!("node/logs/{NAMESPACE}_{name}_preflight.log");
        // Of a pod that has not started yet there is none.
        let log = fs::read_to_string(scene.stage.cluster.run_dir().join(file));
        starts.insert(name, log.unwrap_or_default());
    }
    Ok(starts)
}
