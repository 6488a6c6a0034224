//! A cluster without some of the kinds that Sluice looks at: an older Gateway API, or no Istio.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Stage, USER, eventually, list};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use sluice_crds::labels;
use tokio::time::Instant;

const POLICY: &str = "gateway.networking.k8s.io/v1/BackendTLSPolicy";
const DEFINITION: &str = "backendtlspolicies.gateway.networking.k8s.io";

/// Sluice starts without the kind, does not ask for it in a loop, and finds it once it is installed,
/// without a restart.
pub(crate) async fn a_kind_that_comes_later_is_found(stage: &Stage) -> Result<()> {
    let scene = stage.scene("optional-kinds").await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(scene.client());
    let mut definition = definitions.get(DEFINITION).await?;
    definitions
        .delete(DEFINITION, &DeleteParams::default())
        .await?;
    eventually("the kind gone", Duration::from_secs(10), async || {
        let left = definitions.get_opt(DEFINITION).await?;
        Ok(left.map_or(Ok(()), |_| Err("still there")))
    })
    .await?;
    let mark = stage.cluster.audit().mark()?;
    stage.controller.kill().await?;
    let begun = Instant::now();
    stage.controller.restart().await?;
    ensure!(
        begun.elapsed() < Duration::from_secs(15),
        "ready after {:?}",
        begun.elapsed()
    );
    let v1 = App::new("shop", "v1");
    scene.adopt(&v1, "").await?;
    let asked = stage.cluster.audit().since(mark)?;
    let for_it: Vec<_> = asked
        .into_iter()
        .filter(|event| event.by(USER) && event.about("backendtlspolicies"))
        // The watch of the one that was killed ends here, too.
        .filter(|event| {
            event
                .response_status
                .is_some_and(|answer| answer.code == 404)
        })
        .collect();
    ensure!(
        for_it.is_empty(),
        "asked for a kind that is not there: {}",
        list(&for_it)
    );

    definition.metadata.resource_version = None;
    definition.metadata.uid = None;
    definition.status = None;
    definitions
        .create(&PostParams::default(), &definition)
        .await?;
    eventually("a policy written", Duration::from_secs(15), async || {
        let yaml = "apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: shop, namespace: NAMESPACE}
spec:
  targetRefs: [{group: '', kind: Service, name: shop}]
  validation: {hostname: shop.example, wellKnownCACertificates: System}
";
        Ok(scene
            .others(yaml)
            .await
            .map_err(|error| format!("{error:#}")))
    })
    .await?;
    let revision = scene.revision_of(&v1).await?;
    let of = ListParams::default().labels(&format!("{}={revision}", labels::REVISION));
    // It looks again after 2, 4, 8, 16 s and so on, up to 5 minutes.
    let within = (begun.elapsed() * 2).max(Duration::from_secs(20));
    eventually("the kind found", within, async || {
        let found = scene.of_kind(POLICY)?.list(&of).await.context("listing")?;
        Ok(if found.items.is_empty() {
            Err("no copy")
        } else {
            Ok(())
        })
    })
    .await?;
    scene.delete(POLICY, "shop").await?;
    scene.close().await
}
