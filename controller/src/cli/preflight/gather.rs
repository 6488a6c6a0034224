//! What is read of a cluster, and what is asked about it.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use kube::{Client, CustomResourceExt as _};
use sluice_crds::{Canary, CanaryPolicy, ClusterCanaryPolicy, MetricTemplate};

use super::Asked;
use super::checks::sidecars;
use super::found::{
    Found, Read, Rights, api_resources, cilium_cluster_policy, cilium_policy, config_map,
    definition, gateway_class, namespace, network_policy, pod, service,
};
use super::rights::{self, Right};
use super::subject::Subject;
use crate::cli::read::{self, AT_ONCE, Wanted, resource_name, why};
use crate::observe::kinds;
use crate::render::kind::Optional;

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
        found.objects = read::objects(&self.client, wanted(asked)).await;
        for group_version in ["gateway.networking.k8s.io/v1", "sluice.dev/v1alpha1"] {
            match self.served(group_version).await {
                Ok(list) => found.objects.all.extend(list),
                Err(why) => {
                    found
                        .objects
                        .unread
                        .insert(resource_name(&api_resources()), why);
                }
            }
        }
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
    async fn rights(&self, home: &str) -> Read<Rights> {
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
        Ok(Rights {
            account: format!("{home}/{}", self.service_account),
            each: reviews?,
        })
    }

    /// Who asks.
    async fn own_name(&self) -> Option<String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = SelfSubjectReview::default();
        let review = api.create(&PostParams::default(), &review).await.ok()?;
        review.status?.user_info?.username
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
