//! Queries of others: which of their matchers would miss the revisions, and what to write instead. Queries are parsed
//! as Prometheus does; no pattern is taken apart. Each is tried on the names as they are now and as they will be.

mod sizes;
mod variables;

use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::token::{T_EQL_REGEX, T_NEQ_REGEX};
use promql_parser::parser::{self, Expr, VectorSelector};

use super::names::{Named, Names};

/// What happens to a matcher.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Effect {
    /// It matched the Deployment, and matches no revision.
    Misses,
    /// It matched nothing of it, and will match revisions.
    Takes,
    /// It left the Deployment out, and will not leave revisions out.
    Admits,
    /// It let the Deployment pass, and will leave revisions out.
    Drops,
}

/// A matcher that would mean something else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Change {
    pub(super) effect: Effect,
    pub(super) from: String,
    /// What to write instead, if that can be said.
    pub(super) to: Option<String>,
    /// The metric that it is on, if it says one.
    pub(super) metric: Option<String>,
}

/// What was found in a query.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Reading {
    /// Each once.
    pub(super) changes: Vec<Change>,
    /// Whether it is about the Deployment, its pods or its Service at all.
    pub(super) about: bool,
    /// All of it as it should be, if it could be written: not where it has variables of a dashboard.
    pub(super) whole: Option<String>,
}

/// Reads a query.
///
/// # Errors
/// Why it cannot be read, in one line.
pub(super) fn read(query: &str, names: &Names) -> Result<Reading, String> {
    let (mut expression, plain) = parsed(query)?;
    let summed = sizes::summed(&expression, names);
    let mut reading = Reading::default();
    walk(&mut expression, &mut |selector| {
        see(selector, names, &mut reading);
    });
    let all_told = reading.changes.iter().all(|change| change.to.is_some());
    if plain && all_told && !reading.changes.is_empty() {
        if summed {
            sizes::sum(&mut expression);
        }
        reading.whole = written(&expression, query.trim().contains('\n'));
    }
    Ok(reading)
}

/// The text of an expression, in several lines if it was; `None` if it would be read as another.
fn written(expression: &Expr, lines: bool) -> Option<String> {
    let text = if lines {
        expression.prettify()
    } else {
        expression.to_string()
    };
    let again = parser::parse(&text).ok()?;
    (again.to_string() == expression.to_string()).then_some(text)
}

/// And whether that was possible without a word in the place of a dashboard's variables.
fn parsed(query: &str) -> Result<(Expr, bool), String> {
    let plain = parser::parse(query);
    if plain.is_ok() || !variables::may_have(query) {
        return plain.map(|expression| (expression, true));
    }
    ["1", "x"]
        .into_iter()
        .find_map(|stand_in| parser::parse(&variables::filled(query, stand_in)).ok())
        .map(|expression| (expression, false))
        .map_or_else(|| plain.map(|expression| (expression, true)), Ok)
}

fn walk(expression: &mut Expr, see: &mut impl FnMut(&mut VectorSelector)) {
    match expression {
        Expr::Aggregate(aggregate) => {
            walk(&mut aggregate.expr, see);
            if let Some(parameter) = &mut aggregate.param {
                walk(parameter, see);
            }
        }
        Expr::Unary(unary) => walk(&mut unary.expr, see),
        Expr::Binary(binary) => {
            walk(&mut binary.lhs, see);
            walk(&mut binary.rhs, see);
        }
        Expr::Paren(paren) => walk(&mut paren.expr, see),
        Expr::Subquery(subquery) => walk(&mut subquery.expr, see),
        Expr::Call(call) => {
            for argument in &mut call.args.args {
                walk(argument, see);
            }
        }
        Expr::VectorSelector(selector) => see(selector),
        Expr::MatrixSelector(selector) => see(&mut selector.vs),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Looks at a selector, and leaves it as it should be.
fn see(selector: &mut VectorSelector, names: &Names, reading: &mut Reading) {
    let metric = selector.name.clone();
    let Matchers {
        matchers,
        or_matchers,
    } = &mut selector.matchers;
    for group in [matchers].into_iter().chain(or_matchers) {
        if elsewhere(group, names) {
            continue;
        }
        reading.about |= group.iter().any(|matcher| is_about(matcher, names));
        let all = group.clone();
        let mut kept = Vec::new();
        for matcher in group.drain(..) {
            let Some((effect, instead)) = instead(&matcher, &all, names) else {
                kept.push(matcher);
                continue;
            };
            let to: Vec<_> = instead.iter().map(Matcher::to_string).collect();
            let change = Change {
                effect,
                from: matcher.to_string(),
                to: (!to.is_empty()).then(|| to.join(", ")),
                metric: metric.clone(),
            };
            if !reading.changes.contains(&change) {
                reading.changes.push(change);
            }
            if instead.is_empty() {
                kept.push(matcher);
            } else {
                kept.extend(instead);
            }
        }
        *group = kept;
    }
}

/// Whether matchers say another namespace: a namesake is meant.
fn elsewhere(matchers: &[Matcher], names: &Names) -> bool {
    let ours = matchers.iter().filter(|matcher| {
        let known = names.by(&matcher.name);
        !known.is_empty() || is_about(matcher, names)
    });
    let prefixes: Vec<_> = ours.map(|matcher| side(&matcher.name)).collect();
    matchers.iter().any(|matcher| {
        let label = matcher.name.as_str();
        let is_namespace = label.ends_with("namespace") || label.ends_with("namespace_name");
        // A variable of a dashboard may be any.
        is_namespace
            && prefixes.contains(&side(label))
            && !variables::has(&matcher.value)
            && !matcher.is_match(&names.namespace)
    })
}

/// Of calls both ends have labels, each with a namespace of its own.
fn side(label: &str) -> &'static str {
    ["source_", "destination_"]
        .into_iter()
        .find(|side| label.starts_with(side))
        .unwrap_or_default()
}

/// Whether a matcher says the name of the Deployment or the Service, by whatever label.
fn is_about(matcher: &Matcher, names: &Names) -> bool {
    let [deployment, service] = [&names.deployment, &names.service];
    let said = matcher.value.contains(deployment) || matcher.value.contains(service);
    let label = names.by(&matcher.name).iter();
    let mut now = label.map(|named| names.before(*named));
    let meant = |name: &str| matcher.is_match(name) != is_negative(matcher);
    said && (meant(deployment) || meant(service) || now.any(|name| meant(&name)))
}

fn is_negative(matcher: &Matcher) -> bool {
    matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRe(_))
}

/// What happens to a matcher that treats revisions otherwise than it treats the Deployment, and what to write
/// instead; nothing, if that cannot be said. `group` has those beside it, of which one may make up for it.
fn instead(matcher: &Matcher, group: &[Matcher], names: &Names) -> Option<(Effect, Vec<Matcher>)> {
    if variables::has(&matcher.value) {
        return None;
    }
    let negative = is_negative(matcher);
    let all = names.by(&matcher.name);
    let meant = |what: &Named| matcher.is_match(&names.before(*what)) != negative;
    let what = *all.iter().find(|what| meant(what)).or(all.first())?;
    let (now, later) = (names.before(what), names.after(what));
    let of_label = group.iter().filter(|one| one.name == matcher.name);
    let of_label: Vec<_> = of_label.filter(|one| !variables::has(&one.value)).collect();
    let passes = |name: &str| of_label.iter().all(|one| one.is_match(name));
    let alike = |is: &dyn Fn(&str) -> bool| later.iter().all(|name| is(name) == is(&now));
    if alike(&|name| matcher.is_match(name)) || alike(&passes) {
        return None;
    }
    let written =
        |token, value: String| Matcher::new_matcher(token, matcher.name.clone(), value).ok();
    let token = if negative { T_NEQ_REGEX } else { T_EQL_REGEX };
    // An alternative more, in a pattern that is anchored as a whole.
    let wider = match matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => names.always(what),
        MatchOp::Re(_) | MatchOp::NotRe(_) => {
            format!("{}|{}", matcher.value, names.later(what))
        }
    };
    let (effect, instead) = match (matcher.is_match(&now), negative) {
        (true, false) => (Effect::Misses, vec![written(token, wider)]),
        (false, true) => (Effect::Admits, vec![written(token, wider)]),
        (false, false) => (
            Effect::Takes,
            vec![
                Some(matcher.clone()),
                written(T_NEQ_REGEX, names.later(what)),
            ],
        ),
        (true, true) => (Effect::Drops, Vec::new()),
    };
    let instead: Option<Vec<_>> = instead.into_iter().collect();
    Some((effect, instead.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
