//! What is read with one query, and for whom.

use std::collections::BTreeSet;

use sluice_crds::{OtlpNames, Source};

use super::super::own::Own;
use super::super::query::Asked;
use super::super::source::{Connections, Dialect};
use super::super::{Key, Server, Service, Subscription};

/// What is read with one query: a server and the name of a source.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::evidence) struct Group {
    pub(in crate::evidence) server: Server,
    pub(in crate::evidence) source: &'static str,
    pub(in crate::evidence) names: OtlpNames,
    /// The one Canary of it, if that has queries of its own: nobody else waits for their answers.
    pub(in crate::evidence) alone: Option<String>,
}

/// What a rollout is read with. `alone` as in [`Group::alone`].
pub(super) fn groups(subscription: &Subscription, alone: Option<&String>) -> Vec<Group> {
    let group = |source, names, alone| Group {
        server: subscription.server.clone(),
        source,
        names,
        alone,
    };
    let source = Dialect::of(subscription.source).name;
    let connections = subscription.connections().into_keys();
    let connections = connections.map(|name| group(name, OtlpNames::default(), None));
    let own = group(source, subscription.names, alone.cloned());
    [own].into_iter().chain(connections).collect()
}

/// One reading: what to ask, and for whom.
#[derive(Debug)]
pub(in crate::evidence) struct Round {
    pub(in crate::evidence) wanted: Wanted,
    /// Each with the number of its subscription.
    pub(super) members: Vec<(Key, u64)>,
    /// Of whose revisions some drain, each with the number of its watch.
    pub(super) drains: Vec<(Key, u64)>,
}

/// What to ask.
#[derive(Debug)]
pub(in crate::evidence) enum Wanted {
    /// What became of requests.
    Requests {
        dialect: &'static Dialect,
        asked: Asked,
        /// See [`super::super::ledger::Entries::young`].
        young: BTreeSet<Service>,
        /// What the one member asks beside.
        own: Vec<Own>,
    },
    /// Who connects to the pods of these.
    Connections {
        metric: &'static Connections,
        called: BTreeSet<Service>,
        /// Whether anybody judges how that went.
        judged: bool,
        /// See [`super::super::ledger::Entries::young`].
        young: BTreeSet<Service>,
    },
}

impl Wanted {
    /// Nothing yet of a group that this subscription is of.
    pub(super) fn by(subscription: &Subscription, group: &Group) -> Self {
        match subscription.connections().remove(group.source) {
            Some(metric) => Self::Connections {
                metric,
                called: BTreeSet::new(),
                judged: false,
                young: BTreeSet::new(),
            },
            None => Self::requests(subscription.source, group),
        }
    }

    /// The same of a group that asks about requests.
    pub(super) fn requests(source: Source, group: &Group) -> Self {
        Self::Requests {
            dialect: Dialect::of(source),
            asked: Asked {
                names: group.names,
                ..Asked::default()
            },
            young: BTreeSet::new(),
            own: Vec::new(),
        }
    }
}
