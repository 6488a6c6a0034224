//! Disruption budgets: in a rollout they count the pods of both revisions together.

use serde_json::Value;

use super::{here, selects};
use crate::cli::adopt::gather::Found;
use crate::cli::adopt::item::{Fate, Item, Object};
use crate::cli::adopt::kinds::disruption_budget;
use crate::cli::adopt::subject::Subject;

pub(super) fn all(found: &Found, subject: &Subject) -> Vec<Item> {
    let kind = disruption_budget();
    let all = here(found, subject, &kind).filter_map(|one| {
        // An absent selector selects nothing here, unlike elsewhere.
        let selector = Some(one.data.pointer("/spec/selector")?);
        selects(selector, &subject.labels).then(|| of(Object::of(one), &one.data, subject.replicas))
    });
    all.collect()
}

fn of(place: Object, budget: &Value, replicas: u64) -> Item {
    let bound = ["minAvailable", "maxUnavailable"]
        .into_iter()
        .find_map(|field| Some((field, budget.pointer(&format!("/spec/{field}"))?)));
    let Some((field, value)) = bound else {
        return Item::new(Fate::Stays, place, super::SAME_LABELS);
    };
    if field == "maxUnavailable" && value.is_number() {
        let why = "so many pods may go at once, of whichever revision";
        return Item::new(Fate::Stays, place, why);
    }
    let Some(amount) = amount(value, replicas) else {
        let why = format!("{field}: {value} is nothing that can be read");
        return Item::new(Fate::Look, place, why);
    };
    let unavailable = if field == "minAvailable" {
        replicas.saturating_sub(amount)
    } else {
        amount
    };
    let why = "in a rollout it counts the pods of both revisions together: at the size of the Deployment more of those \
               that serve may go at once than may go now, even all of them. A number that may go holds for both";
    Item::new(Fate::Change, place, why).with(
        format!("{field}: {}", plain(value)),
        format!("maxUnavailable: {unavailable}"),
    )
}

/// As Kubernetes counts it: a percentage is rounded up.
fn amount(value: &Value, replicas: u64) -> Option<u64> {
    let percent = || value.as_str()?.strip_suffix('%')?.parse::<u64>().ok();
    let of_all = |percent: u64| replicas.saturating_mul(percent).div_ceil(100);
    value.as_u64().or_else(|| percent().map(of_all))
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
