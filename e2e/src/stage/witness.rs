//! What stories look at, besides the status: conditions, Envoy, the audit log, and users.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::Value;
use sluice_crds::{Canary, CanaryStatus, annotations};

use super::{Scene, USER, describe, eventually};
use crate::cluster::{Shares, audit};
use crate::load::Ended;

impl Scene<'_> {
    /// What Sluice asked of the API server since `mark` for this namespace, or for all: writes, and
    /// reads that are no watch.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn asked_since(&self, mark: audit::Mark) -> Result<Vec<audit::Event>> {
        let mut events = self.stage.cluster.audit().since(mark)?;
        events.retain(|event| {
            let namespace = event.object_ref.as_ref().map(|object| &object.namespace);
            let elsewhere = namespace.is_some_and(|n| !n.is_empty() && *n != self.namespace);
            event.by(USER) && event.verb != "watch" && !elsewhere
        });
        Ok(events)
    }

    /// Fails if Sluice wrote or read anything since `mark`; `when` says during what.
    ///
    /// # Errors
    /// With what it asked for.
    pub fn silent_since(&self, mark: audit::Mark, when: &str) -> Result<()> {
        let asked = self.asked_since(mark)?;
        ensure!(
            asked.is_empty(),
            "{when}: Sluice asked for {}",
            list(&asked)
        );
        Ok(())
    }

    /// Waits until Envoy itself sends a Service's requests to these backends, in percent.
    ///
    /// # Errors
    /// When the time is up, with what it does instead.
    pub async fn envoy_sends(&self, service: &str, port: u16, shares: &Shares) -> Result<()> {
        let what = format!("Envoy sends requests for {service} to {shares:?}");
        eventually(&what, Duration::from_secs(5), async || {
            let now = self.waypoint.route_shares(service, port).await?;
            let as_wanted = !now.is_empty() && now.iter().all(|rule| rule == shares);
            Ok(if as_wanted {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            })
        })
        .await
    }

    /// Waits until no pod of a revision is left.
    ///
    /// # Errors
    /// When the time is up.
    pub async fn pods_gone(&self, revision: &str, within: Duration) -> Result<()> {
        eventually(
            &format!("the pods of {revision} gone"),
            within,
            async || {
                let left = self.pods(revision).await?.len();
                Ok(if left == 0 {
                    Ok(())
                } else {
                    Err(format!("{left} pods"))
                })
            },
        )
        .await
    }

    /// Waits until there is no Canary of this name.
    ///
    /// # Errors
    /// When the time is up, with what it says.
    pub async fn canary_gone(&self, name: &str, within: Duration) -> Result<()> {
        let what = format!("Canary {name} gone");
        eventually(&what, within, async || {
            let canary = self.api::<Canary>().get_opt(name).await?;
            let status = canary.map(|canary| canary.status.unwrap_or_default());
            Ok(status.map_or(Ok(()), |status| Err(describe(&status))))
        })
        .await
    }

    /// How a revision was judged, as its snapshot remembers it.
    ///
    /// # Errors
    /// When there is no snapshot, or nothing on it.
    pub async fn verdict(&self, canary: &str, revision: &str) -> Result<Value> {
        let snapshots = self.snapshots(canary).await?;
        let named = |name: Option<&String>| name.is_some_and(|name| name == revision);
        let mut known = snapshots.iter().filter(|s| named(s.metadata.name.as_ref()));
        let snapshot = known
            .next()
            .with_context(|| format!("no snapshot of {revision}"))?;
        let noted = snapshot.metadata.annotations.as_ref();
        let verdict = noted.and_then(|noted| noted.get(annotations::VERDICT));
        let verdict = verdict.with_context(|| format!("no verdict on {revision}"))?;
        Ok(serde_json::from_str(verdict)?)
    }
}

/// A condition of a status.
///
/// # Errors
/// When there is none of this type.
pub fn condition<'a>(status: &'a CanaryStatus, kind: &str) -> Result<&'a Condition> {
    let mut conditions = status.conditions.iter();
    let found = conditions.find(|condition| condition.type_ == kind);
    found.with_context(|| format!("no condition {kind}: {}", describe(status)))
}

/// Fails unless `text` holds each of `parts`.
///
/// # Errors
/// With the text and what it lacks.
pub fn says(text: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "{part:?} is missing in: {text}");
    }
    Ok(())
}

/// Requests as `verb resource name`, for a message.
#[must_use]
pub fn list(events: &[audit::Event]) -> String {
    let line = |event: &audit::Event| format!("{} {}", event.verb, event.request_uri);
    events.iter().map(line).collect::<Vec<_>>().join(", ")
}

/// How long a bad version still got requests after it was seen to be bad.
#[derive(Debug, Clone, Copy)]
pub struct Exposure {
    /// From the end of its first bad answer to the last request that Envoy sent to it.
    pub time: Duration,
    /// How often Prometheus scraped the waypoint meanwhile.
    pub scrapes: usize,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        write!(f, "{seconds:.2} s, {} scrapes", self.scrapes)
    }
}

impl Scene<'_> {
    /// How long users of a load were exposed to a bad version. To be asked while the load's clock is
    /// known: scrapes are on Prometheus' clock.
    ///
    /// # Errors
    /// When it gave no bad answer, or Prometheus does not answer.
    pub async fn exposure(
        &self,
        load_began: SystemTime,
        ended: &[Ended],
        version: &str,
        is_bad: impl Fn(&Ended) -> bool,
    ) -> Result<Exposure> {
        let answers = || ended.iter().filter(|ended| ended.is_from(version));
        let first = answers().find(|answer| is_bad(answer));
        let first =
            first.with_context(|| format!("no bad answer of {version} in {}", ended.len()))?;
        let last = answers().map(|answer| answer.sent).max();
        let (from, to) = (first.at, last.context("no answer")?);
        let scrapes = self.scrapes(load_began + from, load_began + to).await?;
        Ok(Exposure {
            time: to.saturating_sub(from),
            scrapes,
        })
    }

    /// Waits until the waypoint is scraped: Prometheus looks for new targets every five seconds.
    ///
    /// # Errors
    /// When it is not for long, or Prometheus does not answer.
    pub async fn scraped(&self) -> Result<()> {
        eventually(
            "the waypoint scraped",
            Duration::from_secs(15),
            async || {
                let times = self.scraped_at().await?;
                Ok((!times.is_empty()).then_some(()).ok_or("no sample of it"))
            },
        )
        .await
    }

    /// How many scrapes of the waypoint began between two moments.
    async fn scrapes(&self, from: SystemTime, to: SystemTime) -> Result<usize> {
        let seconds = |time: SystemTime| anyhow::Ok(time.duration_since(UNIX_EPOCH)?.as_secs_f64());
        let (from, to) = (seconds(from)?, seconds(to)?);
        let times = self.scraped_at().await?;
        // Else nothing was scraped, and nothing is shown.
        ensure!(
            times.iter().any(|time| *time < from) && times.iter().any(|time| *time > to),
            "the scrapes do not span {from} to {to}: {times:?}"
        );
        let meanwhile = times.iter().filter(|time| (from..=to).contains(*time));
        Ok(meanwhile.count())
    }

    /// When the waypoint was scraped in the last minutes, in seconds since 1970. Prometheus keeps one sample of `up`
    /// for each; a range in an instant query gives them as they are.
    async fn scraped_at(&self) -> Result<Vec<f64>> {
        let query = format!(
            "up{{job=\"waypoints\", namespace=\"{}\"}}[5m]",
            self.namespace
        );
        let url = format!("{}/api/v1/query", self.stage.cluster.prometheus_url());
        let url = reqwest::Url::parse_with_params(&url, [("query", &query)])?;
        let answer: Value = reqwest::get(url).await?.error_for_status()?.json().await?;
        let results = answer.pointer("/data/result").and_then(Value::as_array);
        let results = results.with_context(|| format!("{query}: {answer}"))?;
        let samples = results
            .iter()
            .filter_map(|one| one.get("values")?.as_array());
        let times = samples
            .flatten()
            .filter_map(|sample| sample.get(0)?.as_f64());
        Ok(times.collect())
    }
}
