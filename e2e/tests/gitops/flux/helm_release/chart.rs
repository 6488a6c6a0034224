//! The chart, and the `HelmRelease` that installs it, as Git holds them.

use anyhow::{Result, ensure};
use e2e::delivery::{Commit, Team};
use e2e::stage::{App, Scene};

use super::REPLICAS;
use crate::flux::{APP, CANARY, INTERVAL, NOTE, SHOP, canary, note};

/// The chart's folder, as a path from the repository's root.
const CHART: &str = "./chart";
const RELEASE: &str = "release.yaml";
/// Which files Flux applies.
const LIST: &str = "kustomization.yaml";

/// A `HelmRelease`'s values, and how Helm applies.
pub(super) struct Values {
    pub(super) tag: &'static str,
    /// `None` takes the size out of the Deployment.
    pub(super) replicas: Option<usize>,
    pub(super) canary: bool,
    pub(super) apply: Apply,
}

/// How Helm applies.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Apply {
    /// As Helm 4 does.
    ServerSide,
    /// As Helm 3 did, and as releases that it began go on.
    ClientSide,
    /// Such a release, told to go over to the server side.
    Moved,
}

/// Pushes the chart and its first release.
pub(super) async fn begin(team: &Team<'_>, values: &Values) -> Result<Commit> {
    let scene = team.scene;
    let app = App::new(SHOP, "{{ .Values.tag }}").yaml(&scene.namespace);
    let sized = "\nspec:{{ with .Values.replicas }}\n  replicas: {{ . }}{{ end }}\n  selector: {matchLabels";
    let app = app.replacen("\nspec:\n  selector: {matchLabels", sized, 1);
    ensure!(app.contains("replicas"), "a chart without a size: {app}");
    let canary = canary(scene, &format!("replicas: {REPLICAS}\n"));
    let canary = format!("{{{{ if .Values.canary }}}}\n{canary}{{{{ end }}}}\n");
    let files = [
        (
            "Chart.yaml",
            "{apiVersion: v2, name: shop, version: 0.1.0}\n",
        ),
        (&format!("templates/{APP}"), &app),
        (&format!("templates/{CANARY}"), &canary),
    ];
    let files = files.map(|(path, text)| (format!("{CHART}/{path}"), text));
    let mut all: Vec<_> = files.iter().map(|(path, text)| (&**path, *text)).collect();
    let (note, release) = (note(scene), manifest(scene, values));
    let listed = listed(&[NOTE, RELEASE]);
    all.extend([(NOTE, note.as_str()), (RELEASE, &release), (LIST, &listed)]);
    team.push(&all, "shop").await
}

/// Pushes other values.
pub(super) async fn release(team: &Team<'_>, values: &Values, message: &str) -> Result<Commit> {
    let release = manifest(team.scene, values);
    team.push(&[(RELEASE, &release)], message).await
}

/// Pushes the end of the release.
pub(super) async fn end(team: &Team<'_>) -> Result<Commit> {
    team.push(&[(LIST, &listed(&[NOTE]))], "No shop any more")
        .await
}

fn manifest(scene: &Scene<'_>, values: &Values) -> String {
    let Values {
        tag,
        replicas,
        canary,
        apply,
    } = values;
    let apply = match apply {
        Apply::ServerSide => "",
        Apply::ClientSide => "\n  install: {serverSideApply: false}",
        Apply::Moved => "\n  upgrade: {serverSideApply: enabled}",
    };
    let replicas = replicas.map_or("null".to_owned(), |replicas| replicas.to_string());
    let namespace = &scene.namespace;
    format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: {SHOP}, namespace: {namespace}}}
spec:
  interval: {INTERVAL}
  timeout: 1m
  serviceAccountName: flux{apply}
  chart:
    spec:
      chart: {CHART}
      sourceRef: {{kind: GitRepository, name: team}}
  driftDetection: {{mode: enabled}}
  values: {{tag: {tag}, replicas: {replicas}, canary: {canary}}}
"
    )
}

/// Which files of the repository Flux applies: templates of a chart are none of them.
fn listed(files: &[&str]) -> String {
    let files = files.join(", ");
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [{files}]\n"
    )
}
