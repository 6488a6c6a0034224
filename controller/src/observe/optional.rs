//! Watches of the kinds that a cluster may lack.
//!
//! A kind that is missing is a cache that is empty. It is looked for by discovery, soon at first, since
//! an installation may be under way, then rarely; found, it is watched like any other. To follow one
//! more kind, add a variant to [`Optional`] and say below whom it concerns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, pin_mut};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Api, Client, ResourceExt as _};
use tokio::task::JoinSet;

use super::pauses::Pauses;
use super::triggers::Concerns;
use crate::render::kind::Optional;
use crate::render::mentions;

/// The first pause before a missing kind is looked for again; it doubles from time to time.
const SOON: Duration = Duration::from_secs(2);
/// The pause after a discovery that failed: an API server that starts up refuses it for a moment, and who
/// waits for all caches must not wait longer than that.
const AGAIN: Duration = Duration::from_millis(500);
/// The longest pause. A look is one small request.
const RARELY: Duration = Duration::from_mins(5);

/// What there is of the kinds that a cluster may lack. Cloning is cheap.
#[derive(Clone)]
pub struct Neighbours(pub(super) BTreeMap<Optional, Store<DynamicObject>>);

impl Neighbours {
    /// Starts to look for every kind, and to watch those there are; `tell` is called for each change.
    pub fn start(
        client: &Client,
        tasks: &mut JoinSet<()>,
        tell: impl Fn(&Concerns) + Clone + Send + 'static,
    ) -> Self {
        let stores = Optional::ALL.map(|kind| {
            let writer = Writer::new(kind.resource());
            let store = writer.as_reader();
            let follower = Follower {
                kind,
                client: client.clone(),
                store: store.clone(),
                writer,
                tell: tell.clone(),
            };
            tasks.spawn(follower.run());
            (kind, store)
        });
        Self(stores.into_iter().collect())
    }

    /// Waits until it is known of every kind what there is, if it is only that there is no such kind.
    ///
    /// # Errors
    /// When a watch ended before.
    pub async fn ready(&self) -> Result<(), reflector::store::WriterDropped> {
        for store in self.0.values() {
            store.wait_until_ready().await?;
        }
        Ok(())
    }

    /// The cache of a kind.
    #[must_use]
    pub fn store(&self, kind: Optional) -> Option<&Store<DynamicObject>> {
        self.0.get(&kind)
    }

    /// The objects of a kind that `which` picks.
    #[must_use]
    pub fn find(
        &self,
        kind: Optional,
        which: impl Fn(&DynamicObject) -> bool,
    ) -> Vec<Arc<DynamicObject>> {
        let store = self.0.get(&kind);
        store
            .map(|store| store.state_filter(which))
            .unwrap_or_default()
    }
}

/// Keeps the cache of one kind.
struct Follower<T> {
    kind: Optional,
    client: Client,
    store: Store<DynamicObject>,
    writer: Writer<DynamicObject>,
    tell: T,
}

impl<T: Fn(&Concerns)> Follower<T> {
    async fn run(mut self) {
        let kind = self.kind.kind();
        let mut pause = SOON;
        let mut again = AGAIN;
        loop {
            match is_served(&self.client, &self.kind.resource()).await {
                Ok(true) => {
                    tracing::info!(kind, "watched");
                    self.watch().await;
                    pause = SOON;
                }
                Ok(false) => tracing::debug!(kind, ?pause, "not installed"),
                Err(error) => {
                    tracing::warn!(kind, %error, "discovery failed and is tried again");
                    // What there was stays: an API server that is away says nothing about kinds.
                    tokio::time::sleep(again).await;
                    again = (again * 2).min(RARELY);
                    continue;
                }
            }
            again = AGAIN;
            self.empty();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RARELY);
        }
    }

    /// Follows the objects until there is no such kind any more.
    async fn watch(&mut self) {
        let api = Api::all_with(self.client.clone(), &self.kind.resource());
        let events = watcher(api, watcher::Config::default())
            .modify(trim)
            .backoff(Pauses::default());
        pin_mut!(events);
        let mut before = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Err(error) if is_missing(&error) => return,
                Err(error) => {
                    tracing::warn!(kind = self.kind.kind(), %error, "a watch failed and is tried again");
                }
                Ok(event) => {
                    // As it was, too: an object that named a Service and does not any more.
                    let known = self.known(&event);
                    self.writer.apply_watcher_event(&event);
                    if known.iter().any(|known| is_the_same(known, &event)) {
                        continue;
                    }
                    before.extend(known);
                    match &event {
                        Event::Init | Event::InitApply(_) => continue,
                        Event::InitDone => before.extend(self.store.state()),
                        Event::Apply(object) | Event::Delete(object) => self.tell_of(object),
                    }
                    for object in before.drain(..) {
                        self.tell_of(&object);
                    }
                }
            }
        }
    }

    fn known(&self, event: &Event<DynamicObject>) -> Vec<Arc<DynamicObject>> {
        match event {
            Event::Init => self.store.state(),
            Event::InitApply(_) | Event::InitDone => Vec::new(),
            Event::Apply(object) | Event::Delete(object) => {
                let same = |other: &DynamicObject| {
                    other.name_any() == object.name_any() && other.namespace() == object.namespace()
                };
                self.store.find(same).into_iter().collect()
            }
        }
    }

    /// There is nothing of this kind.
    fn empty(&mut self) {
        let before = self.store.state();
        self.writer.apply_watcher_event(&Event::Init);
        self.writer.apply_watcher_event(&Event::InitDone);
        for object in &before {
            self.tell_of(object);
        }
    }

    fn tell_of(&self, object: &DynamicObject) {
        (self.tell)(&concerns(self.kind, object));
    }
}

/// Whether nothing changed that was kept: a status is written often, and read by nobody here.
fn is_the_same(known: &DynamicObject, event: &Event<DynamicObject>) -> bool {
    let Event::Apply(object) = event else {
        return false;
    };
    known.data == object.data
        && known.metadata.labels == object.metadata.labels
        && known.metadata.annotations == object.metadata.annotations
        && known.metadata.deletion_timestamp == object.metadata.deletion_timestamp
}

/// Which Canaries a change may concern. Any route may hang on a Gateway.
fn concerns(kind: Optional, object: &DynamicObject) -> Concerns {
    match kind {
        Optional::Gateway => Concerns::All,
        Optional::GrpcRoute | Optional::VirtualService => {
            Concerns::reaching(object, mentions::namespaces(object))
        }
        Optional::DestinationRule | Optional::BackendTlsPolicy => Concerns::labelled(object, true),
    }
}

/// Keeps what no decision reads out of memory.
fn trim(object: &mut DynamicObject) {
    object.managed_fields_mut().clear();
    if let Some(fields) = object.data.as_object_mut() {
        fields.remove("status");
    }
}

/// Whether the API server serves a kind.
async fn is_served(client: &Client, resource: &ApiResource) -> Result<bool, kube::Error> {
    match client.list_api_group_resources(&resource.api_version).await {
        Ok(served) => Ok(served.resources.iter().any(|r| r.name == resource.plural)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    let (InitialListFailed(source) | WatchStartFailed(source)) = error else {
        return false;
    };
    matches!(source, kube::Error::Api(status) if status.code == 404)
}
