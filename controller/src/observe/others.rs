//! Objects of others that concern the Service of one Canary.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use serde_json::Value;
use sluice_crds::labels;

use super::caches::Caches;
use super::labelled::label;
use super::shelf::Topic;
use crate::render::copies::{self, Setting};
use crate::render::kind::Optional;
use crate::render::mentions::{self, Place};

/// The class of Istio's waypoints.
pub const WAYPOINT_CLASS: &str = "istio-waypoint";
/// The protocol of their one listener, whatever their class is called.
const WAYPOINT_PROTOCOL: &str = "HBONE";

/// What others have that concerns a Service.
#[derive(Default)]
pub struct Others {
    /// `HTTPRoute`s and `GRPCRoute`s with the Service as parent or backend, by kind. One of another
    /// Canary is as foreign as any.
    pub routes: Vec<(&'static str, Arc<DynamicObject>)>,
    /// `VirtualService`s that say what becomes of calls to it, or lead to it from outside.
    pub virtual_services: Vec<Arc<DynamicObject>>,
    /// Gateways by which those routes let requests in; waypoints are none.
    pub gateways: Vec<Place>,
    /// What says how the Service is called.
    pub settings: Vec<Setting>,
}

impl Others {
    /// Collects them.
    pub(super) fn collect(
        caches: &Caches,
        service: &Place,
        ours: &impl Fn(&DynamicObject) -> bool,
    ) -> Self {
        let concerns = |route: &DynamicObject| {
            !ours(route)
                && (!mentions::parent_ports(route, service).is_empty()
                    || mentions::has_backend(route, service))
        };
        let neighbours = &caches.neighbours;
        let named = [Topic::Service(service.clone())];
        let http = caches.routes.pick(&named, concerns).into_iter();
        let grpc = neighbours.find(Optional::GrpcRoute, concerns).into_iter();
        let routes: Vec<_> = http
            .map(|route| ("HTTPRoute", route))
            .chain(grpc.map(|route| (Optional::GrpcRoute.kind(), route)))
            .collect();
        let gateways = routes
            .iter()
            .flat_map(|(_, route)| mentions::gateways(route));
        let gateways = gateways.filter(|place| lets_in(caches, place)).collect();
        let virtual_services = neighbours.find(Optional::VirtualService, |object| {
            mentions::takes_calls(object, service)
                || mentions::ingress_gateway(object, service).is_some()
        });
        let theirs = |labels: &BTreeMap<String, String>| label(labels, labels::CANARY).is_none();
        let settings = [Optional::DestinationRule, Optional::BackendTlsPolicy]
            .into_iter()
            .flat_map(|kind| {
                let about = neighbours.find(kind, |object| {
                    theirs(object.labels()) && copies::is_about(kind, object, service)
                });
                about.into_iter().map(move |object| (kind, object))
            });
        Self {
            routes,
            virtual_services,
            gateways,
            settings: settings.collect(),
        }
    }
}

/// Whether a Gateway is there, and no waypoint.
fn lets_in(caches: &Caches, place: &Place) -> bool {
    let kind = Optional::Gateway.resource();
    let key = ObjectRef::new_with(&place.name, kind).within(&place.namespace);
    let store = caches.neighbours.store(Optional::Gateway);
    let Some(gateway) = store.and_then(|store| store.get(&key)) else {
        return false;
    };
    let class = gateway.data.pointer("/spec/gatewayClassName");
    let listeners = gateway.data.pointer("/spec/listeners");
    let mut listeners = listeners.and_then(Value::as_array).into_iter().flatten();
    let hbone = |listener: &Value| {
        listener.get("protocol").and_then(Value::as_str) == Some(WAYPOINT_PROTOCOL)
    };
    class.and_then(Value::as_str) != Some(WAYPOINT_CLASS) && !listeners.any(hbone)
}
