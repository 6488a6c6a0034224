//! Names: what the API allows for a Deployment or a Service is more than it allows for a revision.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Scene, Stage, condition, eventually, no_failure, says, serves};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_crds::Phase;

/// Keeps a Deployment, and with it its pods, until somebody takes it away: as a backup tool would.
const FINALIZER: &str = "example.com/backup";
const SOON: Duration = Duration::from_secs(30);

/// A workload whose names differ.
struct Named {
    deployment: String,
    service: String,
}

/// 63 characters, digits first, dots, and far longer than a label: every one is rolled out, and two
/// that differ in a dot alone never meet.
pub(crate) async fn odd_ones_are_rolled_out(stage: &Stage) -> Result<()> {
    let scene = stage.scene("names").await?;
    let named = |deployment: &str, service: &str| Named {
        deployment: deployment.to_owned(),
        service: service.to_owned(),
    };
    let longest = format!("a{}z", "0".repeat(61));
    let all = [
        named(&longest, &longest),
        named("1.app", "first"),
        named("a.b", "dotted"),
        named("a-b", "dashed"),
        named(&"9".repeat(100), "digits"),
    ];
    let policy = e2e::stage::app::quick_policy(stage.cluster.prometheus_url());
    let policy =
        e2e::stage::app::merged(&policy, "replicas: 1\nsteps: [{weight: 20%, bake: 1s}]\n");
    for one in &all {
        one.deploy(&scene, "v1").await?;
        let spec = format!("{policy}service: {{name: {}}}\n", one.service);
        let yaml = e2e::stage::app::canary(&scene.namespace, &one.service, &spec);
        let target = format!("targetRef: {{kind: Deployment, name: {}}}", one.service);
        ensure!(yaml.contains(&target), "{yaml}");
        // Quoted: YAML takes a hundred digits for a number.
        let quoted = format!(
            "targetRef: {{kind: Deployment, name: {:?}}}",
            one.deployment
        );
        stage.cluster.apply(&yaml.replace(&target, &quoted)).await?;
    }
    let mut loads = Vec::new();
    for one in &all {
        loads.push(scene.load(&one.service, 8080, 60.0).await?);
        scene.phase(&one.service, Phase::Succeeded, SOON).await?;
    }
    for one in &all {
        one.deploy(&scene, "v2").await?;
    }
    let mut revisions = BTreeSet::new();
    for one in &all {
        let v2 = App::new(&one.service, "v2");
        let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
        let new = scene.revision_of(&v2).await?;
        serves(&end, &new)?;
        ensure!(is_label(&new), "{new} is no name of a Service");
        let old = scene.revision_of(&App::new(&one.service, "v1")).await?;
        revisions.extend([old, new]);
    }
    ensure!(
        revisions.len() == 2 * all.len(),
        "revisions meet: {revisions:?}"
    );
    for load in loads {
        no_failure(&load.stop().await)?;
    }
    scene.close().await
}

/// v1, v2, v1, v2 at once: the second v2 comes while the first is still on its way out, with ready pods
/// that nobody may rely on. It waits, says for what, and then goes its way with pods of its own.
pub(crate) async fn a_namesake_that_is_going_is_waited_for(stage: &Stage) -> Result<()> {
    let scene = stage.scene("namesake").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 100.0).await?;
    scene
        .adopt(&v1, "replicas: 2\nsteps: [{weight: 20%, bake: 2s}]\n")
        .await?;
    let old = scene.revision_of(&v1).await?;

    // Its pods are on their way out.
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, SOON).await?;
    let before = uids(&scene, &new).await?;
    scene.deploy(&v1).await?;
    let going = async || {
        let pods = scene.pods(&new).await?;
        let going = pods
            .iter()
            .any(|pod| pod.metadata.deletion_timestamp.is_some());
        Ok(if going { Ok(()) } else { Err("none") })
    };
    eventually("a pod of v2 going", SOON, going).await?;
    scene.deploy(&v2).await?;
    let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
    serves(&end, &new)?;
    ensure!(
        before.is_disjoint(&uids(&scene, &new).await?),
        "pods that were told to go serve"
    );

    // The Deployment itself is, with ready pods.
    let v3 = v1.tagged("v3");
    scene.deploy(&v3).await?;
    let third = scene.at_step(&v3, 1, SOON).await?;
    let before = uids(&scene, &third).await?;
    finalizers(&scene, &third, &[FINALIZER]).await?;
    scene.deploy(&v2).await?;
    let deployments = scene.api::<Deployment>();
    let marked = async || {
        let object = deployments.get(&third).await?;
        let going = object.metadata.deletion_timestamp.is_some();
        Ok(if going { Ok(()) } else { Err("not yet") })
    };
    eventually("the Deployment of v3 going", SOON, marked).await?;
    let routed = scene.record_weights("shop").await?;
    scene.deploy(&v3).await?;
    let waits = |status: &sluice_crds::CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        let told = ready.message.contains("still being deleted");
        told.then(|| ready.message.clone())
    };
    let told = scene
        .until("shop", "waiting for the namesake", SOON, waits)
        .await?;
    says(&told, &[&third])?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let kept = uids(&scene, &third).await?;
    ensure!(
        kept == before,
        "the namesake's pods did not stay: nothing is shown"
    );
    ensure!(
        routed.all().len() == 1,
        "the route moved: {:?}",
        routed.all()
    );
    finalizers(&scene, &third, &[]).await?;
    let end = scene.outcome(&v3, Duration::from_mins(1)).await?;
    serves(&end, &third)?;
    ensure!(
        before.is_disjoint(&uids(&scene, &third).await?),
        "pods of the namesake serve"
    );

    scene.only_left("shop", &[&old, &new, &third], SOON).await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

impl Named {
    /// A Deployment and a Service of another name.
    async fn deploy(&self, scene: &Scene<'_>, tag: &str) -> Result<()> {
        let yaml = App::new(&self.service, tag).yaml(&scene.namespace);
        let own = format!(
            "metadata: {{name: {}, namespace: {}, labels",
            self.service, scene.namespace
        );
        let other = format!(
            "metadata: {{name: {:?}, namespace: {}, labels",
            self.deployment, scene.namespace
        );
        ensure!(yaml.contains(&own), "{yaml}");
        // The Deployment is the first of the two.
        let yaml = yaml.replacen(&own, &other, 1);
        scene.stage.cluster.apply(&yaml).await?;
        Ok(())
    }
}

/// RFC 1035: what a Service may be called.
fn is_label(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(plain)
}

async fn finalizers(scene: &Scene<'_>, deployment: &str, finalizers: &[&str]) -> Result<()> {
    let patch = json!({"metadata": {"finalizers": finalizers}});
    let api = scene.api::<Deployment>();
    api.patch(deployment, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(())
}

async fn uids(scene: &Scene<'_>, revision: &str) -> Result<BTreeSet<String>> {
    let pods = scene.pods(revision).await?;
    let uid =
        |pod: k8s_openapi::api::core::v1::Pod| pod.metadata.uid.context("a pod without a uid");
    pods.into_iter().map(uid).collect()
}
