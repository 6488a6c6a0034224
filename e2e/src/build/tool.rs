//! The Go programs of the cluster: where each comes from, and how one already installed is found.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::stamp;
use crate::paths;

/// A program that is found, or built from a module under `e2e/tools`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    /// The program's name.
    pub(super) name: &'static str,
    /// Folder of its module under `e2e/tools`.
    module: &'static str,
    /// Its package.
    pub(super) package: &'static str,
    /// Arguments of `go build` beside `-trimpath`.
    pub(super) flags: &'static [&'static str],
    /// Processor time of a build with nothing cached but the tools before it in [`ALL`].
    cpu_seconds: u64,
    /// Oldest version taken from this machine; `None`: always built.
    oldest: Option<(u32, u32)>,
}

/// Kubernetes programs take their version at link time, and without it call themselves v0.0.0.
const KUBERNETES_LDFLAGS: &str = "-ldflags=-s -w \
    -X k8s.io/component-base/version.gitVersion=v1.35.4 \
    -X k8s.io/component-base/version.gitMajor=1 \
    -X k8s.io/component-base/version.gitMinor=35";
/// Without a cluster Helm renders for the Kubernetes that it was linked for, and else for 1.20.
const HELM_LDFLAGS: &str = "-ldflags=-s -w \
    -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 \
    -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35 \
    -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 \
    -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=35";
const LDFLAGS: &str = "-ldflags=-s -w";

pub(super) const KUBE_APISERVER: Tool = Tool {
    name: "kube-apiserver",
    module: "kubernetes",
    package: "k8s.io/kubernetes/cmd/kube-apiserver",
    flags: &[KUBERNETES_LDFLAGS],
    cpu_seconds: 380,
    oldest: Some((1, 33)),
};
pub(super) const KUBE_CONTROLLER_MANAGER: Tool = Tool {
    name: "kube-controller-manager",
    module: "kubernetes",
    package: "k8s.io/kubernetes/cmd/kube-controller-manager",
    flags: &[KUBERNETES_LDFLAGS],
    cpu_seconds: 100,
    oldest: Some((1, 33)),
};
pub(super) const ETCD: Tool = Tool {
    name: "etcd",
    module: "kubernetes",
    package: "go.etcd.io/etcd/server/v3",
    flags: &[LDFLAGS],
    cpu_seconds: 20,
    oldest: Some((3, 5)),
};
pub(super) const KUBECTL: Tool = Tool {
    name: "kubectl",
    module: "kubernetes",
    package: "k8s.io/kubernetes/cmd/kubectl",
    flags: &[KUBERNETES_LDFLAGS],
    cpu_seconds: 40,
    oldest: Some((1, 33)),
};
pub(super) const PROMETHEUS: Tool = Tool {
    name: "prometheus",
    module: "prometheus",
    package: "github.com/prometheus/prometheus/cmd/prometheus",
    // Of its service discoveries only files are used; the others bring in every cloud's SDK.
    flags: &[LDFLAGS, "-tags=remove_all_sd"],
    cpu_seconds: 200,
    oldest: Some((3, 0)),
};
pub(super) const PILOT_DISCOVERY: Tool = Tool {
    name: "pilot-discovery",
    module: "istio",
    package: "istio.io/istio/pilot/cmd/pilot-discovery",
    flags: &[LDFLAGS],
    cpu_seconds: 400,
    // The waypoints' EnvoyFilters fit this very version.
    oldest: None,
};

pub(super) const PROMTOOL: Tool = Tool {
    name: "promtool",
    module: "prometheus",
    package: "github.com/prometheus/prometheus/cmd/promtool",
    flags: &[LDFLAGS, "-tags=remove_all_sd"],
    cpu_seconds: 85,
    oldest: Some((3, 0)),
};
pub(super) const OTELCOL: Tool = Tool {
    name: "otelcol",
    module: "otelcol",
    package: "sluice.dev/e2e/tools/otelcol",
    flags: &[LDFLAGS, "-tags=remove_all_sd"],
    cpu_seconds: 275,
    // Another one has other components.
    oldest: None,
};

pub(super) const HELM: Tool = Tool {
    name: "helm",
    module: "helm",
    package: "helm.sh/helm/v3/cmd/helm",
    flags: &[HELM_LDFLAGS],
    cpu_seconds: 130,
    // Another one says otherwise what is wrong with values, and writes other YAML.
    oldest: None,
};

/// What tries out the chart and its alerts.
pub(super) const CHART: [Tool; 2] = [PROMTOOL, HELM];
pub(super) const SOURCE_CONTROLLER: Tool = Tool {
    name: "source-controller",
    module: "flux",
    package: "github.com/fluxcd/source-controller",
    flags: &[LDFLAGS],
    cpu_seconds: 300,
    // The stories show how this very version behaves.
    oldest: None,
};
pub(super) const KUSTOMIZE_CONTROLLER: Tool = Tool {
    name: "kustomize-controller",
    module: "flux",
    package: "github.com/fluxcd/kustomize-controller",
    flags: &[LDFLAGS],
    cpu_seconds: 120,
    oldest: None,
};
pub(super) const HELM_CONTROLLER: Tool = Tool {
    name: "helm-controller",
    module: "flux-helm",
    package: "github.com/fluxcd/helm-controller",
    flags: &[LDFLAGS],
    cpu_seconds: 190,
    oldest: None,
};
pub(super) const KSTATUS: Tool = Tool {
    name: "kstatus",
    module: "flux",
    package: "sluice.dev/e2e/tools/flux/kstatus",
    flags: &[LDFLAGS],
    cpu_seconds: 5,
    oldest: None,
};

/// Flux, in the order of building, after [`ALL`].
pub(super) const FLUX: [Tool; 4] = [
    SOURCE_CONTROLLER,
    KUSTOMIZE_CONTROLLER,
    KSTATUS,
    HELM_CONTROLLER,
];

pub(super) const ARGOCD_LUA: Tool = Tool {
    name: "argocd-lua",
    module: "argocd",
    package: "sluice.dev/e2e/tools/argocd",
    flags: &[LDFLAGS],
    cpu_seconds: 200,
    // Ours.
    oldest: None,
};
pub(super) const ARGOCD: Tool = Tool {
    name: "argocd",
    module: "argocd",
    package: "github.com/argoproj/argo-cd/v3/cmd",
    flags: &[LDFLAGS],
    cpu_seconds: 300,
    // What it is asked to run with fits this very version.
    oldest: None,
};

/// What tries out the rules and configurations for users, in the order of building, after [`ALL`].
pub(super) const TELEMETRY: [Tool; 2] = [PROMTOOL, OTELCOL];

/// In the order of building: each reuses packages of those before it.
pub(super) const ALL: [Tool; 6] = [
    KUBE_APISERVER,
    KUBE_CONTROLLER_MANAGER,
    ETCD,
    KUBECTL,
    PROMETHEUS,
    PILOT_DISCOVERY,
];

impl Tool {
    /// The folder of its module.
    pub(super) fn module(&self) -> PathBuf {
        paths::workspace().join("e2e/tools").join(self.module)
    }

    /// Where a build puts it.
    pub(super) fn built(&self) -> PathBuf {
        paths::cache().join("bin").join(self.name)
    }

    /// What a build depends on.
    pub(super) fn digest(&self) -> String {
        let module = self.module();
        let words: Vec<&str> = [self.package]
            .into_iter()
            .chain(self.flags.iter().copied())
            .collect();
        // Most programs come from a module of others, and have no source here.
        let main = Path::new(self.name).join("main.go");
        let files = ["go.mod", "go.sum", "main.go"].map(PathBuf::from);
        let files: Vec<_> = files.into_iter().chain([main]).collect();
        let files: Vec<_> = files.iter().map(|file| module.join(file)).collect();
        stamp::digest(&files, &words)
    }

    /// The program to run: installed on this machine, or built before.
    pub(super) fn path(&self) -> Result<PathBuf> {
        self.find()
            .with_context(|| format!("{} is neither installed nor built", self.name))
    }

    pub(super) fn is_at_hand(&self) -> bool {
        self.find().is_some()
    }

    /// How long a build takes here, roughly.
    pub(super) fn estimate(&self) -> Duration {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Linking and a package's own compilation use one core: more than 8 hardly help.
        Duration::from_secs(self.cpu_seconds / u64::try_from(cores.min(8)).unwrap_or(1))
    }

    fn find(&self) -> Option<PathBuf> {
        let built = self.built();
        if stamp::matches(&built, &self.digest()) {
            return Some(built);
        }
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = assets.into_iter().chain(std::env::split_paths(&path));
        folders
            .map(|folder| folder.join(self.name))
            .find(|program| self.serves(program))
    }

    fn serves(&self, program: &Path) -> bool {
        let Some(oldest) = self.oldest else {
            return false;
        };
        program.is_file() && version(program, self.name).is_some_and(|found| found >= oldest)
    }
}

/// The first `MAJOR.MINOR` that the program says of itself.
fn version(program: &Path, name: &str) -> Option<(u32, u32)> {
    let args: &[&str] = if name == "kubectl" {
        &["version", "--client"]
    } else {
        &["--version"]
    };
    let output = Command::new(program).args(args).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    first_version(&String::from_utf8_lossy(&said))
}

fn first_version(text: &str) -> Option<(u32, u32)> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .find_map(|word| {
            let mut parts = word.split('.').map(str::parse);
            match (parts.next(), parts.next()) {
                (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
                _ => None,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::first_version;

    #[test]
    fn reads_what_programs_say_of_themselves() {
        assert_eq!(first_version("Kubernetes v1.35.4"), Some((1, 35)));
        assert_eq!(
            first_version("etcd Version: 3.6.5\nGit SHA: 1a2b3"),
            Some((3, 6))
        );
        assert_eq!(
            first_version("prometheus, version 3.4.1 (branch: HEAD)"),
            Some((3, 4))
        );
        assert_eq!(first_version("unknown"), None);
    }
}
