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
        "kubectl -n {} get slc {} -w, until it is Succeeded: the first revision serves, and the Deployment is at 0",
        subject.names.namespace, subject.canary_name
    ));
    steps.push(
        "if its condition says ReplicasInGit, and not before, remove spec.replicas from the Deployment in Git: without \
         it the API server would make it 1"
            .to_owned(),
    );
    if has(Fate::ChangeWhenTold) {
        steps.push(
            "when its condition says AutoscalerOnTarget, and not before, point what scales at the Canary, which must \
             say spec.replicas once"
                .to_owned(),
        );
    }
    steps.push(format!("push a new image, and watch: sluice why {place}"));
    steps
}
