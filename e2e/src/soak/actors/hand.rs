//! What people, and Git on their behalf, do to one app.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice_crds::{Canary, CanaryStatus, annotations, labels};
use tokio::time::{Instant, sleep};

use super::Actors;
use crate::soak::journal::{Span, Written};
use crate::soak::schedule::{self, Deed};
use crate::soak::version::{Version, is_bad};
use crate::stage::EDITOR;

/// How long somebody tries again before it counts as the cluster's failure. An API server is away for
/// up to a minute; for up to 90 s more an old Canary waits for the mesh before it goes, and a new one
/// before it is adopted; and a second outage may follow at once.
const PATIENCE: Duration = Duration::from_mins(6);
const AGAIN: Duration = Duration::from_millis(500);

/// Why a deed made no sense just now; `None` when it was done.
type Skipped = Option<&'static str>;

impl Actors<'_> {
    /// Does it, with patience.
    pub(super) async fn attempt(self, canary: usize, deed: Deed) -> Result<Skipped> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.act(canary, deed).await {
                Ok(skipped) => return Ok(skipped),
                Err(error) if Instant::now() > deadline => {
                    return Err(error);
                }
                // The API server is down, or somebody else wrote the object: as a person would.
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    async fn act(self, canary: usize, deed: Deed) -> Result<Skipped> {
        let name = schedule::name(canary);
        let done = match deed {
            Deed::Push(version) => return self.push(canary, version).await,
            Deed::EditWeights(share) => return self.edit(&name, share).await,
            Deed::DeleteRoute => return self.delete_route(&name).await,
            Deed::StripService => return self.strip_service(&name).await,
            Deed::Promote | Deed::Abort | Deed::Retry => return self.order(&name, deed).await,
            Deed::WipeStatus => self.wipe(&name).await,
            Deed::ScaleTarget(pods) => {
                let api = self.scene.api::<Deployment>();
                patch(&api, &name, &json!({"spec": {"replicas": pods}})).await
            }
            Deed::Scale(pods) => {
                self.scene
                    .patch(&name, &json!({"spec": {"replicas": pods}}))
                    .await
            }
            Deed::DeleteCanary => self.delete(canary, &name).await,
            Deed::CreateCanary => self.create(canary, &name).await,
            Deed::Suspend => self.scene.suspend(&name, true).await,
            Deed::Resume => self.scene.suspend(&name, false).await,
        };
        done.map(|()| None)
    }

    /// A bad version is nobody's first: before an app is adopted, nothing stands between Git and its
    /// users.
    async fn push(self, canary: usize, version: Version) -> Result<Skipped> {
        let name = schedule::name(canary);
        if self
            .status(&name)
            .await?
            .is_none_or(|status| status.stable.is_none())
        {
            anyhow::bail!("{name} is not adopted");
        }
        self.scene.deploy(&version.app(&name)).await?;
        self.journal.write(|written, _| {
            written.pushed.insert(canary, version);
        });
        Ok(None)
    }

    /// Changes the weights; where there is one backend, and so nothing to weigh, the rule.
    async fn edit(self, name: &str, share: u32) -> Result<Skipped> {
        let routes = self.scene.routes(name).await?;
        let Some(route) = routes.into_iter().next() else {
            return Ok(Some("there is no route"));
        };
        let backends = crate::stage::weights(&route).unwrap_or_default();
        if backends.len() > 1 {
            let is_first = Cell::new(true);
            let weight = |_: &str| {
                if is_first.replace(false) {
                    share
                } else {
                    100 - share
                }
            };
            self.scene.edit_route(name, weight).await?;
            return Ok(None);
        }
        let mut route = route;
        let header = json!({"set": [{"name": "x-edited", "value": share.to_string()}]});
        let filter = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": header});
        let rule = route.data.pointer_mut("/spec/rules/0");
        let rule = rule
            .and_then(Value::as_object_mut)
            .context("a route without a rule")?;
        rule.insert("filters".to_owned(), json!([filter]));
        let params = PostParams {
            field_manager: Some(EDITOR.to_owned()),
            ..PostParams::default()
        };
        let name = route.name_any();
        self.scene
            .route_api()
            .replace(&name, &params, &route)
            .await?;
        Ok(None)
    }

    async fn delete_route(self, name: &str) -> Result<Skipped> {
        let routes = self.scene.routes(name).await?;
        let Some(route) = routes.first() else {
            return Ok(Some("there is no route"));
        };
        let api = self.scene.route_api();
        api.delete(&route.name_any(), &DeleteParams::default())
            .await?;
        Ok(None)
    }

    async fn strip_service(self, name: &str) -> Result<Skipped> {
        let api = self.scene.api::<Service>();
        let of = ListParams::default().labels(&format!("{}={name}", labels::CANARY));
        let services = api.list(&of).await?;
        let Some(service) = services.items.first() else {
            return Ok(Some("there is no Service"));
        };
        let nothing: serde_json::Map<String, Value> = service
            .labels()
            .keys()
            .map(|key| (key.clone(), Value::Null))
            .collect();
        let change = json!({"metadata": {"labels": nothing}});
        patch(&api, &service.name_any(), &change).await?;
        Ok(None)
    }

    async fn wipe(self, name: &str) -> Result<()> {
        let wiped = Patch::Merge(json!({"status": null}));
        let api = self.scene.api::<Canary>();
        api.patch_status(name, &PatchParams::default(), &wiped)
            .await?;
        Ok(())
    }

    async fn delete(self, canary: usize, name: &str) -> Result<()> {
        self.journal.write(|written, from| {
            let (what, to) = (canary, None);
            if !written
                .absent
                .iter()
                .any(|span| span.what == canary && span.to.is_none())
            {
                written.absent.push(Span { what, from, to });
            }
        });
        let api = self.scene.api::<Canary>();
        api.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until the old one is gone, and until the new one is adopted.
    async fn create(self, canary: usize, name: &str) -> Result<()> {
        let there = self.scene.api::<Canary>().get_opt(name).await?;
        match there {
            Some(there) if there.metadata.deletion_timestamp.is_some() => {
                anyhow::bail!("the deletion is not over: {:?}", there.status)
            }
            None => self.scene.canary(name, self.spec).await?,
            Some(_) => {}
        }
        let status = self.status(name).await?.context("no Canary")?;
        status.stable.context("not adopted again")?;
        self.journal
            .write(|written, now| Written::end(&mut written.absent, &canary, now));
        Ok(())
    }

    /// Orders are about the candidate of the moment. Nobody forces a version that is bad.
    async fn order(self, name: &str, deed: Deed) -> Result<Skipped> {
        let Some(status) = self.status(name).await? else {
            return Ok(Some("there is no Canary"));
        };
        // Who aborts the first revision of all wants the app left as it is: nothing is to be seen then.
        if matches!(deed, Deed::Abort) && status.stable.is_none() {
            return Ok(Some("it is not adopted yet"));
        }
        let rollout = status.rollout.as_ref();
        let candidate = match deed {
            Deed::Retry => status.candidate.filter(|_| rollout.is_none()),
            _ => rollout.map(|rollout| rollout.candidate.clone()),
        };
        let Some(candidate) = candidate else {
            return Ok(Some("there is no candidate"));
        };
        let annotation = match deed {
            Deed::Promote if self.is_bad(name, &candidate).await? => {
                return Ok(Some("the candidate is bad"));
            }
            Deed::Promote => annotations::PROMOTE,
            Deed::Abort => annotations::ABORT,
            _ => annotations::RETRY,
        };
        // Before the order is given: who judges must know it by then.
        self.journal.write(|written, _| match deed {
            Deed::Promote => {
                written.forced.insert(candidate.clone());
            }
            Deed::Abort => {
                written.aborted.insert(candidate.clone());
            }
            _ => {}
        });
        let again = self.journal.now().as_millis();
        let value = format!("{candidate}#{again}");
        self.scene.order(name, annotation, &value).await?;
        Ok(None)
    }

    async fn is_bad(self, name: &str, revision: &str) -> Result<bool> {
        let snapshots = self.scene.snapshots(name).await?;
        let mut found = snapshots
            .iter()
            .filter(|snapshot| snapshot.name_any() == revision);
        let image = found.next().and_then(super::super::watchers::tag);
        Ok(image.is_none_or(|tag| is_bad(&tag)))
    }

    async fn status(self, name: &str) -> Result<Option<CanaryStatus>> {
        let canary = self.scene.api::<Canary>().get_opt(name).await?;
        Ok(canary.map(|canary| canary.status.unwrap_or_default()))
    }
}

/// A merge patch, as [`EDITOR`].
async fn patch<K>(api: &Api<K>, name: &str, change: &Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let params = PatchParams {
        field_manager: Some(EDITOR.to_owned()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &Patch::Merge(change)).await?;
    Ok(())
}
