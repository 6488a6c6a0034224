//! Latency thresholds that a source can tell fast from slow by.

use sluice_crds::Source;

use super::Dialect;

/// The thresholds, in milliseconds, by which this source can tell fast from slow; rising.
#[must_use]
pub fn buckets_ms(source: Source) -> &'static [u64] {
    Dialect::of(source).bounds_ms
}

/// Whether this source can tell requests below a latency threshold from those above.
///
/// # Errors
/// When the threshold is no bound of its histogram's buckets; the message names the nearest.
pub fn check_threshold(source: Source, threshold_ms: u64) -> Result<(), NoBucket> {
    let bounds = buckets_ms(source);
    match bounds.binary_search(&threshold_ms) {
        Ok(_) => Ok(()),
        Err(above) => Err(NoBucket {
            source: Dialect::of(source).name,
            threshold_ms,
            below: above
                .checked_sub(1)
                .and_then(|below| bounds.get(below).copied()),
            above: bounds.get(above).copied(),
        }),
    }
}

/// A latency threshold is no bound of the source's buckets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoBucket {
    source: &'static str,
    /// The threshold.
    pub threshold_ms: u64,
    /// The next lower bound.
    pub below: Option<u64>,
    /// The next higher bound.
    pub above: Option<u64>,
}

impl std::error::Error for NoBucket {}

impl std::fmt::Display for NoBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} does not count requests by a threshold of {}ms: use ",
            self.source, self.threshold_ms
        )?;
        match (self.below, self.above) {
            (Some(below), Some(above)) => write!(f, "{below}ms or {above}ms"),
            (Some(nearest), None) | (None, Some(nearest)) => write!(f, "{nearest}ms"),
            (None, None) => write!(f, "another source"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_must_be_a_bound() {
        let refusal = |ms| check_threshold(Source::IstioWaypoint, ms).map_err(|e| e.to_string());
        assert_eq!(refusal(250), Ok(()));
        let text = "istio-waypoint does not count requests by a threshold of";
        assert_eq!(
            refusal(300),
            Err(format!("{text} 300ms: use 250ms or 500ms"))
        );
        assert_eq!(refusal(0), Err(format!("{text} 0ms: use 1ms")));
        assert_eq!(
            refusal(7_200_000),
            Err(format!("{text} 7200000ms: use 3600000ms"))
        );
    }

    #[test]
    fn every_source_has_its_own_bounds() {
        let takes = |source, ms| check_threshold(source, ms).is_ok();
        assert!(takes(Source::OtelHttp, 75) && takes(Source::OtelRpc, 7_500));
        assert!(takes(Source::CiliumHubble, 250) && !takes(Source::CiliumHubble, 75));
        assert!(takes(Source::IstioSidecar, 30_000) && !takes(Source::OtelHttp, 30_000));
        for source in Source::ALL {
            assert!(buckets_ms(source).is_sorted(), "{source:?}");
        }
    }
}
