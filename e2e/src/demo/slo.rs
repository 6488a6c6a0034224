//! Each SLO as the controller counts it, from its metrics.

use std::collections::BTreeMap;

use sluice_crds::CanaryStatus;

/// Events of one revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ratio {
    pub(super) good: u64,
    pub(super) total: u64,
}

/// What an SLO measured so far in the rollout under way.
#[derive(Clone, Debug)]
pub(super) struct Slo {
    pub(super) name: String,
    /// Percent of good events; none: no worse than the stable revision.
    pub(super) objective: Option<f64>,
    pub(super) candidate: Option<Ratio>,
    pub(super) stable: Option<Ratio>,
}

impl Slo {
    /// Whether the candidate has fewer good events than the objective asks for.
    pub(super) fn missed(&self) -> bool {
        let Some((objective, ratio)) = self.objective.zip(self.candidate) else {
            return false;
        };
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let (good, total) = (ratio.good as f64, ratio.total as f64);
        good * 100.0 < total * objective
    }
}

/// Ratios by SLO and by side, `candidate` or `stable`.
type Page = BTreeMap<(String, String), Ratio>;

/// Reads the controller's metrics again and again.
#[derive(Default)]
pub(super) struct Reader {
    /// What the page said before the rollout counted anything: the rollout before is still on it.
    old: Page,
}

impl Reader {
    /// The SLOs of a Canary's plan.
    pub(super) fn read(
        &mut self,
        page: &str,
        (namespace, canary): (&str, &str),
        status: &CanaryStatus,
    ) -> Vec<Slo> {
        let page = parse(page, namespace, canary);
        let rollout = status.rollout.as_ref();
        let counting = rollout.is_some_and(|rollout| rollout.first_weight_at.is_some());
        if !counting {
            self.old.clone_from(&page);
        }
        let fresh = counting && page != self.old;
        let plan = status.plan.iter().flat_map(|plan| &plan.slos).flatten();
        plan.map(|slo| {
            let ratio = |side: &str| page.get(&(slo.name.clone(), side.to_owned())).copied();
            let ppm = slo
                .objective
                .as_ref()
                .and_then(|objective| objective.ppm().ok());
            Slo {
                name: slo.name.clone(),
                objective: ppm.map(|ppm| f64::from(ppm) / 10_000.0),
                candidate: ratio("candidate").filter(|_| fresh),
                stable: ratio("stable").filter(|_| fresh),
            }
        })
        .collect()
    }
}

fn parse(page: &str, namespace: &str, canary: &str) -> Page {
    let mut ratios = Page::new();
    for line in page.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let is_ours = label(series, "namespace") == Some(namespace)
            && label(series, "canary") == Some(canary);
        let (Some(slo), Some(side), true) =
            (label(series, "slo"), label(series, "revision"), is_ours)
        else {
            continue;
        };
        let ratio = ratios.entry((slo.to_owned(), side.to_owned())).or_default();
        let value = value.parse().unwrap_or_default();
        match series.split('{').next() {
            Some("sluice_slo_good_events") => ratio.good = value,
            Some("sluice_slo_events") => ratio.total = value,
            _ => {}
        }
    }
    ratios
}

/// A label's value; names of Kubernetes objects and SLOs hold nothing that is escaped.
fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let labels = series.split_once('{')?.1.strip_suffix('}')?;
    labels.split(',').find_map(|label| {
        let value = label.strip_prefix(name)?.strip_prefix("=\"")?;
        value.strip_suffix('"')
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    const PAGE: &str = r#"# TYPE sluice_slo_good_events gauge
sluice_slo_good_events{namespace="shop",canary="podinfo",slo="availability",revision="candidate"} 79
sluice_slo_events{namespace="shop",canary="podinfo",slo="availability",revision="candidate"} 100
sluice_slo_events{namespace="other",canary="podinfo",slo="availability",revision="candidate"} 7
sluice_reconciles_total{outcome="Idle"} 12
# EOF"#;

    fn status(counting: bool) -> CanaryStatus {
        let mut status: CanaryStatus = serde_json::from_value(serde_json::json!({
            "plan": {"slos": [{"name": "availability", "objective": "99%", "availability": {}}]},
        }))
        .unwrap();
        if counting {
            status.rollout = Some(
                serde_json::from_value(serde_json::json!({
                    "candidate": "podinfo-2",
                    "startedAt": "2026-01-01T00:00:00Z",
                    "firstWeightAt": "2026-01-01T00:00:01Z",
                    "progressedAt": "2026-01-01T00:00:01Z",
                }))
                .unwrap(),
            );
        }
        status
    }

    #[test]
    fn a_rollout_does_not_show_what_the_one_before_measured() {
        let mut reader = Reader::default();
        let mut read = |page: &str, counting| {
            let mut slos = reader.read(page, ("shop", "podinfo"), &status(counting));
            slos.remove(0)
        };
        let measured = read(PAGE, true);
        assert_eq!(
            measured.candidate,
            Some(Ratio {
                good: 79,
                total: 100
            })
        );
        assert!(measured.missed());
        assert_eq!(read(PAGE, false).candidate, None);
        assert_eq!(read(PAGE, true).candidate, None);
        let fresh = PAGE.replace(" 79", " 5").replace(" 100", " 5");
        let fresh = read(&fresh, true);
        assert_eq!(fresh.candidate, Some(Ratio { good: 5, total: 5 }));
        assert!(!fresh.missed());
    }
}
