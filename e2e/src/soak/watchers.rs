//! What the API server said over time, seen by watches of the soak's own.

mod seen;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt as _};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_crds::{Canary, labels};
use tokio::task::JoinSet;

use super::journal::Journal;
use crate::stage::{EDITOR, Scene, is_ready};
pub(super) use seen::{Routed, Seen, Split, ratio};

/// How long a broken watch waits before it asks again: an outage must cost no CPU, and what happens
/// right after it must be seen.
const AGAIN: Duration = Duration::from_millis(200);

/// Watches of routes, pods, snapshots and Canaries. Dropping them ends them.
pub(super) struct Watchers {
    seen: Arc<Mutex<Seen>>,
    _watches: JoinSet<()>,
}

impl Watchers {
    pub(super) fn start(scene: &Scene<'_>, journal: &Arc<Journal>) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let mut watches = JoinSet::new();
        let mine = watcher::Config::default().labels(labels::CANARY);
        let gvk = GroupVersionKind::gvk("", "v1", "PodTemplate");
        let snapshots = scene.dynamic(&ApiResource::from_gvk(&gvk));
        let see = |change: fn(&mut Seen, Duration, Change<DynamicObject>)| {
            let (seen, journal) = (Arc::clone(&seen), Arc::clone(journal));
            move |event| change(&mut seen.lock(), journal.now(), event)
        };
        watches.spawn(follow(scene.route_api(), mine.clone(), see(route)));
        watches.spawn(follow(snapshots, mine.clone(), see(snapshot)));
        let (pods, clock) = (Arc::clone(&seen), Arc::clone(journal));
        watches.spawn(follow(scene.api::<Pod>(), mine, move |event| {
            pod(&mut pods.lock(), clock.now(), event);
        }));
        let canaries = Arc::clone(&seen);
        let all = watcher::Config::default();
        watches.spawn(follow(scene.api::<Canary>(), all, move |event| {
            canary(&mut canaries.lock(), event);
        }));
        Self {
            seen,
            _watches: watches,
        }
    }

    /// Everything so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }
}

/// What a watch tells of one object.
enum Change<K> {
    Is(K),
    Gone(K),
}

async fn follow<K>(api: Api<K>, config: watcher::Config, mut see: impl FnMut(Change<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = Box::pin(watcher(api, config));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => see(Change::Is(object)),
            Ok(Event::Delete(object)) => see(Change::Gone(object)),
            Ok(Event::Init | Event::InitDone) => {}
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn route(seen: &mut Seen, at: Duration, change: Change<DynamicObject>) {
    let (route, weights) = match change {
        Change::Is(route) => {
            let weights = weights(&route);
            (route, Some(weights))
        }
        Change::Gone(route) => (route, None),
    };
    let by_hand = weights.is_some() && edited(&route);
    let canary = route.labels().get(labels::CANARY).cloned();
    seen.routed(Routed {
        at,
        canary: canary.unwrap_or_default(),
        split: weights.map_or(Split::Gone, Split::Weights),
        by_hand,
    });
}

fn snapshot(seen: &mut Seen, at: Duration, change: Change<DynamicObject>) {
    match change {
        Change::Is(snapshot) => {
            let tag = tag(&snapshot).unwrap_or_default();
            seen.tags.insert(snapshot.name_any(), tag);
        }
        Change::Gone(snapshot) => seen.forgotten.push((snapshot.name_any(), at)),
    }
}

fn pod(seen: &mut Seen, at: Duration, change: Change<Pod>) {
    let (pod, ready) = match change {
        Change::Is(pod) => {
            let ready = is_ready(&pod);
            (pod, ready)
        }
        Change::Gone(pod) => (pod, false),
    };
    if let Some(revision) = pod.labels().get(labels::REVISION) {
        seen.readiness(revision, &pod.name_any(), ready, at);
    }
}

fn canary(seen: &mut Seen, change: Change<Canary>) {
    if let Change::Is(canary) = change {
        let name = canary.name_any();
        for entry in canary.status.unwrap_or_default().history {
            seen.ended(&name, entry);
        }
    }
}

/// The tag of the image in a snapshot.
pub(super) fn tag(snapshot: &DynamicObject) -> Option<String> {
    let image = snapshot.data.pointer("/template/spec/containers/0/image");
    let (_, tag) = image?.as_str()?.split_once(':')?;
    Some(tag.to_owned())
}

/// The weights of a route's first rule, as they are written.
fn weights(route: &DynamicObject) -> BTreeMap<String, u64> {
    let backends = route.data.pointer("/spec/rules/0/backendRefs");
    let backends = backends.and_then(Value::as_array).into_iter().flatten();
    let weight = |backend: &Value| {
        let name = backend.get("name")?.as_str()?.to_owned();
        Some((
            name,
            backend.get("weight").and_then(Value::as_u64).unwrap_or(1),
        ))
    };
    backends.filter_map(weight).collect()
}

/// Whether the rules are as somebody left them who edited them by hand: Sluice's next write takes them
/// back.
fn edited(route: &DynamicObject) -> bool {
    let owns_rules = |fields: &Value| fields.pointer("/f:spec/f:rules").is_some();
    route.managed_fields().iter().any(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        entry.manager.as_deref() == Some(EDITOR) && fields.is_some_and(owns_rules)
    })
}
