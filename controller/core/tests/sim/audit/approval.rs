//! 11. No candidate goes on where the plan asks for an approval, unless the Canary says at that moment that
//!     this one may. An order to promote skips it, as it skips every gate.

use sluice_core::{Decision, Named, Requirement, RevisionName, Waiting};

use super::Look;
use crate::cluster::{image, template_of};

pub(super) fn check(look: &Look<'_>) -> Result<(), (u8, String)> {
    let Some((candidate, held)) = look.grown_candidate() else {
        return Ok(());
    };
    let plan = &look.facts.plan;
    let step = plan.steps.iter().find(|step| step.weight() == held);
    let requires = match step {
        _ if held.is_zero() => &plan.entry,
        Some(step) => &step.requires,
        None => return Ok(()),
    };
    if !requires.contains(&Requirement::Approval) {
        return Ok(());
    }
    let stable = look.decision.state.stable.as_ref();
    let mut approved = look.seen.approved.iter();
    let is_approved = approved.any(|approval| {
        let text = match &approval.named {
            Named::Revision(name) => name.to_string(),
            Named::Image(image) => format!("image={image}"),
        };
        approval.at.is_none_or(|at| at == held) && means(&text, candidate, stable)
    });
    if is_approved {
        return Ok(());
    }
    let approved = &look.seen.approved;
    Err((
        11,
        format!("{candidate} leaves {held}, and what is approved is {approved:?}"),
    ))
}

/// Whether a person ordered this of a revision, whatever served then.
pub(super) fn is_ordered(order: Option<&String>, revision: &RevisionName) -> bool {
    let order = order.and_then(|order| order.split('#').next());
    order.is_some_and(|order| means(order, revision, None))
}

/// Whether a text names a revision: by its name, or by an image that it has and the stable one has not.
fn means(text: &str, revision: &RevisionName, stable: Option<&RevisionName>) -> bool {
    let Some(text) = text.strip_prefix("image=") else {
        return text == revision.as_str();
    };
    let template = template_of(revision);
    text == image(template) && stable.is_none_or(|stable| template_of(stable) != template)
}

/// Whether a decision waits for an approval.
pub(super) fn is_awaited(decision: &Decision) -> bool {
    matches!(decision.waiting, Some(Waiting::Approval(_)))
}
