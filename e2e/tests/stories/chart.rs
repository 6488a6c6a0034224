//! The chart on a real API server: installed, upgraded, uninstalled; and its own pods roll out, with its own rights.

mod starts;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::build;
use e2e::cluster::audit::Mark;
use e2e::helm::{self, Helm, NAMESPACE, RELEASE};
use e2e::paths;
use e2e::stage::{App, Scene, Stage, address, eventually, is_ready, list, no_failure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sluice_crds::Canary;

use crate::uninstall::{REPLICAS, adopted};

const KIND: &str = "canaries.sluice.dev";
/// For pods of Sluice to start, to fill their caches and to elect one.
const START: Duration = Duration::from_mins(1);
const ROLLOUT: Duration = Duration::from_secs(40);
/// Of the Prometheus operator's kinds, those that the chart has objects of.
const MONITORING: [&str; 2] = [
    "prometheusrules.monitoring.coreos.com",
    "servicemonitors.monitoring.coreos.com",
];

/// From a Sluice that `kubectl apply` installed to the chart, older kinds first; then everything on; then it goes, what
/// serves stays, and it comes again for one namespace alone. Each time the chart's pods roll out a version.
pub(crate) async fn installs_upgrades_and_leaves_everything_serving(stage: &Stage) -> Result<()> {
    let scene = stage.scene("charted").await?;
    let (app, load, pods) = adopted(&scene).await?;
    for name in MONITORING {
        let file = build::chart()?.monitoring.join(format!("{name}.json"));
        stage.cluster.apply(&fs::read_to_string(file)?).await?;
    }
    let accounts = Accounts::of(&scene).await?;
    stage.uninstall().await?;
    let mark = stage.cluster.audit().mark()?;
    let result = charted(&scene, &app, &accounts, mark).await;
    // Whatever happened, the stories after this one need the stage's own.
    let helm = with_cluster(stage)?;
    let _ = helm.output(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait"]);
    forget_the_lease(stage).await?;
    stage.install().await?;
    result?;
    scene.clean("shop").await?;
    no_failure(&load.stop().await)?;
    pods.never_below(REPLICAS)?;
    scene.close().await
}

/// Helm takes the right to release it before the last process ends. A Lease that its holder left behind would make the
/// next one wait, as after an outage.
async fn forget_the_lease(stage: &Stage) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(stage.cluster.client(), NAMESPACE);
    let all = DeleteParams::default();
    leases
        .delete_collection(&all, &ListParams::default())
        .await?;
    Ok(())
}

async fn charted(scene: &Scene<'_>, app: &App, accounts: &Accounts, mark: Mark) -> Result<()> {
    let helm = with_cluster(scene.stage)?;
    let dir = scene.stage.cluster.run_dir().join("chart");
    let older = older_chart(&dir)?;
    let run = |command: &[&str], chart: &Path, more: &[&str]| {
        let chart = chart.to_string_lossy();
        let place = [RELEASE, &*chart, "--namespace", NAMESPACE];
        helm.run(&[command, &place, more].concat())
    };

    // The kinds are there already, and no release owns them.
    let plain = values(&dir, "plain", &accounts.cluster, &json!({}))?;
    let plain = ["--values", &*plain.to_string_lossy(), "--create-namespace"];
    let refused = run(&["install"], &older, &plain).err();
    let why = refused.map(|error| error.to_string()).unwrap_or_default();
    ensure!(
        why.contains("invalid ownership metadata"),
        "kinds of somebody else: {why}"
    );
    let take = [&plain[..], &["--take-ownership"]].concat();
    let notes = run(&["install"], &older, &take)?;
    ensure!(notes.contains("works in all namespaces"), "{notes}");
    ensure!(columns(scene).await?.contains(&OLDER.to_owned()));
    accounts.cluster.token(scene).await?;
    acting(scene, "sluice", 2).await?;
    rolled_out(scene, &app.tagged("v2")).await?;

    let file = paths::workspace().join("e2e/tests/chart/values/everything.yaml");
    let file = file.to_string_lossy();
    // No such directory here, where containers share the machine's files.
    let record = json!({"record": {"enabled": false}});
    let own = values(&dir, "everything", &accounts.cluster, &record)?;
    let own = own.to_string_lossy();
    let everything = ["--values", &*file, "--values", &*own];
    let upgrade = run(&["upgrade"], &helm::chart(), &everything)?;
    ensure!(upgrade.contains("REVISION: 2"), "{upgrade}");
    acting(scene, "sluice", 3).await?;
    starts::told_each_time(scene).await?;
    starts::an_older_kind_is_told(scene).await?;
    acting(scene, "sluice", 3).await?;
    let kinds = columns(scene).await?;
    ensure!(
        kinds.contains(&"Phase".to_owned()) && !kinds.contains(&OLDER.to_owned()),
        "the kinds were not upgraded: {kinds:?}"
    );
    monitored(scene).await?;
    rolled_out(scene, &app.tagged("v3")).await?;

    // Helm takes the rights before the last process has ended: what it is refused from here on is no matter.
    nothing_was_forbidden(scene, mark, &accounts.cluster)?;
    helm.run(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait"])?;
    only_the_kinds_are_left(scene).await?;
    let canary = scene.api::<Canary>().get("shop").await?;
    ensure!(
        canary.metadata.deletion_timestamp.is_none(),
        "the Canary is going"
    );

    // The kinds that were kept are still those of this release.
    let namespace = &scene.namespace;
    let alone = json!({"watchNamespaces": [namespace]});
    let alone = values(&dir, "alone", &accounts.namespaced, &alone)?;
    let alone = ["--values", &*alone.to_string_lossy()];
    let mark = scene.stage.cluster.audit().mark()?;
    let notes = run(&["install"], &helm::chart(), &alone)?;
    ensure!(notes.contains(&format!("works in {namespace}.")), "{notes}");
    accounts.namespaced.token(scene).await?;
    acting(scene, &format!("sluice-{namespace}"), 2).await?;
    rolled_out(scene, &app.tagged("v4")).await?;
    nothing_was_forbidden(scene, mark, &accounts.namespaced)
}

/// A pod of Sluice gets its token as a file in place of the mount that a kubelet makes: there is no mount namespace.
struct Account {
    name: String,
    kubeconfig: PathBuf,
}

impl Account {
    async fn token(&self, scene: &Scene<'_>) -> Result<()> {
        let cluster = &scene.stage.cluster;
        let written = cluster
            .kubeconfig_for_service_account(NAMESPACE, &self.name)
            .await?;
        ensure!(written == self.kubeconfig, "{}", written.display());
        Ok(())
    }
}

/// Those that the chart makes.
struct Accounts {
    cluster: Account,
    namespaced: Account,
}

impl Accounts {
    /// Where their tokens will be. None is there yet, so that pods wait for theirs.
    async fn of(scene: &Scene<'_>) -> Result<Self> {
        let cluster = &scene.stage.cluster;
        let one = cluster
            .kubeconfig_for_service_account(NAMESPACE, "sluice")
            .await?;
        fs::remove_file(&one)?;
        let name = format!("sluice-{}", scene.namespace);
        let file = format!("{NAMESPACE}-{name}.kubeconfig");
        Ok(Self {
            namespaced: Account {
                name,
                kubeconfig: one.with_file_name(file),
            },
            cluster: Account {
                name: "sluice".to_owned(),
                kubeconfig: one,
            },
        })
    }
}

/// Values for pods that share one network: each listens at its own address.
fn values(dir: &Path, name: &str, account: &Account, more: &Value) -> Result<PathBuf> {
    let env = json!([
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "SLUICE_ADMIN_ADDRESS", "value": "$(POD_IP):8080"},
        {"name": "KUBECONFIG", "value": account.kubeconfig},
    ]);
    let mut values = more.as_object().cloned().unwrap_or_default();
    values.insert("extraEnv".to_owned(), env);
    let file = dir.join(format!("{name}.json"));
    fs::write(&file, Value::Object(values).to_string())?;
    Ok(file)
}

/// A printer column of the kinds before the upgrade.
const OLDER: &str = "Formerly";

/// The chart with a Canary kind that is not yet what it is now.
fn older_chart(dir: &Path) -> Result<PathBuf> {
    let chart = dir.join("older");
    helm::copy_chart(&chart)?;
    let file = chart.join("files/crds").join(format!("{KIND}.yaml"));
    let text = fs::read_to_string(&file)?;
    let older = text.replace("name: Phase\n", &format!("name: {OLDER}\n"));
    ensure!(older != text, "{} has no column Phase", file.display());
    fs::write(&file, older)?;
    Ok(chart)
}

fn with_cluster(stage: &Stage) -> Result<Helm> {
    let helm = Helm::new(&build::chart()?.helm);
    Ok(helm.with_kubeconfig(stage.cluster.admin_kubeconfig()))
}

async fn columns(scene: &Scene<'_>) -> Result<Vec<String>> {
    let kinds: Api<CustomResourceDefinition> = Api::all(scene.client());
    let versions = kinds.get(KIND).await?.spec.versions;
    let columns = versions
        .into_iter()
        .flat_map(|version| version.additional_printer_columns.unwrap_or_default());
    Ok(columns.map(|column| column.name).collect())
}

/// Waits until a Deployment of the chart runs as it should, and one of its pods leads.
async fn acting(scene: &Scene<'_>, name: &str, replicas: i32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(scene.client(), NAMESPACE);
    let pods: Api<Pod> = Api::namespaced(scene.client(), NAMESPACE);
    eventually(&format!("{name} acts"), START, async || {
        let deployment = deployments.get(name).await?;
        let status = deployment.status.unwrap_or_default();
        let current = status.observed_generation == deployment.metadata.generation;
        let counts = [
            status.replicas,
            status.updated_replicas,
            status.ready_replicas,
        ];
        if !current || counts != [Some(replicas); 3] {
            return Ok(Err(format!("{current} {counts:?}")));
        }
        let selector = deployment.spec.unwrap_or_default().selector;
        let labels = selector.match_labels.unwrap_or_default();
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let mut leaders = 0;
        for pod in pods
            .list(&ListParams::default().labels(&labels.join(",")))
            .await?
        {
            if is_ready(&pod) {
                let url = format!("http://{}/metrics", address(&pod)?);
                let Ok(answer) = reqwest::get(url).await else {
                    return Ok(Err("a pod does not answer".to_owned()));
                };
                let page = answer.text().await?;
                leaders += usize::from(page.lines().any(|line| line == "sluice_leader 1"));
            }
        }
        Ok(if leaders == 1 {
            Ok(())
        } else {
            Err(format!("{leaders} leaders"))
        })
    })
    .await
}

async fn rolled_out(scene: &Scene<'_>, app: &App) -> Result<()> {
    scene.deploy(app).await?;
    let end = scene.outcome(app, ROLLOUT).await?;
    let revision = scene.revision_of(app).await?;
    ensure!(end.stable == Some(revision), "{end:?}");
    Ok(())
}

/// The API server took what is for others, by their kinds' schemas.
async fn monitored(scene: &Scene<'_>) -> Result<()> {
    for kind in ["ServiceMonitor", "PrometheusRule"] {
        let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", kind);
        let kind = ApiResource::from_gvk(&gvk);
        let api: Api<DynamicObject> = Api::namespaced_with(scene.client(), NAMESPACE, &kind);
        api.get(RELEASE).await?;
    }
    let maps: Api<ConfigMap> = Api::namespaced(scene.client(), NAMESPACE);
    let board = maps.get("sluice-dashboard").await?.data.unwrap_or_default();
    let board = board.get("sluice.json").context("no board")?;
    let board: Value = serde_json::from_str(board)?;
    ensure!(board.get("panels").is_some(), "{board}");
    Ok(())
}

/// The rights that the chart grants are enough, for what runs: preflight says itself what it may not read.
fn nothing_was_forbidden(scene: &Scene<'_>, mark: Mark, account: &Account) -> Result<()> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{}", account.name);
    let mut events = scene.stage.cluster.audit().since(mark)?;
    events.retain(|event| event.by(&user));
    let asked = events.len();
    ensure!(asked > 30, "only {asked} requests of {user} in the log");
    events.retain(|event| {
        let answer = event.response_status.as_ref();
        let runs = event.user_agent.starts_with("sluice/");
        runs && answer.is_some_and(|answer| answer.code == 403)
    });
    ensure!(events.is_empty(), "forbidden: {}", list(&events));
    Ok(())
}

fn of_the_release() -> ListParams {
    ListParams::default().labels(&format!("app.kubernetes.io/instance={RELEASE}"))
}

async fn only_the_kinds_are_left(scene: &Scene<'_>) -> Result<()> {
    let kinds: Api<CustomResourceDefinition> = Api::all(scene.client());
    for entry in fs::read_dir(helm::chart().join("files/crds"))? {
        let file = entry?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let kind = kinds.get(&name).await?;
        ensure!(
            kind.metadata.deletion_timestamp.is_none(),
            "{name} is going"
        );
    }
    let of_the_release = of_the_release();
    let roles: Api<ClusterRole> = Api::all(scene.client());
    let roles = roles.list(&of_the_release).await?;
    let deployments: Api<Deployment> = Api::namespaced(scene.client(), NAMESPACE);
    let deployments = deployments.list(&of_the_release).await?;
    ensure!(
        roles.items.is_empty() && deployments.items.is_empty(),
        "left over: {roles:?} {deployments:?}"
    );
    Ok(())
}
