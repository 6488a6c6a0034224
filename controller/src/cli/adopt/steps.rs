//! In which order an adoption goes well.

use super::item::{Fate, Item};
use super::subject::Subject;

/// One line for each.
pub(super) fn steps(subject: &Subject, items: &[Item]) -> Vec<String> {
    let place = format!("{}/{}", subject.names.namespace, subject.canary_name);
    let has = |fate| items.iter().any(|item| item.fate == fate);
    let mut steps = vec![format!(
        "sluice preflight {place}, until nothing in it is an error"
    )];
    if has(Fate::Change) {
        steps.push(
            "change what is to change first: as it is written here it is right before the adoption and after it"
                .to_owned(),
        );
    }
    if subject.canary.is_none() {
        steps.push(
            "commit the Canary. Leave spec.replicas of the Deployment in Git for now".to_owned(),
        );
    }
    steps.push(format!(
        "kubectl -n {} get slc {} -w, until it is Succeeded: the first revision serves. The Deployment is at 0, or, where \
         Git keeps its size, its own pods still run and the condition says ReplicasInGit",
        subject.names.namespace, subject.canary_name
    ));
    steps.extend(sizes(subject, has(Fate::ChangeWhenTold)));
    steps.push(format!("push a new image, and watch: sluice why {place}"));
    steps
}

/// What becomes of the size. Where Git keeps it, what scales comes first: it would scale the Deployment up again.
fn sizes(subject: &Subject, scaled: bool) -> Vec<String> {
    let dropped = "if its condition says ReplicasInGit, and not before, remove spec.replicas from the Deployment in Git";
    let then = "Sluice then scales the Deployment to 0";
    if scaled {
        return vec![
            format!("{dropped}; but first point what scales at the Canary, as its message says. {then}"),
            "if it says AutoscalerOnTarget instead, and not before, point what scales at the Canary, as its message says"
                .to_owned(),
            "leave spec.replicas of the Canary out of Git: Sluice writes what serves there, once, and the autoscaler goes \
             on from it"
                .to_owned(),
        ];
    }
    let canary = subject.canary.as_ref();
    let unsaid = canary.is_some_and(|canary| canary.spec.replicas.is_none());
    let said = if unsaid {
        ", and set it on the Canary: its message says to what"
    } else {
        ""
    };
    vec![format!("{dropped}{said}. {then}")]
}
