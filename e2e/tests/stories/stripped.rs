//! Somebody takes the labels from what Sluice made.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::stage::{App, EDITOR, Scene, Stage, eventually, no_failure, serves};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};
use sluice_crds::{Phase, annotations, labels};

const KINDS: [&str; 3] = ["v1/Service", "apps/v1/Deployment", "v1/PodTemplate"];
const SOON: Duration = Duration::from_secs(20);

/// A revision at rest, of which no label tells whose it is: its Service is marked again, going back to it
/// needs no gates, and once it has left the window nothing of it stays.
pub(crate) async fn what_has_no_labels_is_known_all_the_same(stage: &Stage) -> Result<()> {
    let scene = stage.scene("stripped").await?;
    let v1 = App::new("shop", "v1");
    let (v2, v3) = (v1.tagged("v2"), v1.tagged("v3"));
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 50.0).await?;
    scene.adopt(&v1, "rollbackWindow: 1\n").await?;
    let (first, second) = (scene.revision_of(&v1).await?, promote(&scene, &v2).await?);
    scene.pods_gone(&first, SOON).await?;

    strip(&scene, KINDS[0], &first).await?;
    eventually("the Service marked again", SOON, async || {
        let service = scene.of_kind(KINDS[0])?.get(&first).await?;
        let own = service.labels();
        let marked = own.contains_key(labels::CANARY) && own.contains_key(labels::REVISION);
        Ok(if marked {
            Ok(())
        } else {
            Err(format!("{own:?}"))
        })
    })
    .await?;
    for kind in KINDS {
        strip(&scene, kind, &first).await?;
    }
    scene.deploy(&v1).await?;
    scene
        .until("shop", "v1 again", Duration::from_secs(30), |status| {
            let stable = status.stable.as_deref() == Some(first.as_str());
            (stable && status.phase == Some(Phase::Succeeded)).then_some(())
        })
        .await?;
    let told = scene.events("shop").await?;
    let back = told.iter().any(|event| event.starts_with("GoingBack"));
    ensure!(back, "{first} was not known any more: {told:?}");

    scene.pods_gone(&second, SOON).await?;
    for kind in KINDS {
        strip(&scene, kind, &second).await?;
    }
    promote(&scene, &v3).await?;
    for kind in KINDS {
        eventually(&format!("{kind} {second} removed"), SOON, async || {
            let left = scene.of_kind(kind)?.get_opt(&second).await?;
            Ok(left.map_or(Ok(()), |left| Err(format!("{:?}", left.metadata))))
        })
        .await?;
    }
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// By an order: nothing here is about gates.
async fn promote(scene: &Scene<'_>, app: &App) -> Result<String> {
    scene.deploy(app).await?;
    let revision = scene.revision_of(app).await?;
    scene.order("shop", annotations::PROMOTE, &revision).await?;
    let end = scene.outcome(app, Duration::from_secs(30)).await?;
    serves(&end, &revision)?;
    Ok(revision)
}

async fn strip(scene: &Scene<'_>, kind: &str, name: &str) -> Result<()> {
    let api = scene.of_kind(kind)?;
    let own = api.get(name).await?;
    let nothing: Map<String, Value> = own
        .labels()
        .keys()
        .map(|key| (key.clone(), Value::Null))
        .collect();
    let params = PatchParams {
        field_manager: Some(EDITOR.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"metadata": {"labels": nothing}}));
    api.patch(name, &params, &patch).await?;
    Ok(())
}
