//! An SLO that names a `MetricTemplate` becomes queries: the text with what it stands for in this rollout.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sluice_crds::{MetricTemplateSpec, Slo};

use crate::evidence::{Own, Queries, Range};

/// The variable that tells revisions apart.
const REVISION: &str = "revision";

/// Why an SLO cannot be asked for, in words that name the template and the fix.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// No such object.
    #[error(
        "there is no MetricTemplate {0} in the Canary's namespace, nor in that of Sluice; create it, or name another"
    )]
    Missing(String),
    /// The object says something else than the SLO asks for.
    #[error("MetricTemplate {template} has no {needs}; name another, or write {instead}")]
    OtherKind {
        /// Its name.
        template: String,
        /// What it lacks.
        needs: &'static str,
        /// What the SLO should be.
        instead: &'static str,
    },
    /// A name between braces that stands for nothing.
    #[error("MetricTemplate {template}: {{{{ {variable} }}}} is no variable; there are {known}")]
    Unknown {
        /// Its name.
        template: String,
        /// What it says.
        variable: String,
        /// What it may say.
        known: String,
    },
    /// It gives the same for all revisions.
    #[error(
        "MetricTemplate {0}: each of its queries must say {{{{ revision }}}}, else it cannot tell revisions apart"
    )]
    NoRevision(String),
    /// A number or duration of the SLO.
    #[error("{0}")]
    Range(String),
}

/// What the variables stand for, all but the revision that is asked about.
pub type Variables = BTreeMap<&'static str, String>;

/// The variables of a Canary. `stable` is empty where nothing serves yet.
#[must_use]
pub fn variables(
    namespace: &str,
    name: &str,
    target: &str,
    service: &str,
    stable: &str,
    interval: TimeDelta,
) -> Variables {
    let interval = format!("{}ms", interval.num_milliseconds());
    let all = [
        ("namespace", namespace),
        ("name", name),
        ("target", target),
        ("service", service),
        ("stable", stable),
        ("interval", &interval),
    ];
    all.map(|(name, value)| (name, value.to_owned())).into()
}

/// The queries of an SLO; `None` for one that is read from the source.
///
/// # Errors
/// What a person must mend.
pub fn own(
    slo: &Slo,
    templates: &BTreeMap<String, MetricTemplateSpec>,
    variables: &Variables,
    candidate: &str,
) -> Result<Option<Own>, TemplateError> {
    let (template, range) = match (&slo.events, &slo.value) {
        (Some(events), _) => (&events.template, None),
        (None, Some(value)) => (&value.template, Some(value)),
        (None, None) => return Ok(None),
    };
    let spec = templates.get(template);
    let spec = spec.ok_or_else(|| TemplateError::Missing(template.clone()))?;
    let range = range.map(|value| {
        let bound = |text: &Option<String>| {
            let number = text.as_deref().map(str::parse::<f64>).transpose();
            number.map_err(|error| TemplateError::Range(format!("value: {error}")))
        };
        let window = value.window.delta();
        Ok(Range {
            min: bound(&value.min)?,
            max: bound(&value.max)?,
            window: window.map_err(|error| TemplateError::Range(format!("window: {error}")))?,
        })
    });
    let stable = variables.get("stable").filter(|name| !name.is_empty());
    let of = |revision: &str| queries(template, spec, range.is_some(), variables, revision);
    Ok(Some(Own {
        slo: slo.name.clone(),
        template: template.clone(),
        candidate: of(candidate)?,
        stable: stable.map(|name| of(name)).transpose()?,
        range: range.transpose()?,
    }))
}

fn queries(
    template: &str,
    spec: &MetricTemplateSpec,
    value: bool,
    variables: &Variables,
    revision: &str,
) -> Result<Queries, TemplateError> {
    let render = |text: &str| render(template, text, variables, revision);
    let lacks = |needs, instead| TemplateError::OtherKind {
        template: template.to_owned(),
        needs,
        instead,
    };
    if value {
        let text = spec
            .value
            .as_ref()
            .ok_or_else(|| lacks("value", "events"))?;
        return Ok(Queries::Value(render(text)?));
    }
    let (part, good) = match (&spec.good, &spec.bad) {
        (Some(good), _) => (good, true),
        (None, Some(bad)) => (bad, false),
        (None, None) => return Err(lacks("good or bad", "value")),
    };
    let total = spec.total.as_ref().ok_or_else(|| lacks("total", "value"))?;
    Ok(Queries::Events {
        part: render(part)?,
        good,
        total: render(total)?,
    })
}

/// A query with what stands for its variables. Names of Kubernetes' objects need no escaping in `PromQL`.
fn render(
    template: &str,
    text: &str,
    variables: &Variables,
    revision: &str,
) -> Result<String, TemplateError> {
    let mut rendered = String::with_capacity(text.len());
    let mut told = false;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        rendered.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            rendered.push_str("{{");
            rest = after;
            continue;
        };
        let name = name.trim();
        if name == REVISION {
            told = true;
            rendered.push_str(revision);
        } else if let Some(value) = variables.get(name) {
            rendered.push_str(value);
        } else {
            let mut known: Vec<_> = variables.keys().copied().chain([REVISION]).collect();
            known.sort_unstable();
            return Err(TemplateError::Unknown {
                template: template.to_owned(),
                variable: name.chars().take(64).collect(),
                known: known.join(", "),
            });
        }
        rest = after;
    }
    rendered.push_str(rest);
    if told {
        Ok(rendered)
    } else {
        Err(TemplateError::NoRevision(template.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use serde_json::json;

    fn slo(indicator: &serde_json::Value) -> Slo {
        let mut slo = json!({"name": "mine"});
        let fields = slo.as_object_mut().unwrap();
        fields.extend(indicator.as_object().unwrap().clone());
        serde_json::from_value(slo).unwrap()
    }

    fn events() -> Slo {
        slo(&json!({"events": {"template": "checkouts"}}))
    }

    fn value(min: &str) -> Slo {
        slo(&json!({"value": {"template": "checkouts", "min": min, "window": "1m"}}))
    }

    fn vars(stable: &str) -> Variables {
        variables(
            "shop",
            "web",
            "web-app",
            "web-svc",
            stable,
            TimeDelta::seconds(15),
        )
    }

    fn templates(spec: &serde_json::Value) -> BTreeMap<String, MetricTemplateSpec> {
        let spec = serde_json::from_value(spec.clone()).unwrap();
        BTreeMap::from([("checkouts".to_owned(), spec)])
    }

    fn asked(slo: &Slo, spec: &serde_json::Value) -> Result<Option<Own>, TemplateError> {
        own(slo, &templates(spec), &vars("web-a"), "web-b")
    }

    #[test]
    fn every_variable_stands_for_something() {
        let text = "x{{revision}}{{ stable }} {{namespace}}/{{ name }} {{target}} {{service}}[{{interval}}]{{";
        let spec = json!({"bad": text, "total": "{{revision}}"});
        let own = asked(&events(), &spec).unwrap().unwrap();
        let part = |revision: &str| Queries::Events {
            part: format!("x{revision}web-a shop/web web-app web-svc[15000ms]{{{{"),
            good: false,
            total: revision.to_owned(),
        };
        assert_eq!(own.candidate, part("web-b"));
        assert_eq!(own.stable, Some(part("web-a")));
        assert_eq!(own.range, None);
    }

    #[test]
    fn nothing_is_asked_of_a_stable_revision_that_is_not_there() {
        let templates = templates(&json!({"value": "{{revision}}"}));
        let own = own(&value("-0.5"), &templates, &vars(""), "web-b");
        let own = own.unwrap().unwrap();
        assert_eq!(own.stable, None);
        let range = own.range.unwrap();
        assert_eq!((range.min, range.max), (Some(-0.5), None));
        assert_eq!(range.window, TimeDelta::minutes(1));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = json!({"good": "{{revision}}", "total": "{{revision}}"});
        let says = |slo: &Slo, spec: &serde_json::Value, text: &str| {
            let error = asked(slo, spec).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        let unknown = json!({"good": "{{revision}}", "total": "{{ pod }}"});
        says(
            &events(),
            &unknown,
            "{{ pod }} is no variable; there are interval, name",
        );
        let same = json!({"good": "{{revision}}", "total": "sum(up)"});
        says(&events(), &same, "must say {{ revision }}");
        says(&value("1"), &good, "MetricTemplate checkouts has no value");
        says(
            &events(),
            &json!({"value": "{{revision}}"}),
            "has no good or bad",
        );
        says(
            &value("much"),
            &json!({"value": "{{revision}}"}),
            "invalid float",
        );
        let missing = own(&events(), &BTreeMap::new(), &vars("web-a"), "web-b");
        let missing = missing.unwrap_err().to_string();
        assert!(
            missing.starts_with("there is no MetricTemplate checkouts"),
            "{missing}"
        );
        assert_eq!(asked(&slo(&json!({"availability": {}})), &good), Ok(None));
    }
}
