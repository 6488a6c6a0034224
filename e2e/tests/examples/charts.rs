//! The values that Argo CD, Flux and people give to charts, by Helm and those charts.
//!
//! Cilium's chart is of the version that the examples name. Istio's are of a later line than the examples name, since no
//! release of it can be had as a module.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::paths;
use serde_json::{Value, json};

use super::Stage;
use super::files::{Manifest, documents, manifests, read, value};

/// Istio's charts keep their defaults here, and merge them with a profile and the user's values.
const ISTIO_DEFAULTS: &str = "/_internal_defaults_do_not_set";
/// Values that charts take and their `values.yaml` has as a comment alone. What comes of them is looked at by preflight.
const COMMENTED: [&str; 1] = ["cilium.socketLB.hostNamespaceOnly"];
/// Values files that people give to Helm, and to which chart.
const BY_HAND: [(&str, &str); 3] = [
    ("cilium-below-ambient/values.yaml", "cilium"),
    ("cilium-mesh/values.yaml", "cilium"),
    ("prometheus-operator/sluice-values.yaml", "sluice"),
];

/// A chart as it is to be installed.
#[derive(Debug)]
struct Release {
    whose: String,
    chart: String,
    namespace: String,
    values: Value,
}

pub(super) async fn take_the_values(stage: &Stage) -> Result<()> {
    let releases = releases(stage)?;
    let mut charts: Vec<_> = releases.iter().map(|one| one.chart.as_str()).collect();
    charts.sort_unstable();
    charts.dedup();
    ensure!(
        charts == ["base", "cilium", "cni", "istiod", "sluice", "ztunnel"],
        "{charts:?}"
    );
    for release in &releases {
        let made = render(stage, release).with_context(|| release.whose.clone())?;
        let unknown = unknown(stage, release)?;
        ensure!(
            unknown.is_empty(),
            "{}: no value {unknown:?}",
            release.whose
        );
        // What it makes is ours to answer for.
        if release.chart == "sluice" {
            for object in documents(&made)? {
                let answer = stage.bare.try_out(&object).await?;
                let (kind, whose) = (&object["kind"], &release.whose);
                ensure!(answer.is_ok(), "{kind} of {whose}: {answer:?}");
            }
        }
    }
    let told: Vec<_> = releases.iter().map(|one| one.whose.as_str()).collect();
    println!("rendered: {}", told.join(", "));
    Ok(())
}

/// So that the story above is known to look.
pub(super) async fn refuse_what_is_wrong(stage: &Stage) -> Result<()> {
    for (chart, values, says) in [
        ("sluice", json!({"image": {"repo": "x"}}), "repo"),
        (
            "sluice",
            json!({"serviceMonitor": {"interval": "often"}}),
            "interval",
        ),
        ("istiod", json!({"profile": "ambience"}), "unknown profile"),
        ("istiod", json!({"autoscaleMinimum": 2}), "autoscaleMinimum"),
        ("cni", json!({"ambient": {"on": true}}), "ambient.on"),
        ("ztunnel", json!({"profil": "ambient"}), "profil"),
        ("cilium", json!({"cni": {"exclusive": "no"}}), "exclusive"),
        (
            "cilium",
            json!({"socketLb": {"hostNamespaceOnly": true}}),
            "socketLb",
        ),
    ] {
        let release = Release {
            whose: "a test".to_owned(),
            chart: chart.to_owned(),
            namespace: "default".to_owned(),
            values,
        };
        let said = match render(stage, &release) {
            Err(refusal) => format!("{refusal:#}"),
            Ok(_) => unknown(stage, &release)?.join(" "),
        };
        ensure!(said.contains(says), "{release:?}: {said:?}");
    }
    Ok(())
}

/// The `PodMonitor`s name ports that pods have.
pub(super) async fn make_the_ports_that_are_scraped(stage: &Stage) -> Result<()> {
    let monitors = documents(&read("prometheus-operator/monitors.yaml")?)?;
    let port = |name: &str| {
        let of = monitors
            .iter()
            .find(|monitor| monitor["metadata"]["name"] == name);
        let port = of.and_then(|of| of["spec"]["podMetricsEndpoints"][0]["port"].as_str());
        port.context("a PodMonitor without a port")
    };
    // istiod makes waypoints of a template in its chart.
    let waypoint = fs::read_to_string(stage.chart("istiod").join("files/waypoint.yaml"))?;
    let line = format!("name: {}\n", port("waypoints")?);
    ensure!(waypoint.contains(&line), "no waypoint has {line}");

    let ztunnel = Release {
        whose: "ztunnel".to_owned(),
        chart: "ztunnel".to_owned(),
        namespace: "istio-system".to_owned(),
        values: json!({}),
    };
    let objects = documents(&render(stage, &ztunnel)?)?;
    let daemon = objects.iter().find(|object| object["kind"] == "DaemonSet");
    let pod = &daemon.context("ztunnel is no DaemonSet")?["spec"]["template"];
    ensure!(pod["metadata"]["labels"]["app"] == "ztunnel", "{pod}");
    let ports = pod["spec"]["containers"][0]["ports"].as_array();
    let named = port("ztunnel")?;
    let found = ports.is_some_and(|ports| ports.iter().any(|port| port["name"] == named));
    ensure!(found, "ztunnel has no port {named}: {ports:?}");
    Ok(())
}

/// What a chart makes of a values file.
pub(super) fn made_of(
    stage: &Stage,
    chart: &str,
    namespace: &str,
    file: &str,
) -> Result<Vec<Value>> {
    let release = Release {
        whose: file.to_owned(),
        chart: chart.to_owned(),
        namespace: namespace.to_owned(),
        values: value(file)?,
    };
    documents(&render(stage, &release)?)
}

fn render(stage: &Stage, release: &Release) -> Result<String> {
    let values = paths::scratch("values.yaml")?;
    fs::write(&values, release.values.to_string())?;
    let (chart, file) = (stage.chart(&release.chart), values.to_string_lossy());
    let made = stage.helm().run(&[
        "template",
        &release.chart,
        &chart.to_string_lossy(),
        "--namespace",
        &release.namespace,
        "--values",
        &file,
    ]);
    fs::remove_file(&values)?;
    made
}

/// Values that the chart does not know. Ours has a schema that refuses them.
fn unknown(stage: &Stage, release: &Release) -> Result<Vec<String>> {
    let defaults = fs::read_to_string(stage.chart(&release.chart).join("values.yaml"))?;
    let defaults: Value = serde_yaml_ng::from_str(&defaults)?;
    let mut known = defaults
        .pointer(ISTIO_DEFAULTS)
        .unwrap_or(&defaults)
        .clone();
    if defaults.pointer(ISTIO_DEFAULTS).is_some() {
        known["profile"] = json!("");
    }
    let mut unknown = Vec::new();
    let mut left = vec![(release.chart.clone(), &release.values, &known)];
    while let Some((path, value, known)) = left.pop() {
        // An empty map, or none, is for users to fill.
        let (Some(value), Some(known)) = (value.as_object(), known.as_object()) else {
            continue;
        };
        for (key, value) in value.iter().filter(|_| !known.is_empty()) {
            let path = format!("{path}.{key}");
            match known.get(key) {
                Some(known) => left.push((path, value, known)),
                None if COMMENTED.contains(&path.as_str()) => {}
                None => unknown.push(path),
            }
        }
    }
    Ok(unknown)
}

fn releases(stage: &Stage) -> Result<Vec<Release>> {
    let manifests = manifests(&stage.kubectl)?;
    let mut releases = Vec::new();
    for manifest in &manifests {
        if manifest.is("Application") {
            releases.extend(by_argo(manifest));
        } else if manifest.is("HelmRelease") {
            releases.push(by_flux(manifest, &manifests)?);
        }
    }
    for (file, chart) in BY_HAND {
        releases.push(Release {
            whose: file.to_owned(),
            chart: chart.to_owned(),
            namespace: "default".to_owned(),
            values: value(file)?,
        });
    }
    Ok(releases)
}

/// Of an Application that installs a chart.
fn by_argo(application: &Manifest) -> Option<Release> {
    let spec = &application.object["spec"];
    let values = &spec["source"]["helm"]["valuesObject"];
    Some(Release {
        whose: application.title(),
        chart: spec["source"]["chart"].as_str()?.to_owned(),
        namespace: spec["destination"]["namespace"].as_str()?.to_owned(),
        values: if values.is_null() {
            json!({})
        } else {
            values.clone()
        },
    })
}

fn by_flux(release: &Manifest, all: &[Manifest]) -> Result<Release> {
    let spec = &release.object["spec"];
    let chart = spec["chart"]["spec"]["chart"].as_str();
    let chart = chart.or_else(|| spec["chartRef"]["name"].as_str());
    let from = spec["valuesFrom"][0]["name"].as_str();
    let values = match from {
        None if spec["values"].is_null() => json!({}),
        None => spec["values"].clone(),
        Some(name) => {
            let map = all
                .iter()
                .find(|one| one.is("ConfigMap") && one.text("/metadata/name") == Some(name));
            let Some(text) = map.and_then(|map| map.text("/data/values.yaml")) else {
                bail!(
                    "{} takes values from {name}, which is not there",
                    release.title()
                );
            };
            serde_yaml_ng::from_str(text)?
        }
    };
    Ok(Release {
        whose: release.title(),
        chart: chart.context("a release without a chart")?.to_owned(),
        namespace: release
            .text("/metadata/namespace")
            .unwrap_or_default()
            .to_owned(),
        values,
    })
}
