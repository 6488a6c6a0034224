//! Helm charts of others, from the modules that hold them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::progress::Progress;
use super::{modules, stamp};
use crate::{helm, paths};

/// Charts of one origin.
pub(super) struct Charts {
    /// Whose they are.
    what: &'static str,
    /// Folder under `e2e/tools` of the module that pins their version.
    module: &'static str,
    /// Where they are kept in the cache.
    folder: &'static str,
    /// The module that holds them.
    source: &'static str,
    /// Each by the name that it is published under, and where it lies in the module.
    charts: &'static [(&'static str, &'static str)],
}

pub(super) const ISTIO: Charts = Charts {
    what: "Istio's charts",
    module: "istio",
    folder: "charts-istio",
    source: "istio.io/istio",
    charts: &[
        ("base", "manifests/charts/base"),
        ("istiod", "manifests/charts/istio-control/istio-discovery"),
        ("cni", "manifests/charts/istio-cni"),
        ("ztunnel", "manifests/charts/ztunnel"),
    ],
};

pub(super) const CILIUM: Charts = Charts {
    what: "Cilium's chart",
    module: "examples",
    folder: "charts-cilium",
    source: "github.com/cilium/cilium",
    charts: &[("cilium", "install/kubernetes/cilium")],
};

/// The folder that holds each chart by its name.
pub(super) fn fetch(of: &Charts, progress: &Progress) -> Result<PathBuf> {
    let pins = paths::workspace().join("e2e/tools").join(of.module);
    let folder = paths::cache().join(of.folder);
    let digest = stamp::digest(&[pins.join("go.mod")], &[]);
    if stamp::matches(&folder, &digest) {
        return Ok(folder);
    }
    let stage = progress.start(of.what, None);
    let found = modules::folders(&pins, &[of.source])?;
    let source = found.get(of.source).context("an unexpected module")?;
    // A run that was stopped, or another version, may have left files.
    let _ = fs::remove_dir_all(&folder);
    for (name, inside) in of.charts {
        helm::copy(&source.join(inside), &folder.join(name))?;
    }
    stamp::record(&folder, &digest)?;
    stage.done();
    Ok(folder)
}
