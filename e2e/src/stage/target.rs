//! A Canary's target, and what others do to it: people, Git's tools, autoscalers.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use sluice_crds::Phase;

use super::look::{address, is_ready};
use super::witness::condition;
use super::{Scene, describe, eventually};
use crate::app::admin;

impl Scene<'_> {
    /// Waits until a Deployment has so many ready pods, all of its present template.
    ///
    /// # Errors
    /// When that takes longer than 20 s.
    pub async fn settled(&self, deployment: &str, pods: i32) -> Result<()> {
        let what = format!("{pods} ready pods of {deployment}");
        eventually(&what, Duration::from_secs(20), async || {
            let object = self.api::<Deployment>().get(deployment).await?;
            let current = object.metadata.generation;
            let status = object.status.unwrap_or_default();
            let counts = [
                status.replicas,
                status.updated_replicas,
                status.ready_replicas,
            ];
            let settled = counts.iter().all(|count| *count == Some(pods));
            Ok(if settled && status.observed_generation >= current {
                Ok(())
            } else {
                Err(format!("{counts:?}"))
            })
        })
        .await
    }

    /// `kubectl scale`: through the scale alone, as autoscalers do.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn scale_target(&self, deployment: &str, replicas: i32) -> Result<()> {
        let params = PatchParams {
            field_manager: Some("kubectl".to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.api::<Deployment>()
            .patch_scale(deployment, &params, &patch)
            .await?;
        Ok(())
    }

    /// The field managers that own `spec.replicas` of a Deployment.
    ///
    /// # Errors
    /// When there is no such Deployment.
    pub async fn owners_of_size(&self, deployment: &str) -> Result<Vec<String>> {
        let object = self.api::<Deployment>().get(deployment).await?;
        let owns_size = |fields: &serde_json::Value| fields.pointer("/f:spec/f:replicas").is_some();
        let entries = object.managed_fields().iter();
        let owners = entries.filter(|e| e.fields_v1.as_ref().is_some_and(|f| owns_size(&f.0)));
        Ok(owners.filter_map(|entry| entry.manager.clone()).collect())
    }

    /// Requests that the ready pods of a selector answered, by pod.
    ///
    /// # Errors
    /// When a pod does not answer.
    pub async fn answered_by(&self, selector: &str) -> Result<Vec<(String, u64)>> {
        let pods = ListParams::default().labels(selector);
        let mut answered = Vec::new();
        for pod in self.api::<Pod>().list(&pods).await?.items {
            if is_ready(&pod) {
                let counts = admin::counts(address(&pod)?).await?;
                answered.push((pod.name_any(), counts.total));
            }
        }
        Ok(answered)
    }

    /// Waits until the condition Ready of a Canary has this reason and its message holds `words`;
    /// returns the message.
    ///
    /// # Errors
    /// When the time is up.
    pub async fn told(
        &self,
        canary: &str,
        reason: &str,
        words: &[&str],
        within: Duration,
    ) -> Result<String> {
        let what = format!("{reason} with {words:?}");
        self.until(canary, &what, within, |status| {
            let ready = condition(status, "Ready").ok()?;
            let says = words.iter().all(|part| ready.message.contains(part));
            (ready.reason == reason && says).then(|| ready.message.clone())
        })
        .await
    }

    /// Waits for the state in which nobody has anything left to do: Succeeded, Ready, and no word but
    /// that the revision serves; the target at 0.
    ///
    /// # Errors
    /// When that takes longer than 10 s.
    pub async fn clean(&self, canary: &str) -> Result<()> {
        let what = format!("{canary} in a clean state");
        eventually(&what, Duration::from_secs(10), async || {
            let status = self.status(canary).await?;
            let stable = status.stable.clone().unwrap_or_default();
            let ready = condition(&status, "Ready")?;
            let quiet = ready.message == format!("{stable} serves all requests")
                && ready.status == "True"
                && status.conditions.iter().all(|c| c.type_ != "Stalled");
            let clean = status.phase == Some(Phase::Succeeded) && quiet;
            Ok(if clean {
                Ok(())
            } else {
                Err(describe(&status))
            })
        })
        .await?;
        let target = self.api::<Deployment>().get_opt(canary).await?;
        let replicas = target.and_then(|target| target.spec?.replicas);
        ensure!(
            replicas.is_none_or(|replicas| replicas == 0),
            "the Deployment has {replicas:?} replicas"
        );
        Ok(())
    }
}
