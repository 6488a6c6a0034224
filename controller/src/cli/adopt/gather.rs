//! What is read of a cluster, by the rights of whoever asks.

use std::collections::BTreeMap;

use kube::Client;
use kube::api::{ApiResource, ListParams};
use serde::Serialize;
use sluice_crds::Canary;

use super::kinds;
use crate::cli::read::{
    self, Objects, Wanted, config_map, namespace, network_policy, resource_name, service,
};
use crate::observe::kinds::deployment;
use crate::render::kind::Optional;

/// How the files of Grafana's sidecar, and of the chart that brings it, are labelled.
const DASHBOARD: &str = "grafana_dashboard";

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) objects: Objects,
    /// Why a kind that may be anywhere was read in the Deployment's namespace alone, by its name.
    pub(super) only_here: BTreeMap<String, String>,
}

/// A kind of which not all was looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Gap {
    /// As `prometheusrules.monitoring.coreos.com`.
    pub(super) kind: String,
    pub(super) reading: Reading,
    /// The API server's answer, if it is more than that the kind is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// How far a kind was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Reading {
    /// The API server does not know it: there are no such objects.
    NotInstalled,
    /// Nothing is known of it.
    NotReadable,
    /// In the Deployment's namespace alone.
    OnlyHere,
}

impl Found {
    /// The kinds of which not all was read, in the order of their names.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let gap = |kind: &String, reading, why: Option<&String>| Gap {
            kind: kind.clone(),
            reading,
            why: why.cloned(),
        };
        let absent = self.objects.absent.iter();
        let absent = absent.map(|kind| gap(kind, Reading::NotInstalled, None));
        let unread = self.objects.unread.iter();
        let unread = unread.map(|(kind, why)| gap(kind, Reading::NotReadable, Some(why)));
        let only_here = self.only_here.iter();
        let only_here = only_here.map(|(kind, why)| gap(kind, Reading::OnlyHere, Some(why)));
        let mut gaps: Vec<_> = absent.chain(unread).chain(only_here).collect();
        gaps.sort_by(|one, other| one.kind.cmp(&other.kind));
        gaps
    }
}

/// Reads the namespace, and of what may name it from elsewhere all there is; where that is not allowed, what the
/// namespace has of it.
pub(super) async fn found(client: &Client, here: &str) -> Found {
    let mut wanted: Vec<_> = of_namespace()
        .into_iter()
        .map(|kind| Wanted::all(kind).within(here))
        .collect();
    wanted.push(Wanted {
        params: ListParams::default().fields(&format!("metadata.name={here}")),
        ..Wanted::all(namespace())
    });
    wanted.extend(anywhere());
    let objects = read::objects(client, wanted).await;
    let refused = anywhere()
        .into_iter()
        .filter(|wanted| objects.unread(&wanted.kind).is_some());
    let refused: Vec<_> = refused.map(|wanted| wanted.within(here)).collect();
    let names = refused.iter().map(|one| resource_name(&one.kind)).collect();
    let again = read::objects(client, refused).await;
    merged(objects, names, again)
}

/// With what the namespace has of the kinds that were refused elsewhere.
pub(super) fn merged(mut objects: Objects, refused: Vec<String>, again: Objects) -> Found {
    let mut only_here = BTreeMap::new();
    for name in refused {
        if again.unread.contains_key(&name) {
            continue;
        }
        let why = objects.unread.remove(&name);
        if again.absent.contains(&name) {
            objects.absent.insert(name);
        } else if let Some(why) = why {
            only_here.insert(name, why);
        }
    }
    objects.all.extend(again.all);
    Found { objects, only_here }
}

fn of_namespace() -> [ApiResource; 8] {
    [
        deployment(),
        service(),
        ApiResource::erase::<Canary>(&()),
        kinds::autoscaler(),
        kinds::scaled_object(),
        kinds::vertical_autoscaler(),
        kinds::disruption_budget(),
        network_policy(),
    ]
}

fn anywhere() -> Vec<Wanted> {
    let all = [
        kinds::service_monitor(),
        kinds::pod_monitor(),
        kinds::rule(),
        kinds::authorization_policy(),
        Optional::DestinationRule.resource(),
    ];
    let dashboards = Wanted {
        params: ListParams::default().labels(DASHBOARD),
        ..Wanted::all(config_map())
    };
    all.into_iter()
        .map(Wanted::all)
        .chain([dashboards])
        .collect()
}

/// What a group, version and kind is called, for those that are asked of.
#[cfg(test)]
pub(super) fn every_kind() -> Vec<ApiResource> {
    let everywhere = anywhere().into_iter().map(|wanted| wanted.kind);
    of_namespace().into_iter().chain(everywhere).collect()
}
