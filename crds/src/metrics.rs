//! Where measurements come from: a server, and whose they are.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::{Duration, positive};

/// A server that answers Prometheus queries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// The URL of a server with Prometheus' query API, as in `http://prometheus.monitoring:9090`.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(
        "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''")
        .message("address must be an http or https URL, as in \"http://prometheus.monitoring:9090\""))]
    #[x_kube(validation = Rule::new("!self.matches('[@?#]')")
        .message("address must have no user, password, query or fragment: \
                  write the server and, if need be, a path"))]
    pub address: String,

    /// How often the server scrapes the source, or gets its metrics pushed; evidence is read as
    /// often. Without it: 15s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = positive("interval must be longer than 0, as in \"15s\""))]
    pub interval: Option<Duration>,

    /// How the server writes OpenTelemetry's names: Underscores as in
    /// `http_server_request_duration_seconds`, or Dots, for a Prometheus that is told to escape
    /// nothing. Without it: Underscores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp_names: Option<OtlpNames>,

    /// How long the server may take to answer. Without it: one interval, but 1s at least and 10s
    /// at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = positive("timeout must be longer than 0, as in \"10s\""))]
    pub timeout: Option<Duration>,

    /// Headers of every query, such as the tenant that `X-Scope-OrgID` names. Everybody who may
    /// read this object sees them: what is secret belongs into credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub headers: Vec<Header>,

    /// The certificates, in PEM, of the authorities that may vouch for the server, besides those
    /// that everybody trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub ca: Option<String>,

    /// What the server asks of who queries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

/// A header of a query.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Its name, as in "X-Scope-OrgID".
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9-]+$')")
        .message("name must be letters, digits and '-', as in \"X-Scope-OrgID\""))]
    #[x_kube(validation = Rule::new(
        "!(self.lowerAscii() in ['authorization', 'host', 'content-type', 'content-length'])")
        .message("name must not be Authorization, write credentials; nor what belongs to the query itself"))]
    pub name: String,

    /// Its value.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^[ -~]+$')")
        .message("value must be printable"))]
    pub value: String,
}

/// What a server asks of who queries it. Secrets are those of the object's own namespace; of a
/// `ClusterCanaryPolicy`, of the namespace that Sluice runs in. Sluice must be let read each by name.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.bearer) != has(self.basic)")
    .message("credentials need exactly one of bearer and basic"))]
pub struct Credentials {
    /// A token, sent as `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerToken>,

    /// A user and a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
}

/// Where a token is.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct BearerToken {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,

    /// The key in it. Without it: token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// Where a user and a password are.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// The name of a Secret with the keys username and password, as those of type
    /// `kubernetes.io/basic-auth` have.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
}

/// Whose measurements count requests. Without it: istio-waypoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Source {
    /// The metrics of an Istio ambient waypoint: `istio_requests_total` and its kin.
    IstioWaypoint,
    /// The same metrics of the sidecars beside the app.
    IstioSidecar,
    /// The app's own OpenTelemetry metric `http.server.request.duration`.
    OtelHttp,
    /// The app's own OpenTelemetry metric `rpc.server.call.duration`, or the older `rpc.server.duration`.
    OtelRpc,
    /// Cilium's `hubble_http_requests_total` and its kin, of `httpV2`.
    CiliumHubble,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::IstioWaypoint,
        Self::IstioSidecar,
        Self::OtelHttp,
        Self::OtelRpc,
        Self::CiliumHubble,
    ];
}

/// Whose measurements count connections, on layer 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ConnectionSource {
    /// Connections to the revision's pods, as the ztunnel of their node counts them: `istio_tcp_connections_opened_total`
    /// and its kin.
    Ztunnel,
    /// Flows to and from the revision's pods, as Cilium's Hubble counts them in `hubble_flows_processed_total`.
    CiliumDrops,
}

impl ConnectionSource {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ztunnel, Self::CiliumDrops];
}

/// How a server writes OpenTelemetry's names. Without it: Underscores.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[schemars(inline)]
pub enum OtlpNames {
    /// As in `http_server_request_duration_seconds`: what Prometheus does unless told otherwise.
    #[default]
    Underscores,
    /// As in `http.server.request.duration`: with one of Prometheus' translation strategies that escape nothing,
    /// `NoUTF8EscapingWithSuffixes` or `NoTranslation`.
    Dots,
}
