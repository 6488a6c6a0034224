//! Resource definitions of others, from the modules that their programs are built with.
//!
//! Kept as one JSON file each: reading a megabyte of YAML at every start would cost seconds.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::progress::Progress;
use super::{modules, stamp};
use crate::paths;

/// Where definitions come from.
pub(super) struct Definitions {
    /// Whose they are.
    what: &'static str,
    /// Folder under `e2e/tools` of the module that pins their versions.
    module: &'static str,
    /// Where they are kept in the cache.
    folder: &'static str,
    /// Each module, and where its definitions lie in it.
    sources: &'static [(&'static str, &'static str)],
}

pub(super) const MESH: Definitions = Definitions {
    what: "resource definitions",
    module: "istio",
    folder: "crds",
    sources: &[
        ("sigs.k8s.io/gateway-api", "config/crd/standard"),
        ("istio.io/api", "kubernetes"),
    ],
};

/// The Prometheus operator's.
pub(super) const MONITORING: Definitions = Definitions {
    what: "resource definitions of the Prometheus operator",
    module: "prometheus-operator",
    folder: "crds-monitoring",
    sources: &[(
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd",
    )],
};

pub(super) const FLUX: Definitions = Definitions {
    what: "resource definitions of Flux",
    module: "flux",
    folder: "crds-flux",
    sources: &[
        ("github.com/fluxcd/source-controller", "config/crd/bases"),
        ("github.com/fluxcd/kustomize-controller", "config/crd/bases"),
    ],
};

/// Those of Helm by Flux, which has other dependencies than the rest of it.
pub(super) const FLUX_HELM: Definitions = Definitions {
    what: "resource definitions of Helm by Flux",
    module: "flux-helm",
    folder: "crds-flux-helm",
    sources: &[("github.com/fluxcd/helm-controller", "config/crd/bases")],
};

/// Argo CD's.
pub(super) const ARGOCD: Definitions = Definitions {
    what: "Argo CD's resource definitions",
    module: "argocd",
    folder: "crds-argocd",
    sources: &[("github.com/argoproj/argo-cd/v3", "manifests/crds")],
};

/// Of the tools that only examples are for.
pub(super) const EXAMPLES: Definitions = Definitions {
    what: "resource definitions of Cilium and of the OpenTelemetry operator",
    module: "examples",
    folder: "crds-examples",
    sources: &[
        (
            "github.com/cilium/cilium",
            "pkg/k8s/apis/cilium.io/client/crds/v2",
        ),
        (
            "github.com/open-telemetry/opentelemetry-operator",
            "config/crd/bases",
        ),
    ],
};

pub(super) fn fetch(of: &Definitions, progress: &Progress) -> Result<PathBuf> {
    let module = paths::workspace().join("e2e/tools").join(of.module);
    let folder = paths::cache().join(of.folder);
    let digest = stamp::digest(&[module.join("go.mod")], &[]);
    if stamp::matches(&folder, &digest) {
        return Ok(folder);
    }
    let stage = progress.start(of.what, None);
    let paths: Vec<_> = of.sources.iter().map(|(path, _)| *path).collect();
    let found = modules::folders(&module, &paths)?;
    // A run that was stopped, or another version, may have left files.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    for (path, inside) in of.sources {
        let source = found
            .get(*path)
            .context("an unexpected module")?
            .join(inside);
        let files =
            fs::read_dir(&source).with_context(|| format!("reading {}", source.display()))?;
        for entry in files {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                split(&path, &folder)?;
            }
        }
    }
    stamp::record(&folder, &digest)?;
    stage.done();
    Ok(folder)
}

/// Writes each definition of a YAML file to `folder/NAME.json`.
fn split(file: &Path, folder: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let object = serde_json::Value::deserialize(document)
            .with_context(|| format!("reading {}", file.display()))?;
        let name = object
            .pointer("/metadata/name")
            .and_then(serde_json::Value::as_str);
        if let Some(name) = name
            && object
                .get("kind")
                .is_some_and(|kind| kind == "CustomResourceDefinition")
        {
            fs::write(folder.join(format!("{name}.json")), object.to_string())?;
        }
    }
    Ok(())
}
