//! Reading a cluster once, with whatever rights there are: what may not be read is noted, and no failure.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::core::TypeMeta;
use kube::{Client, ResourceExt as _};
use serde_json::Value;

/// Objects of one answer.
const PAGE: u32 = 500;
/// Requests at once.
pub(super) const AT_ONCE: usize = 8;

/// What there is, or why that is not known.
pub(super) type Read<T> = Result<T, String>;

/// What was read. Every object says what kind it is of.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) all: Vec<DynamicObject>,
    /// Kinds that could not be read, as `gatewayclasses.gateway.networking.k8s.io`, and why.
    pub(super) unread: BTreeMap<String, String>,
    /// Kinds that were to be listed and that the API server does not serve, named likewise.
    pub(super) absent: BTreeSet<String>,
}

impl Objects {
    /// The objects of a kind.
    pub(super) fn of<'a>(
        &'a self,
        kind: &ApiResource,
    ) -> impl Iterator<Item = &'a DynamicObject> + use<'a> {
        let (version, kind) = (kind.api_version.clone(), kind.kind.clone());
        let of_kind = move |object: &&DynamicObject| {
            let types = object.types.as_ref();
            types.is_some_and(|types| types.api_version == version && types.kind == kind)
        };
        self.all.iter().filter(of_kind)
    }

    /// One of them.
    pub(super) fn one(
        &self,
        kind: &ApiResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<&DynamicObject> {
        let mut all = self.of(kind);
        all.find(|one| one.name_any() == name && one.namespace().as_deref() == namespace)
    }

    /// Why a kind could not be read, if it could not.
    pub(super) fn unread(&self, kind: &ApiResource) -> Option<&str> {
        self.unread.get(&resource_name(kind)).map(String::as_str)
    }
}

/// What to read of a kind.
pub(super) struct Wanted {
    pub(super) kind: ApiResource,
    pub(super) namespace: Option<String>,
    pub(super) params: ListParams,
    /// By a get, which some may do who may not list.
    pub(super) name: Option<String>,
    pub(super) keep: fn(&DynamicObject) -> bool,
}

impl Wanted {
    /// All of a kind.
    pub(super) fn all(kind: ApiResource) -> Self {
        Self {
            kind,
            namespace: None,
            params: ListParams::default(),
            name: None,
            keep: |_| true,
        }
    }

    /// In a namespace.
    pub(super) fn within(self, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..self
        }
    }

    /// One.
    pub(super) fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }
}

/// Reads all of these. A kind that is not installed has no objects.
pub(super) async fn objects(client: &Client, wanted: Vec<Wanted>) -> Objects {
    let mut objects = Objects::default();
    let mut answers = stream::iter(wanted)
        .map(async |wanted| (read(client, &wanted).await, wanted.kind))
        .buffer_unordered(AT_ONCE);
    while let Some((answer, kind)) = answers.next().await {
        match answer {
            Ok(Some(found)) => objects.all.extend(found),
            Ok(None) => _ = objects.absent.insert(resource_name(&kind)),
            Err(why) => {
                objects.unread.insert(resource_name(&kind), why);
            }
        }
    }
    drop(answers);
    // What was read in two ways is one object.
    let key = |one: &DynamicObject| {
        let types = one.types.clone().unwrap_or_default();
        let meta = &one.metadata;
        let place = (meta.namespace.clone(), meta.name.clone());
        (types.api_version, types.kind, place)
    };
    objects.all.sort_by_key(key);
    objects.all.dedup_by_key(|one| key(one));
    objects
}

/// `None` if the API server does not serve the kind.
async fn read(client: &Client, wanted: &Wanted) -> Read<Option<Vec<DynamicObject>>> {
    let client = client.clone();
    let api: Api<DynamicObject> = match &wanted.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &wanted.kind),
        None => Api::all_with(client, &wanted.kind),
    };
    let objects = match &wanted.name {
        Some(name) => api.get_opt(name).await.map(Vec::from_iter),
        None => list(&api, wanted).await,
    };
    let verb = if wanted.name.is_some() { "get" } else { "list" };
    let mut objects = match objects {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
        objects => objects.map_err(|error| why(&error, verb, &resource_name(&wanted.kind)))?,
    };
    for object in &mut objects {
        // Items of a list do not say what they are.
        object.types = Some(TypeMeta {
            api_version: wanted.kind.api_version.clone(),
            kind: wanted.kind.kind.clone(),
        });
        object.metadata.managed_fields = None;
    }
    Ok(Some(objects))
}

/// Page by page.
async fn list(api: &Api<DynamicObject>, wanted: &Wanted) -> kube::Result<Vec<DynamicObject>> {
    let mut objects = Vec::new();
    let mut params = wanted.params.clone().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        let next = page.metadata.continue_.clone();
        objects.extend(page.items.into_iter().filter(wanted.keep));
        match next.filter(|next| !next.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(objects),
        }
    }
}

/// Why something was not read, for a person.
pub(super) fn why(error: &kube::Error, verb: &str, what: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("not allowed to {verb} {what}")
        }
        error => format!("{what} cannot be read: {error}"),
    }
}

/// As in `httproutes.gateway.networking.k8s.io`.
pub(super) fn resource_name(kind: &ApiResource) -> String {
    let dot = if kind.group.is_empty() { "" } else { "." };
    format!("{}{dot}{}", kind.plural, kind.group)
}

/// A kind that we have no types for.
pub(super) fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

pub(super) fn list_of<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(super) fn namespace() -> ApiResource {
    resource("", "v1", "Namespace", "namespaces")
}

pub(super) fn service() -> ApiResource {
    resource("", "v1", "Service", "services")
}

pub(super) fn pod() -> ApiResource {
    resource("", "v1", "Pod", "pods")
}

pub(super) fn config_map() -> ApiResource {
    resource("", "v1", "ConfigMap", "configmaps")
}

pub(super) fn network_policy() -> ApiResource {
    resource(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
    )
}
