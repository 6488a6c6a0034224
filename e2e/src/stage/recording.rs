//! What changed over time, seen by a watch: a look now and then would miss what lasts a moment.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt as _;
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

impl<T: Clone + Send + 'static> Recording<T> {
    /// Returns when the watch has seen what is there already.
    pub(super) async fn start<K>(
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
        Recording::start(self.dynamic(&http_route()), config, see).await
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
        Recording::start(self.api(), config, see).await
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
        Recording::start(self.api::<Pod>(), config, see).await
    }
}
