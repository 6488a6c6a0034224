//! Reading a cluster once, with whatever rights there are: what may not be read is noted.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::TypeMeta;
use kube::{Client, CustomResourceExt as _};
use sluice_crds::{Canary, CanaryPolicy, ClusterCanaryPolicy, MetricTemplate};

use super::Asked;
use super::checks::sidecars;
use super::found::{
    Found, Read, api_resources, cilium_cluster_policy, cilium_policy, config_map, definition,
    gateway_class, namespace, network_policy, pod, resource_name, service,
};
use super::rights::{self, Right};
use super::subject::Subject;
use crate::observe::kinds;
use crate::render::kind::Optional;

/// Objects of one answer.
const PAGE: u32 = 500;
/// Requests at once.
const AT_ONCE: usize = 8;

/// The definitions of others whose version matters.
const DEFINITIONS: [&str; 4] = [
    "gatewayclasses.gateway.networking.k8s.io",
    "gateways.gateway.networking.k8s.io",
    "grpcroutes.gateway.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
];

/// Reads a cluster.
pub(super) struct Gatherer {
    client: Client,
    service_account: String,
}

/// What to read of a kind.
struct Wanted {
    kind: ApiResource,
    namespace: Option<String>,
    params: ListParams,
    /// By a get, which some may do who may not list.
    name: Option<String>,
    keep: fn(&DynamicObject) -> bool,
}

impl Wanted {
    fn all(kind: ApiResource) -> Self {
        Self {
            kind,
            namespace: None,
            params: ListParams::default(),
            name: None,
            keep: |_| true,
        }
    }

    fn within(self, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..self
        }
    }

    fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }
}

impl Gatherer {
    pub(super) fn new(client: Client, service_account: &str) -> Self {
        Self {
            client,
            service_account: service_account.to_owned(),
        }
    }

    /// Reads all but metrics.
    pub(super) async fn found(&self, asked: &Asked) -> Found {
        let mut found = Found {
            from_inside: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            ..Found::default()
        };
        let mut answers = stream::iter(wanted(asked))
            .map(async |wanted| (self.read(&wanted).await, wanted.kind))
            .buffer_unordered(AT_ONCE);
        while let Some((answer, kind)) = answers.next().await {
            match answer {
                Ok(objects) => found.objects.extend(objects),
                Err(why) => {
                    found.unread.insert(resource_name(&kind), why);
                }
            }
        }
        drop(answers);
        for group_version in ["gateway.networking.k8s.io/v1", "sluice.dev/v1alpha1"] {
            match self.served(group_version).await {
                Ok(list) => found.objects.extend(list),
                Err(why) => {
                    found.unread.insert(resource_name(&api_resources()), why);
                }
            }
        }
        // What was read in two ways is one object.
        let key = |one: &DynamicObject| {
            let types = one.types.clone().unwrap_or_default();
            let meta = &one.metadata;
            let place = (meta.namespace.clone(), meta.name.clone());
            let group = one.data.get("groupVersion").map(ToString::to_string);
            (types.api_version, types.kind, place, group)
        };
        found.objects.sort_by_key(key);
        found.objects.dedup_by_key(|one| key(one));
        found.rights = Some(self.rights(&asked.home).await);
        found
    }

    /// Asks the servers that the subjects name.
    pub(super) async fn probe(&self, found: &mut Found, subjects: &[Subject]) {
        let mut known = BTreeMap::new();
        for subject in subjects {
            if let Some(past) = &subject.past {
                known.insert(subject.to_string(), past.probe(&self.client).await);
            }
        }
        found.series = known;
    }

    async fn read(&self, wanted: &Wanted) -> Read<Vec<DynamicObject>> {
        let client = self.client.clone();
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
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
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
        Ok(objects)
    }

    async fn served(&self, group_version: &str) -> Read<Option<DynamicObject>> {
        let list = match self.client.list_api_group_resources(group_version).await {
            Ok(list) => list,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            Err(error) => return Err(why(&error, "discover", group_version)),
        };
        let mut object = DynamicObject::new("", &api_resources());
        object.data = serde_json::to_value(list).map_err(|error| error.to_string())?;
        Ok(Some(object))
    }

    /// What the controller may do: asked about itself, if this is its account, else by who may ask about others.
    async fn rights(&self, home: &str) -> Read<(String, Vec<(Right, bool)>)> {
        let granted = rights::granted().map_err(|error| error.to_string())?;
        let user = format!("system:serviceaccount:{home}:{}", self.service_account);
        let own = self.own_name().await.as_deref() == Some(&user);
        let review = async |right: Right| {
            let attributes = Some(right.attributes(home));
            let allowed = if own {
                let review = SelfSubjectAccessReview {
                    spec: SelfSubjectAccessReviewSpec {
                        resource_attributes: attributes,
                        ..SelfSubjectAccessReviewSpec::default()
                    },
                    ..SelfSubjectAccessReview::default()
                };
                let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
                let review = api.create(&PostParams::default(), &review).await;
                review.map(|review| review.status.is_some_and(|status| status.allowed))
            } else {
                let groups = [
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{home}"),
                    "system:authenticated".to_owned(),
                ];
                let review = SubjectAccessReview {
                    spec: SubjectAccessReviewSpec {
                        resource_attributes: attributes,
                        user: Some(user.clone()),
                        groups: Some(groups.into()),
                        ..SubjectAccessReviewSpec::default()
                    },
                    ..SubjectAccessReview::default()
                };
                let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
                let review = api.create(&PostParams::default(), &review).await;
                review.map(|review| review.status.is_some_and(|status| status.allowed))
            };
            let allowed = allowed.map_err(|error| {
                why(
                    &error,
                    "create",
                    "subjectaccessreviews.authorization.k8s.io",
                )
            })?;
            Ok((right, allowed))
        };
        let reviews = stream::iter(granted).map(review).buffered(AT_ONCE);
        let reviews: Read<Vec<_>> = reviews.try_collect().await;
        Ok((format!("{home}/{}", self.service_account), reviews?))
    }

    /// Who asks.
    async fn own_name(&self) -> Option<String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = SelfSubjectReview::default();
        let review = api.create(&PostParams::default(), &review).await.ok()?;
        review.status?.user_info?.username
    }
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

fn why(error: &kube::Error, verb: &str, what: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("not allowed to {verb} {what}")
        }
        error => format!("{what} cannot be read: {error}"),
    }
}

fn wanted(asked: &Asked) -> Vec<Wanted> {
    let ours = [
        Canary::crd_name(),
        CanaryPolicy::crd_name(),
        ClusterCanaryPolicy::crd_name(),
        MetricTemplate::crd_name(),
    ];
    let definitions = DEFINITIONS.into_iter().chain(ours);
    let mut all: Vec<_> = definitions
        .map(|name| Wanted::all(definition()).named(name))
        .collect();
    all.extend([
        Wanted::all(gateway_class()),
        Wanted {
            params: ListParams::default().labels("app=istiod"),
            ..Wanted::all(kinds::deployment())
        },
        Wanted::all(config_map())
            .within("kube-system")
            .named("cilium-config"),
        Wanted {
            keep: sidecars::has_proxy,
            ..Wanted::all(pod())
        },
    ]);
    let Some(name) = &asked.namespace else {
        return all;
    };
    let everywhere = [
        kinds::http_route(),
        Optional::GrpcRoute.resource(),
        Optional::VirtualService.resource(),
        Optional::Gateway.resource(),
        cilium_cluster_policy(),
        ApiResource::erase::<ClusterCanaryPolicy>(&()),
    ];
    all.extend(everywhere.map(Wanted::all));
    let here = [
        kinds::deployment(),
        kinds::pod_template(),
        service(),
        network_policy(),
        cilium_policy(),
        ApiResource::erase::<Canary>(&()),
        ApiResource::erase::<CanaryPolicy>(&()),
        ApiResource::erase::<MetricTemplate>(&()),
    ];
    all.extend(here.map(|kind| Wanted::all(kind).within(name)));
    all.push(Wanted::all(ApiResource::erase::<MetricTemplate>(&())).within(&asked.home));
    all.push(Wanted {
        params: ListParams::default().fields(&format!("metadata.name={name}")),
        ..Wanted::all(namespace())
    });
    all
}
