//! What changed over time, seen by a watch: a look now and then would miss what lasts a moment.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt as _};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use sluice_crds::{Canary, labels};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::look::{http_route, is_ready};
use super::{Scene, weights};

/// Between tries of a watch that failed.
const RETRY: Duration = Duration::from_millis(200);

/// What a watch saw, oldest first. Dropping it ends the watch.
#[derive(Debug)]
pub struct Recording<T> {
    seen: Arc<Mutex<Vec<Seen<T>>>>,
    _watch: JoinSet<()>,
}

/// One thing that a watch saw.
#[derive(Clone, Debug)]
pub struct Seen<T> {
    /// When.
    pub at: Instant,
    /// What.
    pub what: T,
}

/// What one route says.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The route's name.
    pub route: String,
    /// Share in percent by backend; empty when the route is gone.
    pub weights: BTreeMap<String, f64>,
}

/// A turn in the life of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// The object's name.
    pub name: String,
    /// The revision that it belongs to; empty if none.
    pub revision: String,
    /// What became of it.
    pub turn: Turn,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// It is there.
    There,
    /// It is being deleted: a pod serves on for its grace period.
    Going,
    /// It is gone.
    Gone,
}

impl<T: Clone + Send + 'static> Recording<T> {
    /// Records what `see` makes of each change; returns when the watch has seen what is there already.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn of<K>(
        api: Api<K>,
        config: watcher::Config,
        mut see: impl FnMut(Event<K>) -> Option<T> + Send + 'static,
    ) -> Result<Self>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let seen: Arc<Mutex<Vec<Seen<T>>>> = Arc::default();
        let (begun, begins) = oneshot::channel();
        let mut begun = Some(begun);
        let written = Arc::clone(&seen);
        let mut watch = JoinSet::new();
        watch.spawn(async move {
            let changes = watcher(api, config).filter_map(async |change| {
                if change.is_err() {
                    // Soon again, not at once: the API server may be gone on purpose.
                    sleep(RETRY).await;
                }
                change.ok()
            });
            changes
                .for_each(|change| {
                    let complete = matches!(change, Event::InitDone);
                    if let Some(what) = see(change) {
                        written.lock().push(Seen {
                            at: Instant::now(),
                            what,
                        });
                    }
                    if let Some(begun) = begun.take_if(|_| complete) {
                        // The receiver is gone only with the story that asked.
                        let _ = begun.send(());
                    }
                    ready(())
                })
                .await;
        });
        begins.await.context("a watch ended before it began")?;
        Ok(Self {
            seen,
            _watch: watch,
        })
    }

    /// Everything so far.
    #[must_use]
    pub fn all(&self) -> Vec<Seen<T>> {
        self.seen.lock().clone()
    }
}

impl Recording<usize> {
    /// Fails if it ever was less than `least`, or if nothing was seen.
    ///
    /// # Errors
    /// With all that was seen.
    pub fn never_below(&self, least: usize) -> Result<()> {
        let all = self.all();
        let fewest = all.iter().map(|seen| seen.what).min();
        let enough = fewest.is_some_and(|fewest| fewest >= least);
        let seen: Vec<_> = all.iter().map(|seen| seen.what).collect();
        ensure!(enough, "{fewest:?} instead of {least} ready pods: {seen:?}");
        Ok(())
    }
}

impl Scene<'_> {
    /// Records what the routes of a Canary say, an entry for each change of weights.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn record_weights(&self, canary: &str) -> Result<Recording<Split>> {
        let of_canary = format!("{}={canary}", labels::CANARY);
        let mut last: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        let see = move |change: Event<DynamicObject>| {
            let (route, weights) = match change {
                Event::Init | Event::InitDone => return None,
                Event::Apply(route) | Event::InitApply(route) => {
                    (route.name_any(), weights(&route).unwrap_or_default())
                }
                Event::Delete(route) => (route.name_any(), BTreeMap::new()),
            };
            let before = last.insert(route.clone(), weights.clone());
            (before.as_ref() != Some(&weights)).then_some(Split { route, weights })
        };
        let config = watcher::Config::default().labels(&of_canary);
        Recording::of(self.dynamic(&http_route()), config, see).await
    }

    /// Records every version of a Canary.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn record_canary(&self, name: &str) -> Result<Recording<Canary>> {
        let see = |change: Event<Canary>| match change {
            Event::Apply(canary) | Event::InitApply(canary) => Some(canary),
            Event::Init | Event::InitDone | Event::Delete(_) => None,
        };
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        Recording::of(self.api(), config, see).await
    }

    /// Records how many pods each Deployment of a Canary asks for, an entry for each change.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn record_replicas(&self, canary: &str) -> Result<Recording<(String, i32)>> {
        let mut last: BTreeMap<String, i32> = BTreeMap::new();
        let see = move |change: Event<Deployment>| match change {
            Event::Init | Event::InitDone | Event::Delete(_) => None,
            Event::Apply(object) | Event::InitApply(object) => {
                let name = object.name_any();
                let replicas = object.spec?.replicas?;
                let before = last.insert(name.clone(), replicas);
                (before != Some(replicas)).then_some((name, replicas))
            }
        };
        let of_canary = format!("{}={canary}", labels::CANARY);
        let config = watcher::Config::default().labels(&of_canary);
        Recording::of(self.api::<Deployment>(), config, see).await
    }

    /// Records when objects of a Canary come, are told to go, and are gone.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn record_lives<K>(&self, canary: &str) -> Result<Recording<Life>>
    where
        K: Resource<Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
        K::DynamicType: Default,
    {
        let mut last: BTreeMap<Option<String>, Turn> = BTreeMap::new();
        let see = move |change: Event<K>| {
            let (object, turn) = match change {
                Event::Init | Event::InitDone => return None,
                Event::Apply(object) | Event::InitApply(object) => {
                    let going = object.meta().deletion_timestamp.is_some();
                    (object, if going { Turn::Going } else { Turn::There })
                }
                Event::Delete(object) => (object, Turn::Gone),
            };
            let revision = object.labels().get(labels::REVISION).cloned();
            let life = Life {
                name: object.name_any(),
                revision: revision.unwrap_or_default(),
                turn,
            };
            (last.insert(object.uid(), turn) != Some(turn)).then_some(life)
        };
        let of_canary = format!("{}={canary}", labels::CANARY);
        Recording::of(
            self.api::<K>(),
            watcher::Config::default().labels(&of_canary),
            see,
        )
        .await
    }

    /// Records `spec.replicas` of a Deployment, an entry for each change of it.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn record_size(&self, deployment: &str) -> Result<Recording<i32>> {
        let mut last = None;
        let see = move |change: Event<Deployment>| match change {
            Event::Apply(object) | Event::InitApply(object) => {
                let size = object.spec?.replicas?;
                (last.replace(size) != Some(size)).then_some(size)
            }
            Event::Init | Event::InitDone | Event::Delete(_) => None,
        };
        let config = watcher::Config::default().fields(&format!("metadata.name={deployment}"));
        Recording::of(self.api(), config, see).await
    }

    /// Records how many pods that a selector selects are ready, an entry for each change of it.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn record_ready(&self, selector: &str) -> Result<Recording<usize>> {
        let mut pods: BTreeMap<String, bool> = BTreeMap::new();
        let mut complete = false;
        let mut last = None;
        let see = move |change: Event<Pod>| {
            match change {
                Event::Init => {}
                Event::InitDone => complete = true,
                Event::Apply(pod) | Event::InitApply(pod) => {
                    pods.insert(pod.name_any(), is_ready(&pod));
                }
                Event::Delete(pod) => {
                    pods.remove(&pod.name_any());
                }
            }
            let ready = pods.values().filter(|ready| **ready).count();
            (complete && last.replace(ready) != Some(ready)).then_some(ready)
        };
        let config = watcher::Config::default().labels(selector);
        Recording::of(self.api::<Pod>(), config, see).await
    }
}
