//! Notes become Events on the Canary.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use kube::runtime::events::{Event, EventType, Recorder};
use sluice_core::{Note, RevisionName};
use sluice_crds::Canary;

/// The longest note that the API takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// What an Event that outlives the Canary says beside its note, and where.
pub struct Target<'a> {
    /// The template source; `None` when it is gone.
    pub object: Option<ObjectReference>,
    /// What its template would change of the revision that serves, a phrase for each field.
    pub changes: &'a (dyn Fn(&RevisionName) -> Vec<String> + Sync),
}

/// Publishes what happened, and keeps in `notes` what was not taken, to be tried again. No rollout waits
/// for it, and what is refused for good is only logged.
pub async fn publish(
    recorder: &Recorder,
    canary: &Canary,
    target: &Target<'_>,
    notes: &mut Vec<Note>,
) {
    let mut left = Vec::new();
    for note in notes.drain(..) {
        let event = event(&note, target);
        tracing::info!(reason = event.reason, note = event.note, "event");
        let about = [Some(canary.object_ref(&())), outliving(&note, target)];
        for object in about.into_iter().flatten() {
            let published = recorder.publish(&event, &object).await;
            if let Err(error) = published {
                tracing::warn!(%error, reason = event.reason, "an Event was not taken");
                if !is_refused(&error) {
                    left.push(note);
                    break;
                }
            }
        }
    }
    *notes = left;
}

/// What else an Event is about: the Canary itself is gone when somebody looks.
fn outliving(note: &Note, target: &Target<'_>) -> Option<ObjectReference> {
    let outlives = matches!(note, Note::LeftServing(_) | Note::AutoscalerLeft { .. });
    target.object.clone().filter(|_| outlives)
}

/// Whether another try would be refused as well.
fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && !matches!(status.code, 409 | 429))
}

/// What a note says: a reason, and a sentence.
#[must_use]
pub fn words(note: &Note) -> (&'static str, String) {
    let (_, reason, text) = said(note);
    (reason, text)
}

fn event(note: &Note, target: &Target<'_>) -> Event {
    let (type_, reason, mut text) = said(note);
    if let Note::LeftServing(serves) = note {
        let changes = (target.changes)(serves);
        if !changes.is_empty() {
            text += "; its pods have then what Git would change: ";
            text += &changes.join(", ");
        }
    }
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(truncated(text)),
        // The recorder takes Events of one reason and action for one, whatever their notes say.
        action: action(note),
        secondary: None,
    }
}

#[allow(clippy::too_many_lines, reason = "one sentence a variant")]
fn said(note: &Note) -> (EventType, &'static str, String) {
    let normal = EventType::Normal;
    match note {
        Note::Adopted(revision) => (
            normal,
            "Adopted",
            format!("{revision} serves all requests in place of the target's own pods"),
        ),
        Note::Started {
            candidate,
            going_back: true,
        } => (
            normal,
            "GoingBack",
            format!("{candidate} was promoted before: it takes all requests without gates"),
        ),
        Note::Started {
            candidate,
            going_back: false,
        } => (
            normal,
            "RolloutStarted",
            format!("{candidate} is brought to users"),
        ),
        Note::ApprovalAwaited {
            candidate,
            at,
            asked,
        } => (
            normal,
            "AwaitingApproval",
            format!(
                "{candidate} waits at {at} for approval: to let it go on, add {asked} to spec.approved"
            ),
        ),
        Note::Approved { candidate, at, by } => (
            normal,
            "Approved",
            format!("{candidate} may go on from {at}: spec.approved has {by}"),
        ),
        Note::Superseded(revision) => (
            normal,
            "Superseded",
            format!("the template changed while {revision} was judged"),
        ),
        Note::Promoted(revision) => (
            normal,
            "Promoted",
            format!("{revision} serves all requests"),
        ),
        Note::Rejected {
            revision,
            reason,
            ordered,
        } => (
            EventType::Warning,
            if *ordered { "Aborted" } else { "RolledBack" },
            format!("{revision} was rejected, its requests went back: {reason}"),
        ),
        Note::RouteRestored { writer } => (
            EventType::Warning,
            "RouteRestored",
            format!(
                "{writer} changed the route; it was put back, since its weights are Sluice's whenever \
                 spec.suspend is not true. To keep a change by hand, set spec.suspend and leave it set"
            ),
        ),
        Note::Obeyed(order) => (normal, "Obeyed", format!("carried out the order {order}")),
        Note::Released {
            held_by: Some(manager),
            ..
        } => (
            normal,
            "TargetReleased",
            format!(
                "the Deployment is at 0: now remove spec.replicas from it in Git, from where {manager} \
                 applies it"
            ),
        ),
        Note::Released { replicas, .. } => (
            normal,
            "TargetReleased",
            format!("the Deployment is at 0, the revision has its {replicas} pods"),
        ),
        Note::TargetRestored { writer, replicas } => (
            EventType::Warning,
            "TargetRestored",
            format!(
                "{writer} set spec.replicas of the Deployment to {replicas}; it is put back to 0, once. \
                 Remove spec.replicas from it in Git"
            ),
        ),
        Note::LeftServing(revision) => (
            EventType::Warning,
            "LeftServing",
            format!(
                "{revision} goes on serving, since the target does not run this template: its Deployment \
                 and Service, and the HTTPRoute, stay. To go on, create the Canary again. To leave Sluice, \
                 scale the target up and, once it is ready, delete what has the label sluice.dev/canary"
            ),
        ),
        Note::AutoscalerLeft {
            autoscaler,
            deployment,
        } => (
            EventType::Warning,
            "AutoscalerLeft",
            format!(
                "{autoscaler} scales nothing since its Canary is gone: point its scaleTargetRef at Deployment \
                 {deployment} (apiVersion: apps/v1, kind: Deployment)"
            ),
        ),
        Note::Void(order) => (
            EventType::Warning,
            "OrderVoid",
            format!(
                "the order {order} came too late: what it names serves already; to leave it, change the template in Git"
            ),
        ),
    }
}

/// Tells events apart that have the same reason, within the 128 characters that an action has.
fn action(note: &Note) -> String {
    let about = match note {
        Note::Adopted(revision)
        | Note::Superseded(revision)
        | Note::Promoted(revision)
        | Note::Started {
            candidate: revision,
            ..
        }
        | Note::Rejected { revision, .. }
        | Note::LeftServing(revision) => revision.as_str(),
        Note::ApprovalAwaited { candidate, at, .. } | Note::Approved { candidate, at, .. } => {
            return format!("{candidate} at {at}").chars().take(128).collect();
        }
        Note::Released { .. } => "target",
        Note::AutoscalerLeft { autoscaler, .. } => autoscaler,
        Note::RouteRestored { writer } | Note::TargetRestored { writer, .. } => writer,
        Note::Obeyed(order) | Note::Void(order) => order,
    };
    about.chars().take(128).collect()
}

fn truncated(mut text: String) -> String {
    if text.len() > LONGEST_NOTE {
        let end = (0..=LONGEST_NOTE)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
    }
    text
}
