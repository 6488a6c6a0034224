//! What people do beside pushing: orders and suspension in Git, and edits by hand.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::delivery::Delivery;
use e2e::delivery::argo::Apply;
use e2e::stage::{EDITOR, eventually, no_failure, serves};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_crds::{Phase, annotations};

use super::{NONE, RATE, Team};

/// By itself no step would pass in the time of this story.
const LONG_STEP: &str = "replicas: 1\nsteps: [{weight: 20%, bake: 10m}]\n";
/// A person approves what goes beyond the first step.
const GUARDED: &str =
    "replicas: 1\nsteps: [{weight: 20%, bake: 2s}, {approval: {}}, {weight: 50%, bake: 2s}]\n";

/// A step waits until a commit approves the image, in the words of the condition; the Application is Progressing
/// until then.
pub(crate) async fn approved_in_git(delivery: &Delivery, apply: Apply) -> Result<()> {
    let mut team = Team::new(delivery, "approval", apply).await?;
    let spec = team.spec(GUARDED);
    team.canary = Some((NONE.to_owned(), spec.clone()));
    team.push("an app and its Canary").await?;
    team.scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(40))
        .await?;
    team.scene.clean("shop").await?;
    let load = team.scene.load("shop", 8080, RATE).await?;

    team.app = team.app.tagged("v2");
    team.push("v2").await?;
    let asked = "{image: \"demo:v2\", at: \"20%\"}";
    let words = format!("to go on, add {asked} to spec.approved");
    let wait = Duration::from_secs(40);
    team.scene
        .told("shop", "AwaitingApproval", &[&words], wait)
        .await?;
    team.health("Progressing").await?;
    team.canary = Some((NONE.to_owned(), format!("{spec}approved: [{asked}]\n")));
    team.push("approve v2").await?;
    let watch = team.watch().await?;
    let end = team.scene.outcome(&team.app, wait).await?;
    serves(&end, &team.scene.revision_of(&team.app).await?)?;
    team.scene.clean("shop").await?;
    team.health("Healthy").await?;
    watch.nothing_to_do(&team)?;
    no_failure(&load.stop().await)?;
    team.close().await
}

/// An order in Git promotes the candidate that it names; suspended in Git, the Application is Suspended; what a
/// person changes in the cluster is healed, by Argo CD what is Git's, by Sluice what is Sluice's.
pub(crate) async fn in_git_and_by_hand(delivery: &Delivery, apply: Apply) -> Result<()> {
    let mut team = Team::new(delivery, "orders", apply).await?;
    team.canary = Some((NONE.to_owned(), team.spec(LONG_STEP)));
    team.push("an app and its Canary").await?;
    team.scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(40))
        .await?;
    let load = team.scene.load("shop", 8080, RATE).await?;

    team.app = team.app.tagged("v2");
    team.push("v2").await?;
    let new = team
        .scene
        .at_step(&team.app, 1, Duration::from_secs(30))
        .await?;
    team.health("Progressing").await?;
    let spec = team.spec(LONG_STEP);
    team.canary = Some((NONE.to_owned(), format!("{spec}suspend: true\n")));
    team.push("hands off").await?;
    team.health("Suspended").await?;
    team.canary = Some((format!("{{{}: {new}}}", annotations::PROMOTE), spec));
    team.push("go on, and promote").await?;
    let end = team
        .scene
        .outcome(&team.app, Duration::from_secs(40))
        .await?;
    serves(&end, &new)?;
    team.scene.clean("shop").await?;
    team.health("Healthy").await?;

    // The route is Sluice's: Argo CD does not even look at it.
    let watch = team.watch().await?;
    let planned = team.scene.weights("shop").await?;
    team.scene.edit_route("shop", |_| 7).await?;
    eventually("the route put back", Duration::from_secs(5), async || {
        let routes = team.scene.routes("shop").await?;
        let weight = routes.iter().find_map(|route| {
            let weight = route.data.pointer("/spec/rules/0/backendRefs/0/weight")?;
            weight.as_u64()
        });
        Ok(if weight == Some(7) {
            Err("still 7")
        } else {
            Ok(())
        })
    })
    .await?;
    ensure!(
        team.scene.weights("shop").await? == planned,
        "other weights"
    );
    watch.nothing_to_do(&team)?;

    // The template is Git's.
    let edit = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "demo:v9"}]}}}});
    let params = PatchParams {
        field_manager: Some(EDITOR.to_owned()),
        ..PatchParams::default()
    };
    let deployments = team.scene.api::<Deployment>();
    deployments
        .patch("shop", &params, &Patch::Strategic(edit))
        .await?;
    eventually("the template healed", Duration::from_secs(20), async || {
        let template = deployments
            .get("shop")
            .await?
            .spec
            .map(|spec| spec.template);
        let pod = template.and_then(|template| template.spec);
        let image = pod.and_then(|pod| pod.containers.into_iter().next()?.image);
        Ok(if image.as_deref() == Some("demo:v2") {
            Ok(())
        } else {
            Err(format!("{image:?}"))
        })
    })
    .await?;
    let heals = team.application.state().await?.operation.heals;
    ensure!(
        heals == ["Deployment/shop"],
        "it was healed by somebody else: {heals:?}"
    );
    team.scene.clean("shop").await?;
    serves(&team.scene.status("shop").await?, &new)?;
    team.health("Healthy").await?;
    no_failure(&load.stop().await)?;
    team.close().await
}
