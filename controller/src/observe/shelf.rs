//! A cache whose objects are found by whom they concern. To compare every object at every look makes a look the slower the
//! more Canaries there are.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;

use kube::Resource;
use kube::api::DynamicObject;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use parking_lot::RwLock;
use sluice_crds::labels;

use super::labelled::label;
use crate::render::mentions::{self, Place};

/// Whom an object concerns.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Topic {
    /// The Canary that it is labelled with.
    Canary(Place),
    /// Everybody of a namespace: it is labelled with no Canary.
    Namespace(String),
    /// A Service that it names.
    Service(Place),
}

/// The Canary of an object, or its namespace.
pub fn by_owner<K: Resource>(object: &K) -> Vec<Topic> {
    let Some(namespace) = object.meta().namespace.as_deref() else {
        return Vec::new();
    };
    let labels = object.meta().labels.as_ref();
    let canary = labels.and_then(|all| label(all, labels::CANARY));
    vec![canary.map_or_else(
        || Topic::Namespace(namespace.to_owned()),
        |canary| Topic::Canary(Place::new(namespace, canary)),
    )]
}

/// The namespace of an object, whatever its labels say.
pub fn by_namespace<K: Resource>(object: &K) -> Vec<Topic> {
    let namespace = object.meta().namespace.clone();
    namespace.map(Topic::Namespace).into_iter().collect()
}

/// The Canary or the namespace of a route, and the Services that it names.
pub fn by_owner_and_services(route: &DynamicObject) -> Vec<Topic> {
    let named = mentions::services(route).into_iter().map(Topic::Service);
    by_owner(route).into_iter().chain(named).collect()
}

/// A cache, and where in it to look. Cloning is cheap.
pub struct Shelf<K: Resource + 'static>
where
    K::DynamicType: Eq + Hash,
{
    store: Store<K>,
    kind: K::DynamicType,
    topics: fn(&K) -> Vec<Topic>,
    index: Arc<RwLock<Index>>,
}

impl<K> Shelf<K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Hash + Eq + Clone,
{
    /// An empty one, and what fills it; whoever applies an event there tells [`Self::note`] before.
    pub fn new(kind: K::DynamicType, topics: fn(&K) -> Vec<Topic>) -> (Self, Writer<K>) {
        let writer = Writer::new(kind.clone());
        let shelf = Self {
            store: writer.as_reader(),
            kind,
            topics,
            index: Arc::default(),
        };
        (shelf, writer)
    }

    /// The cache alone.
    #[must_use]
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// Notes whom an object concerns from now on.
    pub fn note(&self, event: &Event<K>) {
        let mut index = self.index.write();
        match event {
            Event::Init => index.listed = Some(Filed::default()),
            Event::InitApply(object) => {
                if let Some(listed) = &mut index.listed {
                    listed.put(place(object), (self.topics)(object));
                }
            }
            Event::InitDone => {
                if let Some(listed) = index.listed.take() {
                    index.current = listed;
                }
            }
            Event::Apply(object) => index.current.put(place(object), (self.topics)(object)),
            Event::Delete(object) => index.current.put(place(object), Vec::new()),
        }
    }

    /// The objects on any of these topics for which this holds.
    pub fn pick(&self, topics: &[Topic], holds: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let index = self.index.read();
        let places: BTreeSet<_> = topics
            .iter()
            .flat_map(|topic| index.current.on(topic))
            .collect();
        let object = |place: &Place| {
            let key = ObjectRef::new_with(&place.name, self.kind.clone());
            self.store.get(&key.within(&place.namespace))
        };
        // What is noted may be newer than what is cached.
        let on_any = |object: &K| {
            let own = (self.topics)(object);
            own.iter().any(|topic| topics.contains(topic))
        };
        let found = places.into_iter().filter_map(object);
        found
            .filter(|object| on_any(object) && holds(object))
            .collect()
    }
}

impl<K> Deref for Shelf<K>
where
    K: Resource + 'static,
    K::DynamicType: Eq + Hash,
{
    type Target = Store<K>;

    fn deref(&self) -> &Store<K> {
        &self.store
    }
}

impl<K> Clone for Shelf<K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            kind: self.kind.clone(),
            topics: self.topics,
            index: Arc::clone(&self.index),
        }
    }
}

fn place<K: Resource>(object: &K) -> Place {
    let meta = object.meta();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Place {
        namespace: text(&meta.namespace),
        name: text(&meta.name),
    }
}

#[derive(Default)]
struct Index {
    current: Filed,
    /// What a list that is under way has shown so far. Until its end the cache is as before.
    listed: Option<Filed>,
}

/// Objects by topic.
#[derive(Default)]
struct Filed {
    places: HashMap<Topic, BTreeSet<Place>>,
    topics: HashMap<Place, Vec<Topic>>,
}

impl Filed {
    fn on(&self, topic: &Topic) -> impl Iterator<Item = &Place> {
        self.places.get(topic).into_iter().flatten()
    }

    /// Files an object anew; on no topic, away.
    fn put(&mut self, place: Place, topics: Vec<Topic>) {
        for topic in self.topics.remove(&place).into_iter().flatten() {
            if let Some(places) = self.places.get_mut(&topic) {
                places.remove(&place);
                if places.is_empty() {
                    self.places.remove(&topic);
                }
            }
        }
        for topic in &topics {
            let places = self.places.entry(topic.clone()).or_default();
            places.insert(place.clone());
        }
        if !topics.is_empty() {
            self.topics.insert(place, topics);
        }
    }
}

#[cfg(test)]
mod tests;
