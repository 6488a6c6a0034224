//! A team: a repository, a namespace, and Flux between them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::Delivery;
use super::flux::{HELM_MANAGER, MANAGER, USER};
use super::repository::{BRANCH, Commit, Repository};
use crate::cluster::audit;
use crate::stage::{Scene, eventually};

const FOLLOW: &str = include_str!("follow.yaml");
/// Name of the `GitRepository` and of the Kustomization.
const NAME: &str = "team";

/// A namespace that Flux keeps as a repository says.
pub struct Team<'a> {
    /// The namespace.
    pub scene: &'a Scene<'a>,
    /// Its repository.
    pub repository: Repository,
    url: String,
}

impl Delivery {
    /// Lets Flux follow a new repository in a scene's namespace, whose objects it looks at every
    /// `interval`, besides at every push.
    ///
    /// # Errors
    /// When `git` or the API server refuses.
    pub async fn team<'a>(&self, scene: &'a Scene<'a>, interval: &str) -> Result<Team<'a>> {
        let repository = self.git.repository(&scene.namespace).await?;
        self.team_of(scene, repository, interval).await
    }

    /// The same with the repository of a scene of that name that was before.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn team_of<'a>(
        &self,
        scene: &'a Scene<'a>,
        repository: Repository,
        interval: &str,
    ) -> Result<Team<'a>> {
        self.flux().await?;
        let url = self.git.address(&scene.namespace);
        let team = Team {
            scene,
            repository,
            url,
        };
        team.follow(interval).await?;
        Ok(team)
    }
}

impl Team<'_> {
    /// Applies what makes Flux follow the repository.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn follow(&self, interval: &str) -> Result<()> {
        self.follow_by(interval, "").await
    }

    /// The same with more of the Kustomization's spec, as YAML lines indented by two.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn follow_by(&self, interval: &str, more: &str) -> Result<()> {
        let yaml = format!("{FOLLOW}{more}")
            .replace("${NAMESPACE}", &self.scene.namespace)
            .replace("${URL}", &self.url)
            .replace("${BRANCH}", BRANCH)
            .replace("${INTERVAL}", interval);
        self.scene.stage.cluster.apply(&yaml).await?;
        Ok(())
    }

    /// Commits files and pushes.
    ///
    /// # Errors
    /// When `git` refuses.
    pub async fn push(&self, files: &[(&str, &str)], message: &str) -> Result<Commit> {
        let commit = self.repository.commit(files, message).await?;
        self.repository.push().await?;
        Ok(commit)
    }

    /// Commits the removal of files and pushes.
    ///
    /// # Errors
    /// When `git` refuses.
    pub async fn remove(&self, paths: &[&str], message: &str) -> Result<Commit> {
        let commit = self.repository.remove(paths, message).await?;
        self.repository.push().await?;
        Ok(commit)
    }

    /// Reverts a commit and pushes.
    ///
    /// # Errors
    /// When `git` refuses.
    pub async fn revert(&self, commit: &Commit) -> Result<Commit> {
        let commit = self.repository.revert(commit).await?;
        self.repository.push().await?;
        Ok(commit)
    }

    /// Waits until Flux says that this commit is applied and healthy; returns the message.
    ///
    /// # Errors
    /// When the time is up, with what it says instead.
    pub async fn healthy(&self, commit: &Commit, within: Duration) -> Result<String> {
        let what = format!("Flux ready with {commit}");
        eventually(&what, within, async || {
            let object = self.kustomization().get(NAME).await?;
            let ready = condition(&object, "Ready").cloned().unwrap_or_default();
            let message = text(&ready, "message");
            let applied = object.data.pointer("/status/lastAppliedRevision");
            let applied = applied.and_then(Value::as_str).unwrap_or_default();
            let fine = text(&ready, "status") == "True" && applied.ends_with(&commit.id);
            Ok(if fine { Ok(message) } else { Err(ready) })
        })
        .await
    }

    /// Waits until Flux' own condition Ready has this status and its message holds `words`.
    ///
    /// # Errors
    /// When the time is up, with what it says instead.
    pub async fn says(&self, status: &str, words: &[&str], within: Duration) -> Result<String> {
        let what = format!("Flux says {status} with {words:?}");
        eventually(&what, within, async || {
            let object = self.kustomization().get(NAME).await?;
            let ready = condition(&object, "Ready").cloned().unwrap_or_default();
            let message = text(&ready, "message");
            let fine =
                text(&ready, "status") == status && words.iter().all(|word| message.contains(word));
            Ok(if fine { Ok(message) } else { Err(ready) })
        })
        .await
    }

    /// Tells Flux to look now, as `flux reconcile kustomization` does, and waits until it has looked.
    ///
    /// # Errors
    /// When the API server refuses, or Flux does not look.
    pub async fn reconcile(&self, within: Duration) -> Result<()> {
        look_now(&self.kustomization(), NAME, within).await
    }

    /// Deletes the Kustomization, as an uninstall of the whole does: Flux then deletes all it made.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn leave(&self) -> Result<()> {
        self.kustomization()
            .delete(NAME, &kube::api::DeleteParams::default())
            .await?;
        Ok(())
    }

    /// What Flux wrote since `mark` to objects that the repository holds, as `verb resource/name`:
    /// its dry runs, and its own objects, do not count.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn written_since(&self, mark: audit::Mark) -> Result<Vec<String>> {
        self.written_by(USER, mark)
    }

    /// The same of one of Flux' controllers, as the audit log names it.
    pub(super) fn written_by(&self, user: &str, mark: audit::Mark) -> Result<Vec<String>> {
        let events = self.scene.stage.cluster.audit().since(mark)?;
        let counts = |event: &&audit::Event| {
            let group = event.object_ref.as_ref().map(|object| &object.api_group);
            event.by(user)
                && event.writes()
                && event.succeeded()
                && event.inside(&self.scene.namespace)
                && !event.request_uri.contains("dryRun=All")
                && !group.is_some_and(|group| group.ends_with("toolkit.fluxcd.io"))
                && !event.about("events")
        };
        let line = |event: &audit::Event| {
            let object = event.object_ref.clone().unwrap_or_default();
            format!("{} {}/{}", event.verb, object.resource, object.name)
        };
        Ok(events.iter().filter(counts).map(line).collect())
    }

    fn kustomization(&self) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("kustomize.toolkit.fluxcd.io", "v1", "Kustomization");
        self.scene.dynamic(&ApiResource::from_gvk(&gvk))
    }
}

/// The fields that Flux and Sluice both own of an object, their status left out: nobody may write
/// against the other.
#[must_use]
pub fn shared_fields(object: &DynamicObject) -> Vec<String> {
    let owned = |manager: &str| -> BTreeSet<String> {
        let entries = object.managed_fields().iter();
        let of = entries.filter(|entry| entry.manager.as_deref() == Some(manager));
        let mut paths = BTreeSet::new();
        for fields in of.filter_map(|entry| entry.fields_v1.as_ref()) {
            leaves(&fields.0, "", &mut paths);
        }
        paths
    };
    let ours = owned(sluice_crds::labels::MANAGER);
    let flux = [MANAGER, HELM_MANAGER].into_iter().flat_map(owned);
    flux.filter(|path| ours.contains(path)).collect()
}

fn leaves(fields: &Value, path: &str, into: &mut BTreeSet<String>) {
    let children = fields.as_object().filter(|children| !children.is_empty());
    let Some(children) = children else {
        into.insert(path.to_owned());
        return;
    };
    for (key, child) in children {
        leaves(child, &format!("{path}/{key}"), into);
    }
}

/// Tells Flux to look now at an object of its own, and waits until it has looked.
pub(super) async fn look_now(api: &Api<DynamicObject>, name: &str, within: Duration) -> Result<()> {
    let at = chrono::Utc::now().to_rfc3339();
    let asked = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": at}}});
    let params = PatchParams {
        field_manager: Some("flux-cli".to_owned()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &Patch::Merge(&asked)).await?;
    eventually("Flux has looked", within, async || {
        let object = api.get(name).await?;
        let handled = object.data.pointer("/status/lastHandledReconcileAt");
        let conditions = object.data.pointer("/status/conditions");
        let conditions = conditions.cloned().unwrap_or_default();
        let over = condition(&object, "Reconciling").is_none();
        Ok(if handled == Some(&json!(at)) && over {
            Ok(())
        } else {
            Err(conditions)
        })
    })
    .await
}

fn condition<'a>(object: &'a DynamicObject, kind: &str) -> Option<&'a Value> {
    let conditions = object.data.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
}

fn text(condition: &Value, field: &str) -> String {
    let text = condition.get(field).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
