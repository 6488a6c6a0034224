//! Caches that no watch follows: for a command that reads once, and asks the same questions as the controller.

use std::hash::Hash;

use kube::Resource;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;

use super::caches::Caches;
use super::kinds;
use super::optional::Neighbours;
use super::shelf::{Shelf, Topic, by_namespace, by_owner, by_owner_and_services};
use crate::render::kind::Optional;

impl Caches {
    /// Caches of these objects and nothing else. Each must say what kind it is of; what is not cached otherwise,
    /// or cannot be read, is left out.
    #[must_use]
    pub fn holding(objects: &[DynamicObject]) -> Self {
        let dynamic = |kind| shelf(objects, kind, |_| (), by_owner);
        let neighbours = Optional::ALL.map(|kind| (kind, dynamic(kind.resource()).store()));
        Self {
            canaries: typed(objects).store(),
            policies: typed(objects).store(),
            cluster_policies: typed(objects).store(),
            templates: typed(objects).store(),
            deployments: dynamic(kinds::deployment()),
            pod_templates: dynamic(kinds::pod_template()),
            services: typed(objects),
            routes: shelf(objects, kinds::http_route(), |_| (), by_owner_and_services),
            slices: typed(objects),
            pods: typed(objects),
            config_maps: shelf(objects, (), kinds::trim_config_map, by_owner),
            autoscalers: shelf(objects, (), |_| (), by_namespace),
            namespaces: typed(objects).store(),
            neighbours: Neighbours(neighbours.into_iter().collect()),
            failed: Vec::new(),
        }
    }
}

fn typed<K>(objects: &[DynamicObject]) -> Shelf<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + 'static,
{
    shelf(objects, (), |_| (), by_owner)
}

fn shelf<K>(
    objects: &[DynamicObject],
    kind: K::DynamicType,
    trim: fn(&mut K),
    topics: fn(&K) -> Vec<Topic>,
) -> Shelf<K>
where
    K: Resource + DeserializeOwned + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let (version, name) = (K::api_version(&kind), K::kind(&kind));
    let of_kind = |object: &&DynamicObject| {
        let types = object.types.as_ref();
        types.is_some_and(|types| types.api_version == version && types.kind == name)
    };
    let read = |object: &DynamicObject| {
        let value = serde_json::to_value(object).ok()?;
        let mut object: K = serde_json::from_value(value).ok()?;
        trim(&mut object);
        Some(object)
    };
    let read: Vec<K> = objects.iter().filter(of_kind).filter_map(read).collect();
    let (shelf, mut writer) = Shelf::new(kind, topics);
    let listed = read.into_iter().map(Event::InitApply);
    for event in [Event::Init]
        .into_iter()
        .chain(listed)
        .chain([Event::InitDone])
    {
        shelf.note(&event);
        writer.apply_watcher_event(&event);
    }
    shelf
}
