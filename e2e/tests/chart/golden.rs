//! What the chart makes, line by line.

use std::fs;

use e2e::helm::{self, NAMESPACE, copy_chart};
use e2e::paths;
use serde::Deserialize as _;
use serde_json::Value;

use super::{BLESS, files, helm, here, is_up_to_date};

const DEFINITION: &str = "CustomResourceDefinition";

fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

fn of_kind(documents: &[Value], kind: &str) -> Vec<Value> {
    let them = documents.iter().filter(|object| object["kind"] == kind);
    them.cloned().collect()
}

/// `text` with the content of the chart's own files told by their names.
fn without_files(mut text: String) -> String {
    for name in [
        "files/rules.yaml",
        "files/git-sync-rules.yaml",
        "files/board.json",
    ] {
        let content = fs::read_to_string(helm::chart().join(name)).unwrap();
        for indent in [2, 4] {
            let indented: Vec<_> = content
                .trim_end()
                .split('\n')
                .map(|line| " ".repeat(indent) + line)
                .collect();
            text = text.replace(&indented.join("\n"), &format!("# what {name} holds"));
        }
    }
    text
}

#[test]
fn of_each_set_of_values_is_as_reviewed() {
    let values = files("values");
    assert!(values.len() >= 2, "{values:?}");
    for values in values {
        let file = values.to_string_lossy();
        let more = ["--values", &file, "--set", "crds.install=false"];
        let made = helm().template(&helm::chart(), &more).unwrap();
        let golden = here("golden").join(values.file_name().unwrap());
        is_up_to_date(&golden, &without_files(made));
    }
}

/// What `kubectl apply` users get: the default values, without the words that say that Helm looks after it.
#[test]
fn of_the_default_values_is_what_kubectl_applies() {
    let made = without_helm(&["--set", "crds.install=false"]);
    let made = format!(
        "# Made from charts/sluice by its default values; do not edit. Made by:\n#   {BLESS}\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n{made}\n"
    );
    is_up_to_date(&paths::workspace().join("deploy/sluice.yaml"), &made);
}

/// And what those get who let it write to Git as well: they fill in the repository, and make the Secret.
#[test]
fn of_git_sync_is_what_kubectl_applies() {
    let values = "gitSync.enabled=true,gitSync.credentialsSecret=sluice-git,\
                  gitSync.repository=https://git.example.com/team/cluster.git";
    let only = ["--show-only", "templates/git-sync.yaml"];
    let made = without_helm(&[&["--set", values][..], &only].concat());
    let made = format!(
        "# Made from charts/sluice, by gitSync.enabled; fill in the repository. See docs/git-sync.md. Made by:\n\
         #   {BLESS}\n{made}\n"
    );
    is_up_to_date(&paths::workspace().join("deploy/git-sync.yaml"), &made);
}

/// And those who ask metrics with a Secret: they name it, and apply the right to read it where their policy is.
#[test]
fn of_metrics_credentials_is_what_kubectl_applies() {
    const WHERE: &str = "  namespace: \"shop\"\n";
    let values = r#"metricsCredentials=[{"namespace": "shop", "secrets": ["prometheus"]}]"#;
    let only = ["--show-only", "templates/metrics-credentials.yaml"];
    let made = without_helm(&[&["--set-json", values][..], &only].concat());
    assert_eq!(made.matches(WHERE).count(), 2, "{made}");
    let made = made.replace(WHERE, "");
    let made = format!(
        "# Made from charts/sluice, by metricsCredentials; fill in the Secret. Only where metrics.credentials names one: lets Sluice\n\
         # read it, by name. Apply it in the namespace of the Canary or CanaryPolicy; for a ClusterCanaryPolicy, in {NAMESPACE}.\n\
         # Whoever may write a Canary there can have Sluice send the Secret to an address of their choice: let it read none but\n\
         # those made for this. Made by:\n#   {BLESS}\n{made}\n"
    );
    let file = paths::workspace().join("deploy/metrics-credentials.yaml");
    is_up_to_date(&file, &made);
}

/// What the chart makes, without the lines that are Helm's.
fn without_helm(values: &[&str]) -> String {
    let made = helm().template(&helm::chart(), values).unwrap();
    let ours = |line: &&str| {
        let line = line.trim_start();
        !["helm.sh/", "app.kubernetes.io/managed-by:", "# Source:"]
            .iter()
            .any(|of_helm| line.starts_with(of_helm))
    };
    let lines: Vec<_> = made.lines().filter(ours).collect();
    lines.join("\n")
}

/// The kinds have one source, and Helm keeps them.
#[test]
fn has_the_kinds_as_they_are_generated() {
    let made = documents(&helm().template(&helm::chart(), &[]).unwrap());
    let folder = paths::workspace().join("crds/manifests");
    let mut generated = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        generated.extend(documents(
            &fs::read_to_string(entry.unwrap().path()).unwrap(),
        ));
    }
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    generated.sort_by_key(name);
    let mut kinds = of_kind(&made, DEFINITION);
    kinds.sort_by_key(name);
    assert_eq!(kinds, generated);
    assert!(!kinds.is_empty());
    for kind in &kinds {
        let policy = &kind["metadata"]["annotations"]["helm.sh/resource-policy"];
        assert_eq!(policy, "keep", "{}", name(kind));
    }
    let none = helm()
        .template(&helm::chart(), &["--set", "crds.install=false"])
        .unwrap();
    assert_eq!(of_kind(&documents(&none), DEFINITION), Vec::<Value>::new());
}

/// What users are given is the archive: the link must have become files.
#[test]
fn is_the_same_from_an_archive() {
    let folder = paths::scratch("archive").unwrap();
    let to = folder.to_string_lossy();
    let chart = helm::chart();
    helm()
        .run(&["package", &chart.to_string_lossy(), "--destination", &to])
        .unwrap();
    let archive = folder.join(format!("sluice-{}.tgz", env!("CARGO_PKG_VERSION")));
    let packed = helm().template(&archive, &[]);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(packed.unwrap(), helm().template(&chart, &[]).unwrap());
}

/// A chart that came without the definitions says so; else an upgrade would take them for removed.
#[test]
fn without_the_kinds_is_refused() {
    let folder = paths::scratch("bare").unwrap();
    copy_chart(&folder).unwrap();
    fs::remove_dir_all(folder.join("files/crds")).unwrap();
    let made = helm().template(&folder, &[]);
    fs::remove_dir_all(&folder).unwrap();
    let error = made.unwrap_err().to_string();
    assert!(error.contains("without crds/manifests"), "{error}");
}

#[test]
fn passes_helm_lint() {
    let chart = helm::chart();
    let chart = chart.to_string_lossy();
    let lint = ["lint", "--strict", &chart, "--namespace", NAMESPACE];
    helm().run(&lint).unwrap();
    for values in files("values") {
        let file = values.to_string_lossy();
        helm()
            .run(&[&lint[..], &["--values", &file]].concat())
            .unwrap();
    }
}

/// The image's tag is the chart's `appVersion`.
#[test]
fn has_the_version_of_the_program() {
    let text = fs::read_to_string(helm::chart().join("Chart.yaml")).unwrap();
    let chart: Value = serde_yaml_ng::from_str(&text).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
