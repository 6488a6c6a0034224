//! The Canary: one workload, brought to users step by step.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::Approved;
use crate::policy::PolicySpec;
use crate::status::CanaryStatus;

/// What a Canary is about, and where it differs from its policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "Canary",
    plural = "canaries",
    shortname = "slc",
    namespaced,
    status = "CanaryStatus",
    derive = "PartialEq",
    doc = "A Canary brings every new template of a Deployment or PodTemplate to users step by \
           step, and rolls it back by itself when its service level objectives fail.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Weight", type_ = "string", json_path = ".status.weight"),
    printcolumn(name = "Stable", type_ = "string", json_path = ".status.stable"),
    printcolumn(name = "Candidate", type_ = "string", json_path = ".status.candidate"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(
        name = "Suspended",
        type_ = "boolean",
        json_path = ".spec.suspend",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')")
        .message("metadata.name must be at most 63 lower case letters, digits and '-', beginning \
                  with a letter: Services are named after it"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.targetRef.kind == 'Deployment' || has(self.replicas)")
    .message("replicas must be set when targetRef.kind is PodTemplate: \
              it has no replicas to take over"))]
pub struct CanarySpec {
    /// Where templates come from; Git may manage it. Its kind and name cannot be changed.
    #[x_kube(validation = Rule::new("self.kind == oldSelf.kind && self.name == oldSelf.name")
        .message("targetRef.kind and targetRef.name cannot be changed: \
                  delete the Canary and create another"))]
    pub target_ref: TargetRef,

    /// How many pods serve all traffic. Without it: as many as the Deployment had at adoption.
    /// Autoscalers write it through the scale subresource. Leave it out of Git when you use one, or Git puts it
    /// back: an autoscaler would take a missing number for 0 and stay idle, so Sluice writes the present size once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,

    /// The Service that clients call. Without it: the one named as the target, with all its ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,

    /// The policy to follow. Without it: the `CanaryPolicy` default of this namespace, else the
    /// `ClusterCanaryPolicy` default, else the built-in values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<PolicyRef>,

    /// The sections that this Canary does not take from its policy.
    #[serde(flatten)]
    pub policy: PolicySpec,

    /// What may go on where the steps ask for an approval. Name the image in Git together with the change
    /// of it, or when a rollout waits; a later image is not approved by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub approved: Vec<Approved>,

    /// Stops every write of Sluice about this Canary, so that a change by hand stays.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,

    /// Fields of the pod template whose change starts no rollout, as JSON pointers into the
    /// template: `/metadata/annotations/example.com~1built-at`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 256)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(p, p.matches('^(/([^/~]|~[01])+)+$'))")
            .message("ignoreTemplateFields must be JSON pointers into the pod template, beginning \
                      with '/', with '/' in a key written as '~1', \
                      as in \"/metadata/annotations/example.com~1built-at\"")
    )]
    pub ignore_template_fields: Vec<String>,

    /// Which `ConfigMap`s are part of a revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigSpec>,

    /// What was promoted last; `sluice git-sync` keeps it in Git. It counts only while nothing serves, as in a
    /// cluster made anew from Git: the target's template with these images is the first revision then, and the
    /// template as it is, where it names others, is judged after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<PromotedSpec>,

    /// Dangers of the present set-up that you know of and accept; each stops adoption otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub waivers: Vec<Waiver>,
}

/// The object that templates come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.apiVersion) || self.apiVersion == (self.kind == 'Deployment' ? 'apps/v1' : 'v1')")
    .message("apiVersion must be apps/v1 for a Deployment and v1 for a PodTemplate, or left out"))]
pub struct TargetRef {
    /// apps/v1 for a Deployment, v1 for a `PodTemplate`; may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub api_version: Option<String>,

    /// Deployment, or `PodTemplate`, which has no pods of its own to scale down.
    pub kind: TargetKind,

    /// The name of the target, in the Canary's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Kinds that hold a pod template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum TargetKind {
    /// apps/v1.
    Deployment,
    /// core/v1.
    PodTemplate,
}

/// The Service that clients call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// The name of the Service, in the Canary's namespace. Without it: the name of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,

    /// Names of Service ports that Sluice leaves alone. Their traffic reaches the pods of every
    /// revision, with no weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub unrouted_ports: Vec<String>,
}

/// A policy by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// `CanaryPolicy`, in the Canary's namespace, or `ClusterCanaryPolicy`.
    pub kind: PolicyKind,

    /// The name of the policy.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Kinds of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum PolicyKind {
    /// Of the Canary's namespace.
    CanaryPolicy,
    /// Of the cluster.
    ClusterCanaryPolicy,
}

/// Which `ConfigMap`s are part of a revision.
///
/// `ConfigMap`s that the template refers to are, and a change to one starts a rollout; Secrets are
/// not, so that rotating one starts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSpec {
    /// Names of `ConfigMap`s that are not: pods read them live, and a change starts no rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub ignore: Vec<String>,
}

/// What was promoted last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotedSpec {
    /// Images by container. One that differs from the template's by a digest alone is no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub images: Vec<PromotedImage>,
}

/// The image of a container that was promoted last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotedImage {
    /// The name of the container in the target's template; an init container's too.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// As a container's image, by its digest where that is known.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[^ ]+$')")
        .message("promoted.images[].image must be the image alone, without spaces, \
                  as in \"ghcr.io/example/app:1.2.3\""))]
    pub image: String,
}

impl PromotedImage {
    /// Whether a container's image is this one. Where one of the two has no digest, name and tag decide: the
    /// digest was learned from pods, and Git need not have it.
    #[must_use]
    pub fn is_image(&self, image: &str) -> bool {
        let (ours, theirs) = (self.image.split_once('@'), image.split_once('@'));
        match (ours, theirs) {
            (Some((name, _)), None) => name == image,
            (None, Some((name, _))) => self.image == name,
            _ => self.image == image,
        }
    }
}

/// A danger that a person knows of and accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Waiver {
    /// Another route, or another controller's route status, is on the Service.
    ForeignRoute,
    /// Another Service selects the same pods.
    SharedPods,
    /// Clients reach pods around the waypoint, where no weight holds.
    AroundWaypoint,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_counts_only_where_both_have_one() {
        let promoted = |image: &str| PromotedImage {
            name: "app".to_owned(),
            image: image.to_owned(),
        };
        let (bare, one, two) = (
            "r:5000/app:1",
            "r:5000/app:1@sha256:a",
            "r:5000/app:1@sha256:b",
        );
        assert!(promoted(bare).is_image(bare));
        assert!(promoted(one).is_image(bare));
        assert!(promoted(bare).is_image(one));
        assert!(promoted(one).is_image(one));
        assert!(!promoted(one).is_image(two));
        assert!(!promoted(one).is_image("r:5000/app:2"));
        assert!(!promoted(bare).is_image("r:5000/app"));
    }
}
