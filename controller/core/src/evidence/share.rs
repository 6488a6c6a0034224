//! Whether the traffic is split as the route says.

use crate::Weight;
use crate::evidence::Window;

/// Requests of both revisions together below which a split proves nothing.
const FEWEST: u64 = 200;
/// Standard deviations beyond which a split contradicts its weight: about one look in 16,000 by chance.
const DEVIATIONS: f64 = 4.0;

/// The measured share of the candidate, if it contradicts the weight.
///
/// Too few requests contradict nothing: then the mesh's status and the settle time must do. The bound
/// is the normal approximation of a binomial share.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub fn contradiction(window: &Window, weight: Weight) -> Option<Weight> {
    let candidate = window.candidate.requests;
    let total = candidate.saturating_add(window.stable.requests);
    if total < FEWEST {
        return None;
    }
    let total = total as f64;
    let share = candidate as f64 / total;
    let wanted = weight.fraction();
    // Half a request of continuity, so that a weight of 100 % tolerates rounding and nothing else.
    let tolerance = DEVIATIONS * (wanted * (1.0 - wanted) / total).sqrt() + 0.5 / total;
    ((share - wanted).abs() > tolerance).then(|| Weight::from_ppm((share * 1e6).round() as u32))
}
