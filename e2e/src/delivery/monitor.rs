//! A `ServiceMonitor` of the Prometheus operator, as most charts have one beside the app. The operator does not run: what
//! it would have scraped is read off the Services and their endpoints, by its rules.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;

use crate::build;
use crate::cluster::Cluster;
use crate::stage::{Scene, eventually};

/// Its kind is defined here.
pub(super) async fn define(cluster: &Cluster) -> Result<()> {
    let name = "servicemonitors.monitoring.coreos.com.json";
    let definition = fs::read_to_string(build::monitoring()?.join(name))?;
    cluster.apply(&definition).await?;
    Ok(())
}

/// One for the Service of an app.
#[must_use]
pub fn yaml(namespace: &str, app: &str) -> String {
    format!(
        "apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {{name: {app}, namespace: {namespace}}}
spec: {{selector: {{matchLabels: {{app: {app}}}}}, endpoints: [{{port: http-8080}}]}}
"
    )
}

/// Waits until the pods that it scrapes are those of a revision, all of them and none twice: it takes the endpoints of
/// every Service with its labels, ready or not.
///
/// # Errors
/// When that is not so in time.
pub async fn scrapes(scene: &Scene<'_>, app: &str, revision: &str) -> Result<()> {
    let what = format!("{revision} scraped");
    let look = async || {
        let looked = look(scene, app, revision).await;
        Ok(looked.map_err(|problem| problem.to_string()))
    };
    eventually(&what, Duration::from_secs(10), look).await
}

async fn look(scene: &Scene<'_>, app: &str, revision: &str) -> Result<()> {
    let labels = ListParams::default().labels(&format!("app={app}"));
    let services = scene.api::<Service>().list(&labels).await?;
    let names: Vec<_> = services.iter().map(kube::ResourceExt::name_any).collect();
    ensure!(names == [app], "its labels are on the Services {names:?}");
    let of = ListParams::default().labels(&format!("kubernetes.io/service-name={app}"));
    let mut scraped = BTreeSet::new();
    for slice in scene.api::<EndpointSlice>().list(&of).await? {
        for endpoint in slice.endpoints {
            let pod = endpoint.target_ref.and_then(|pod| pod.name);
            let pod = pod.context("an endpoint without a pod")?;
            ensure!(scraped.insert(pod.clone()), "{pod} is scraped twice");
        }
    }
    let pods = scene.pods(revision).await?;
    let pods: BTreeSet<_> = pods.iter().map(kube::ResourceExt::name_any).collect();
    ensure!(scraped == pods, "{scraped:?} are scraped, {pods:?} serve");
    Ok(())
}
