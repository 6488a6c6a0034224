//! An Application: a folder of a repository, which Argo CD keeps a namespace in accord with.

use std::time::Duration;

use anyhow::Result;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use serde_json::{Value, json};

use super::{ArgoCd, NAMESPACE};
use crate::stage::{Recording, eventually};

/// How Argo CD applies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Apply {
    /// As `kubectl apply` does, with the last manifest in an annotation. Its default.
    ClientSide,
    /// As `kubectl apply --server-side` does.
    ServerSide,
}

impl Apply {
    /// As in the name of a namespace.
    #[must_use]
    pub const fn side(self) -> &'static str {
        match self {
            Self::ClientSide => "client",
            Self::ServerSide => "server",
        }
    }
}

/// A sync operation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Operation {
    /// When it began.
    pub began: String,
    /// The commit that it was to bring.
    pub revision: String,
    /// What self-heal asked to be as in Git again, as `Kind/name`; empty where a commit asked for all.
    pub heals: Vec<String>,
}

/// What an Application's status says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// Synced, `OutOfSync` or Unknown.
    pub sync: String,
    /// The commit that was compared with.
    pub revision: String,
    /// Healthy, Progressing, Suspended, Degraded, Missing or Unknown.
    pub health: String,
    /// The last sync operation.
    pub operation: Operation,
    /// What became of it.
    pub outcome: String,
    /// The health of the Canary, and why.
    pub canary: (String, String),
    /// What is there on one side alone, Git or the cluster, as `Kind/name`.
    pub on_one_side: Vec<String>,
}

/// An Application with automated sync, prune and self-heal.
pub struct Application {
    name: String,
    api: Api<DynamicObject>,
}

impl ArgoCd {
    /// Lets Argo CD deliver the repository at a URL to a namespace.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn deliver(&self, url: &str, namespace: &str, apply: Apply) -> Result<Application> {
        let options = match apply {
            Apply::ClientSide => vec![],
            Apply::ServerSide => vec!["ServerSideApply=true"],
        };
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {
                "name": namespace, "namespace": NAMESPACE,
                // Deleted, it takes along what it delivered, in the foreground.
                "finalizers": ["resources-finalizer.argocd.argoproj.io"],
            },
            "spec": {
                "project": "default",
                "source": {"repoURL": url, "targetRevision": "main", "path": "."},
                "destination": {"server": self.server, "namespace": namespace},
                "syncPolicy": {
                    "automated": {"prune": true, "selfHeal": true},
                    "syncOptions": options,
                },
            },
        });
        let api = self.applications();
        api.create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        Ok(Application {
            name: namespace.to_owned(),
            api,
        })
    }
}

impl Application {
    /// What its status says now.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn state(&self) -> Result<State> {
        Ok(state(&self.api.get(&self.name).await?))
    }

    /// Waits until a commit is delivered: compared with, and nothing left to sync.
    ///
    /// # Errors
    /// When that takes longer than half a minute; the error quotes the status.
    pub async fn delivered(&self, commit: &str) -> Result<State> {
        self.look_again().await?;
        self.until(&format!("{commit} delivered"), |state| {
            let done = state.outcome == "Succeeded" && state.sync == "Synced";
            done && state.revision == commit
        })
        .await
    }

    /// Waits until its status is as wanted.
    ///
    /// # Errors
    /// When that takes longer than half a minute; the error quotes the status.
    pub async fn until(&self, what: &str, is_it: impl Fn(&State) -> bool) -> Result<State> {
        let what = format!("Application {}: {what}", self.name);
        eventually(&what, Duration::from_secs(30), async || {
            let object = self.api.get(&self.name).await?;
            let state = state(&object);
            Ok(if is_it(&state) {
                Ok(state)
            } else {
                let said = object.data.pointer("/status/operationState/message");
                let conditions = object.data.pointer("/status/conditions");
                Err(format!("{state:?}, {said:?}, {conditions:?}"))
            })
        })
        .await
    }

    /// Asks Argo CD to look at the repository now, as a webhook of a Git server does: by itself it believes
    /// for three minutes that nothing was pushed.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn look_again(&self) -> Result<()> {
        let refresh =
            json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}});
        self.api
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(refresh))
            .await?;
        Ok(())
    }

    /// Deletes it, and with it what it delivered; waits until it is gone.
    ///
    /// # Errors
    /// When that takes longer than a minute.
    pub async fn delete(&self) -> Result<()> {
        self.api
            .delete(&self.name, &DeleteParams::default())
            .await?;
        let what = format!("Application {} gone", self.name);
        eventually(&what, Duration::from_mins(1), async || {
            let left = self.api.get_opt(&self.name).await?;
            Ok(left.map_or(Ok(()), |left| Err(format!("{:?}", state(&left)))))
        })
        .await
    }

    /// Records its status, an entry for each change of it.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn record(&self) -> Result<Recording<State>> {
        let mut last = None;
        let see = move |change: Event<DynamicObject>| match change {
            Event::Apply(object) | Event::InitApply(object) => {
                let state = state(&object);
                (last.replace(state.clone()).as_ref() != Some(&state)).then_some(state)
            }
            Event::Init | Event::InitDone | Event::Delete(_) => None,
        };
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        Recording::of(self.api.clone(), config, see).await
    }
}

fn state(object: &DynamicObject) -> State {
    let text = |path: &str| {
        let value = object.data.pointer(path).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let operation = Operation {
        began: text("/status/operationState/startedAt"),
        revision: text("/status/operationState/operation/sync/revision"),
        heals: heals(object),
    };
    let resources = object.data.pointer("/status/resources");
    let resources = resources.and_then(Value::as_array).into_iter().flatten();
    let is_canary = |one: &&Value| one.get("kind").is_some_and(|kind| kind == "Canary");
    let canary = resources.clone().find(is_canary);
    let is_lone = |one: &&Value| {
        let missing = one
            .pointer("/health/status")
            .is_some_and(|health| health == "Missing");
        missing || one.get("requiresPruning") == Some(&Value::Bool(true))
    };
    let of_canary = |field: &str| {
        let value = canary.and_then(|one| one.pointer(&format!("/health/{field}"))?.as_str());
        value.unwrap_or_default().to_owned()
    };
    State {
        sync: text("/status/sync/status"),
        revision: text("/status/sync/revision"),
        health: text("/status/health/status"),
        operation,
        outcome: text("/status/operationState/phase"),
        canary: (of_canary("status"), of_canary("message")),
        on_one_side: resources.filter(is_lone).map(title).collect(),
    }
}

/// Argo CD names in an operation of self-heal just what is not as in Git (`autoSync` in its `appcontroller.go`).
fn heals(object: &DynamicObject) -> Vec<String> {
    let asked = object.data.pointer("/status/operationState/operation/sync");
    let field = |name: &str| asked.and_then(|asked| asked.get(name));
    let attempts = field("autoHealAttemptsCount").and_then(Value::as_i64);
    if attempts.is_none_or(|attempts| attempts == 0) {
        return Vec::new();
    }
    let resources = field("resources").and_then(Value::as_array);
    let resources = resources.into_iter().flatten();
    let mut healed: Vec<_> = resources.map(title).collect();
    if healed.is_empty() {
        healed.push("everything".to_owned());
    }
    healed
}

fn title(resource: &Value) -> String {
    let text = |field: &str| resource.get(field).and_then(Value::as_str);
    let text = |field: &str| text(field).unwrap_or("?");
    format!("{}/{}", text("kind"), text("name"))
}
