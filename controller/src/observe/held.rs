//! Caches that no watch follows: for a command that reads once, and asks the same questions as the controller.

use std::hash::Hash;

use kube::Resource;
use kube::api::DynamicObject;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;

use super::caches::Caches;
use super::kinds;
use super::optional::Neighbours;
use crate::render::kind::Optional;

impl Caches {
    /// Caches of these objects and nothing else. Each must say what kind it is of; what is not cached otherwise,
    /// or cannot be read, is left out.
    #[must_use]
    pub fn holding(objects: &[DynamicObject]) -> Self {
        let dynamic = |kind| store(objects, kind, |_| ());
        let neighbours = Optional::ALL.map(|kind| (kind, dynamic(kind.resource())));
        Self {
            canaries: typed(objects),
            policies: typed(objects),
            cluster_policies: typed(objects),
            templates: typed(objects),
            deployments: dynamic(kinds::deployment()),
            pod_templates: dynamic(kinds::pod_template()),
            services: typed(objects),
            routes: dynamic(kinds::http_route()),
            slices: typed(objects),
            pods: typed(objects),
            config_maps: store(objects, (), kinds::trim_config_map),
            autoscalers: typed(objects),
            namespaces: typed(objects),
            neighbours: Neighbours(neighbours.into_iter().collect()),
            failed: Vec::new(),
        }
    }
}

fn typed<K>(objects: &[DynamicObject]) -> Store<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + 'static,
{
    store(objects, (), |_| ())
}

fn store<K>(objects: &[DynamicObject], kind: K::DynamicType, trim: fn(&mut K)) -> Store<K>
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
    let mut writer = Writer::new(kind);
    writer.apply_watcher_event(&Event::Init);
    for object in read {
        writer.apply_watcher_event(&Event::InitApply(object));
    }
    writer.apply_watcher_event(&Event::InitDone);
    writer.as_reader()
}
