//! What a team delivers by a `HelmRelease`: helm-controller installs the chart, upgrades it, and corrects drift.

use std::time::Duration;

use anyhow::Result;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};

use super::Team;
use super::flux::HELM_USER;
use super::team::look_now;
use crate::cluster::audit;

/// How Helm names its records of a release.
const RECORD: &str = "sh.helm.release.";

impl Team<'_> {
    /// The team's `HelmRelease`s.
    #[must_use]
    pub fn releases(&self) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("helm.toolkit.fluxcd.io", "v2", "HelmRelease");
        self.scene.dynamic(&ApiResource::from_gvk(&gvk))
    }

    /// Tells helm-controller to look for drift now, as `flux reconcile helmrelease` does, and waits until it has looked.
    ///
    /// # Errors
    /// When the API server refuses, or it does not look.
    pub async fn reconcile_release(&self, name: &str, within: Duration) -> Result<()> {
        look_now(&self.releases(), name, within).await
    }

    /// What helm-controller wrote since `mark` to objects of a chart, as `verb resource/name`: its dry runs, its own
    /// objects, and Helm's records do not count.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn released_since(&self, mark: audit::Mark) -> Result<Vec<String>> {
        let mut written = self.written_by(HELM_USER, mark)?;
        written.retain(|line| !line.contains(RECORD));
        Ok(written)
    }
}
