//! What a server has of a source before anything is judged: whether its series are there, whether they tell one revision
//! from another, and how often they are scraped.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use kube::Client;

use super::answer;
use super::fetch::fetch;
use super::past::Past;
use super::problem::Problem;
use super::query::{Asked, NAME, PROCESS, TARGET_INFO, literal, metrics, one_of, quoted};
use super::source::{Dialect, spell};
use super::{Secrets, name};
use crate::render::name::{base, hash_pattern};

/// How far back samples are counted.
const LOOK_BACK: &str = "10m";
/// How long a server may take, unless it is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// What Istio writes where it knows nothing.
const UNKNOWN: &str = "unknown";

/// What there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Series of the source, of whomever.
    pub series: u64,
    /// Those of them that say which revision they are of.
    pub told: u64,
    /// Those of the Service, of its target, or of a revision.
    pub own: u64,
    /// The time between two samples of one of the best of these.
    pub interval: Option<TimeDelta>,
}

/// How a source is asked for, in words for a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Look {
    /// What users call the source.
    pub source: &'static str,
    /// What counts requests, as a selector.
    pub selector: String,
    /// The label that tells revisions apart.
    pub label: String,
}

/// The queries for one Service.
struct Queries {
    series: String,
    told: String,
    own: String,
}

impl Past {
    /// What is looked for.
    #[must_use]
    pub fn look(&self) -> Look {
        let dialect = Dialect::of(self.source);
        Look {
            source: name(self.source),
            selector: format!("{{{}}}", self.matchers(dialect)),
            label: spell(dialect.service, self.names),
        }
    }

    /// Asks the server. By `client` Secrets are read, if the server wants credentials.
    ///
    /// # Errors
    /// Why there is no answer, in one line for a person.
    pub async fn probe(&self, client: &Client) -> Result<Seen, String> {
        let found = self.ask(client).await;
        found.map_err(|problem| problem.to_string())
    }

    async fn ask(&self, client: &Client) -> Result<Seen, Problem> {
        let http = self.server.client(&Secrets::new(client.clone())).await?;
        let limit = self.server.timeout.unwrap_or(PATIENCE);
        let ask = async |query: &str| fetch(&http, &self.server.address, query, limit).await;
        let number = async |query: &str| {
            let (status, body) = ask(&format!("count({query})")).await?;
            first_number(status, &body)
        };
        let queries = self.queries();
        let mut seen = Seen {
            series: number(&queries.series).await?,
            ..Seen::default()
        };
        if seen.series == 0 {
            return Ok(seen);
        }
        seen.told = number(&queries.told).await?;
        seen.own = number(&queries.own).await?;
        let best = match (seen.own, seen.told) {
            (1.., _) => &queries.own,
            (_, 1..) => &queries.told,
            _ => &queries.series,
        };
        let (status, body) = ask(&format!("topk(1, {best})")).await?;
        let newest = answer::vector(status, &body)?;
        if let Some((labels, _)) = newest.first() {
            let matchers = labels
                .iter()
                .map(|(label, value)| format!("{}=~\"{}\"", quoted(label), literal(value)));
            let matchers = matchers.collect::<Vec<_>>().join(", ");
            let (status, body) = ask(&format!("{{{matchers}}}[{LOOK_BACK}]")).await?;
            seen.interval = interval(status, &body)?;
        }
        Ok(seen)
    }

    fn queries(&self) -> Queries {
        let dialect = Dialect::of(self.source);
        let spelled = |label: &str| quoted(&spell(label, self.names));
        let (namespace, service) = (spelled(dialect.namespace), spelled(dialect.service));
        let matchers = self.matchers(dialect);
        let names = [&self.service, &self.target].map(|name| [name.clone(), base(name)]);
        let names: BTreeSet<_> = names.iter().flatten().map(|name| literal(name)).collect();
        let names = names.into_iter().collect::<Vec<_>>().join("|");
        let own = format!(
            "{}, {service}=~\"(?:{names})(?:-{})?\"",
            one_of(&namespace, [self.namespace.as_str()].into_iter()),
            hash_pattern()
        );
        let which = |whose: &str| {
            if !dialect.target_info() {
                return format!("{{{matchers}, {whose}}}");
            }
            let process = PROCESS.join(", ");
            format!(
                "({{{matchers}, {whose}}} or ({{{matchers}, {service}=\"\"}} and on ({process}) \
                 {TARGET_INFO}{{{whose}}}))"
            )
        };
        Queries {
            series: format!("{{{matchers}}}"),
            told: which(&format!("{service}!~\"|{UNKNOWN}\"")),
            own: which(&own),
        }
    }

    fn matchers(&self, dialect: &Dialect) -> String {
        let asked = Asked {
            names: self.names,
            ..Asked::default()
        };
        let metrics = metrics(dialect, &asked);
        let requests = metrics.iter().filter(|(_, meaning)| meaning.requests);
        let names = requests.map(|(name, _)| name.as_str());
        let only = dialect.only.iter();
        let only = only.map(|(label, value)| format!("{label}=\"{value}\""));
        let all = [one_of(NAME, names)].into_iter().chain(only);
        all.collect::<Vec<_>>().join(", ")
    }
}

/// Of nothing there is no count, and no series either.
fn first_number(status: u16, body: &[u8]) -> Result<u64, Problem> {
    let series = answer::vector(status, body)?;
    let value = series.first().and_then(|(_, value)| value.as_ref());
    let number = value.and_then(|value| value.parse().ok());
    Ok(number.and_then(answer::count_of).unwrap_or_default())
}

/// The time between two samples: that which lies in the middle, since one may have been late or lost.
fn interval(status: u16, body: &[u8]) -> Result<Option<TimeDelta>, Problem> {
    let series = answer::matrix(status, body)?;
    let times: Vec<f64> = series
        .first()
        .map(|series| series.points().map(|(at, _)| at).collect())
        .unwrap_or_default();
    let mut gaps: Vec<f64> = times
        .iter()
        .zip(times.iter().skip(1))
        .map(|(one, next)| next - one)
        .collect();
    gaps.sort_by(f64::total_cmp);
    let middle = gaps.get(gaps.len() / 2).filter(|_| gaps.len() > 1);
    #[allow(clippy::cast_possible_truncation, reason = "saturates")]
    let millis = middle.map(|seconds| (seconds * 1e3).round() as i64);
    Ok(millis.and_then(TimeDelta::try_milliseconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use sluice_crds::{OtlpNames, Source};

    use super::*;
    use crate::evidence::Server;

    fn past(source: Source) -> Past {
        Past {
            server: Server::at("http://prometheus"),
            interval: TimeDelta::seconds(15),
            source,
            names: OtlpNames::Underscores,
            namespace: "shop".to_owned(),
            service: "web".to_owned(),
            target: "web.v1".to_owned(),
        }
    }

    #[test]
    fn a_waypoints_series_are_told_by_their_service() {
        let queries = past(Source::IstioWaypoint).queries();
        let all = "__name__=~\"istio_requests_total\", reporter=\"waypoint\"";
        assert_eq!(queries.series, format!("{{{all}}}"));
        assert_eq!(
            queries.told,
            format!("{{{all}, destination_service_name!~\"|unknown\"}}")
        );
        assert_eq!(
            queries.own,
            format!(
                "{{{all}, destination_service_namespace=~\"shop\", \
                 destination_service_name=~\"(?:web|web-v1|web\\\\.v1)(?:-{})?\"}}",
                hash_pattern()
            )
        );
    }

    #[test]
    fn pushed_series_may_be_told_by_target_info() {
        let queries = past(Source::OtelHttp).queries();
        assert!(
            queries.told.contains(
                "k8s_deployment_name=\"\"} and on (job, instance) target_info{k8s_deployment_name!~\"|unknown\"}"
            ),
            "{}",
            queries.told
        );
        assert_eq!(past(Source::OtelHttp).look().label, "k8s_deployment_name");
    }

    #[test]
    fn an_interval_is_that_between_most_samples() {
        let of = |times: &str| {
            let body = format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[
                {{"metric":{{"__name__":"istio_requests_total"}},"values":[{times}]}}]}}}}"#
            );
            interval(200, body.as_bytes()).unwrap()
        };
        let late = r#"[10,"1"],[25.002,"1"],[40,"2"],[70,"3"],[85,"3"]"#;
        assert_eq!(of(late), TimeDelta::try_milliseconds(15_002));
        assert_eq!(of(r#"[10,"1"],[25,"1"]"#), None, "too few to tell");
        assert_eq!(of(""), None);
    }

    #[test]
    fn what_is_not_there_counts_nothing() {
        let of = |result: &str| {
            let body = format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#
            );
            first_number(200, body.as_bytes()).unwrap()
        };
        assert_eq!(of(""), 0);
        assert_eq!(of(r#"{"metric":{},"value":[1700000000,"42"]}"#), 42);
    }
}
