//! How the API server is asked: with time limits, without retries of the client's own, with silence for as
//! long as the API server asks for it, and fenced.
//!
//! Every client but the lease's own passes the [`Fence`]: nothing else of the program can write.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::HeaderValue;
use http::header::USER_AGENT;
use kube::Client;
use kube::client::{Body, ClientBuilder, DynBody};
use tower::BoxError;
use tower::filter::FilterLayer;
use tower::util::MapResponseLayer;

use crate::evidence;
use crate::lease::{Fence, PATIENCE};

/// How long the API server may be silent in an answer: a rollback must not wait for a connection that
/// is only half there.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
/// The same for a watch, which the server ends within five minutes.
const WATCH_PATIENCE: Duration = Duration::from_secs(330);

/// The longest silence that is kept: something between us and the API server may ask for hours, and a
/// rollback may be waiting.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// Until when the API server asked not to be asked.
#[derive(Clone, Debug, Default)]
pub struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    /// How long it still lasts; `None` when it is over.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Takes over what a `Retry-After` says. A date instead of seconds is not read: the API server
    /// sends none.
    fn hear(&self, retry_after: &str) {
        let Ok(seconds) = retry_after.parse().map(Duration::from_secs) else {
            return;
        };
        let until = Instant::now() + seconds.min(LONGEST_SILENCE);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = (*known).max(Some(until));
    }
}

/// For writes, and the rare read of what no cache keeps. A request that fails is not sent again: by then
/// it may be wrong. The next reconcile decides anew.
///
/// # Errors
/// When the configuration cannot be used.
pub fn for_requests(
    config: &kube::Config,
    fence: &Fence,
    silence: &Silence,
) -> anyhow::Result<Client> {
    build(config, REQUEST_PATIENCE, Some(fence), silence)
}

/// For watches, which know themselves when to try again.
///
/// # Errors
/// When the configuration cannot be used.
pub fn for_watches(config: &kube::Config, fence: &Fence) -> anyhow::Result<Client> {
    build(config, WATCH_PATIENCE, Some(fence), &Silence::default())
}

/// For the lease's own writes: by them the fence opens.
pub(crate) fn for_the_lease(config: &kube::Config) -> anyhow::Result<Client> {
    build(config, PATIENCE, None, &Silence::default())
}

fn build(
    config: &kube::Config,
    patience: Duration,
    fence: Option<&Fence>,
    silence: &Silence,
) -> anyhow::Result<Client> {
    let mut config = config.clone();
    config.read_timeout = Some(patience);
    // The field manager of what is written without naming one, which is our Lease and Events: the API server
    // takes what is before the `/`, and calls a client that says nothing `unknown`.
    config
        .headers
        .push((USER_AGENT, HeaderValue::from_static(evidence::USER_AGENT)));
    // It would sleep for minutes inside a request, and then write what was decided before.
    config.default_retry = false;
    let (silence, kept) = (silence.clone(), silence.clone());
    let heard = MapResponseLayer::new(move |answer: http::Response<Box<DynBody>>| {
        let retry_after = answer.headers().get("retry-after");
        if let Some(text) = retry_after.and_then(|value| value.to_str().ok()) {
            silence.hear(text);
        }
        answer
    });
    let kept = FilterLayer::new(move |request: http::Request<Body>| match kept.left() {
        Some(left) => Err(BoxError::from(format!(
            "the API server asked for silence, for {left:.1?} more"
        ))),
        None => Ok(request),
    });
    let builder = ClientBuilder::try_from(config).context("no client for the API server")?;
    let builder = builder.with_layer(&heard).with_layer(&kept);
    // The outermost layer: what it abandons, no other layer can send again.
    Ok(match fence {
        Some(fence) => builder.with_layer(fence).build(),
        None => builder.build(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_without_a_field_manager_is_ours() {
        let (program, _) = evidence::USER_AGENT.split_once('/').unwrap_or_default();
        assert_eq!(program, sluice_crds::labels::MANAGER);
    }

    #[test]
    fn silence_is_kept_for_as_long_as_asked_within_reason() {
        let silence = Silence::default();
        assert_eq!(silence.left(), None);
        silence.hear("soon");
        assert_eq!(silence.left(), None);
        silence.hear("2");
        let left = silence.left().unwrap_or_default();
        assert!(
            left > Duration::from_secs(1) && left <= Duration::from_secs(2),
            "{left:?}"
        );
        silence.hear("1");
        assert!(
            silence.left() > Some(Duration::from_secs(1)),
            "the longer one holds"
        );
        silence.hear("86400");
        assert!(silence.left() <= Some(LONGEST_SILENCE));
    }
}
