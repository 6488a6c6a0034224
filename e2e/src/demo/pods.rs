//! The pods of a revision: which they are, and whether one was restarted.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;

use crate::stage::Scene;

/// A revision's pods while it was judged, held against those that serve.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    /// Pods that were judged.
    pub(super) judged: usize,
    /// Pods that serve.
    pub(super) serving: usize,
    /// Judged pods that serve no more: replaced.
    pub(super) lost: usize,
    /// Restarts of containers in pods that serve.
    pub(super) restarts: i32,
}

impl Comparison {
    /// Looks at the pods that a revision has now.
    pub(super) async fn with(judged: &[String], scene: &Scene<'_>, revision: &str) -> Result<Self> {
        let serving = scene.pods(revision).await?;
        let serves = |uid: &&String| {
            let mut pods = serving.iter();
            pods.any(|pod| pod.metadata.uid.as_ref() == Some(*uid) && is_ready(pod))
        };
        Ok(Self {
            judged: judged.len(),
            lost: judged.len() - judged.iter().filter(serves).count(),
            restarts: serving.iter().map(restarts).sum(),
            serving: serving.iter().filter(|pod| is_ready(pod)).count(),
        })
    }

    /// Whether those that were judged serve, all of them and unchanged.
    pub(super) fn holds(&self) -> bool {
        self.judged > 0 && self.lost == 0 && self.restarts == 0
    }
}

/// UIDs of the ready pods of a revision.
pub(super) async fn ready(scene: &Scene<'_>, revision: &str) -> Result<Vec<String>> {
    let pods = scene.pods(revision).await?;
    let ready = pods.into_iter().filter(is_ready);
    Ok(ready.filter_map(|pod| pod.metadata.uid).collect())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| &status.conditions)
        .flatten();
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod
        .status
        .iter()
        .flat_map(|status| &status.container_statuses)
        .flatten();
    containers.map(|container| container.restart_count).sum()
}
