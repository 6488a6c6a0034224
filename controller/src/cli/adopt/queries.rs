//! Alerts, recording rules, dashboards, and what KEDA scales by.

use kube::api::DynamicObject;
use serde_json::Value;

use super::gather::Found;
use super::item::{Fate, Item, Object};
use super::kinds::{rule, scaled_object};
use super::names::Names;
use super::promql::{self, Change, Effect, Reading};
use crate::cli::read::{config_map, list_of, text};

/// Metrics of kube-state-metrics about a Deployment.
const ABOUT_A_DEPLOYMENT: &str = "kube_deployment_";

/// What becomes of them.
pub(super) fn all(found: &Found, names: &Names) -> Vec<Item> {
    let objects = &found.objects;
    let mut items = Vec::new();
    for object in objects.of(&rule()) {
        rules(object, &mut |place, query| {
            items.extend(of_query(place, query, names));
        });
    }
    for object in objects.of(&config_map()) {
        let files = object.data.get("data").and_then(Value::as_object);
        for (file, json) in files.into_iter().flatten() {
            let place = Object::of(object).part(file);
            let json = json.as_str().unwrap_or_default();
            match serde_json::from_str(json) {
                Ok(dashboard) => items.extend(of_dashboard(&place, &dashboard, names)),
                // Nobody is asked to read what does not concern it.
                Err(_) if !mentions(json, names) => {}
                Err(error) => items.push(Item::new(
                    Fate::Look,
                    place,
                    format!("it names the app, and is no JSON: {error}"),
                )),
            }
        }
    }
    for object in objects.of(&scaled_object()) {
        let triggers = list_of(&object.data, "/spec/triggers").iter();
        for query in triggers.filter_map(|trigger| text(trigger, "/metadata/query")) {
            items.extend(of_query(Object::of(object).part("query"), query, names));
        }
    }
    items
}

fn rules(object: &DynamicObject, see: &mut impl FnMut(Object, &str)) {
    let groups = list_of(&object.data, "/spec/groups").iter();
    for rule in groups.flat_map(|group| list_of(group, "/rules")) {
        let name = ["alert", "record"].into_iter().find_map(|kind| {
            let name = rule.get(kind)?.as_str()?;
            Some(format!("{kind} {name}"))
        });
        if let Some(query) = text(rule, "/expr") {
            see(Object::of(object).part(name.unwrap_or_default()), query);
        }
    }
}

/// Every panel once, however many queries it has.
fn of_dashboard(place: &Object, dashboard: &Value, names: &Names) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    panels(dashboard, "", &mut |panel, query| {
        let file = place.part.as_deref().unwrap_or_default();
        let place = place.part(format!("{file}, {panel}"));
        let Some(item) = of_query(place, query, names) else {
            return;
        };
        let same = |one: &&mut Item| (one.fate, &one.object) == (item.fate, &item.object);
        match items.iter_mut().find(same) {
            Some(known) => {
                for replace in item.replace {
                    if !known.replace.contains(&replace) {
                        known.replace.push(replace);
                    }
                }
            }
            None => items.push(item),
        }
    });
    // A panel with something to change does not go on as it is.
    let changes = items.iter().filter(|item| item.fate != Fate::Stays);
    let changes: Vec<_> = changes.map(|item| item.object.clone()).collect();
    items.retain(|item| item.fate != Fate::Stays || !changes.contains(&item.object));
    items
}

/// Every query of a dashboard, wherever its version has them, with the title of what it is in.
fn panels(value: &Value, panel: &str, see: &mut impl FnMut(&str, &str)) {
    let title = text(value, "/title").map(|title| format!("panel {title}"));
    let panel = title.as_deref().unwrap_or(panel);
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    ("expr", Value::String(query)) => see(panel, query),
                    ("templating", _) => variables(field, see),
                    _ => panels(field, panel, see),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| panels(item, panel, see)),
        _ => {}
    }
}

/// Of the functions of Grafana's Prometheus source, that fill a variable's list, those that hold a query.
fn variables(templating: &Value, see: &mut impl FnMut(&str, &str)) {
    for variable in list_of(templating, "/list") {
        let name = text(variable, "/name").unwrap_or_default();
        let query = text(variable, "/query/query").or_else(|| text(variable, "/query"));
        let query = query.unwrap_or_default().trim();
        let inside = |function: &str| query.strip_prefix(function)?.strip_suffix(')');
        let of_labels = inside("label_values(").and_then(|both| Some(both.rsplit_once(',')?.0));
        if let Some(query) = of_labels.or_else(|| inside("query_result(")) {
            see(&format!("variable {name}"), query);
        }
    }
}

fn mentions(text: &str, names: &Names) -> bool {
    text.contains(&names.deployment) || text.contains(&names.service)
}

fn of_query(place: Object, query: &str, names: &Names) -> Option<Item> {
    match promql::read(query, names) {
        Ok(reading) if !reading.changes.is_empty() => Some(changed(place, query, reading)),
        Ok(reading) => {
            let why = "what names it here goes on to fit";
            reading.about.then(|| Item::new(Fate::Stays, place, why))
        }
        // Nobody is asked to read what does not concern it.
        Err(_) if !mentions(query, names) => None,
        Err(why) => {
            let why = why.lines().next().unwrap_or_default();
            let why = format!("this query names the app and cannot be read ({why}): {query}");
            Some(Item::new(Fate::Look, place, why))
        }
    }
}

fn changed(place: Object, query: &str, reading: Reading) -> Item {
    let mut why: Vec<_> = reading.changes.iter().map(effect).collect();
    why.sort_unstable();
    why.dedup();
    let told = reading.changes.iter().all(|change| change.to.is_some());
    let fate = if told { Fate::Change } else { Fate::Look };
    let mut item = Item::new(fate, place, why.join("; "));
    if let Some(whole) = reading.whole {
        return item.with(query.trim(), whole);
    }
    for change in reading.changes {
        let to = change.to.unwrap_or_else(|| "names of your own".to_owned());
        let known = item.replace.iter().any(|one| one.from == change.from);
        if !known {
            item = item.with(change.from, to);
        }
    }
    item
}

fn effect(change: &Change) -> &'static str {
    let metric = change.metric.as_deref().unwrap_or_default();
    match change.effect {
        Effect::Misses if metric.starts_with(ABOUT_A_DEPLOYMENT) => {
            "it would look at the Deployment, which stays, at 0, and at no revision. Of revisions all but those that \
             serve are at 0 as well: sums are what counts"
        }
        Effect::Misses => "it would not see the revisions",
        Effect::Takes => "it would take the revisions in, and did not take the Deployment in",
        Effect::Admits => "it leaves the Deployment out, and would take the revisions in",
        Effect::Drops => "it would leave the revisions out, and did not leave the Deployment out",
    }
}
