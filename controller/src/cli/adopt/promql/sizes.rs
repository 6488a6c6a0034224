//! Alerts on how large a Deployment is: after an adoption several Deployments stand for it, most of them at 0.

use promql_parser::parser::{self, Expr, VectorSelector};

use super::{Effect, instead};
use crate::cli::adopt::names::Names;

/// Metrics of kube-state-metrics that are numbers of a Deployment's pods.
const SIZES: [&str; 6] = [
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas",
    "kube_deployment_status_replicas_available",
    "kube_deployment_status_replicas_ready",
    "kube_deployment_status_replicas_unavailable",
    "kube_deployment_status_replicas_updated",
];

/// Whether an expression is a calculation with sizes of this Deployment and numbers, and nothing else: then sums in
/// the place of each size leave its meaning as it was.
pub(super) fn summed(expression: &Expr, names: &Names) -> bool {
    match expression {
        Expr::NumberLiteral(_) => true,
        Expr::VectorSelector(selector) => is_size(selector, names),
        Expr::Paren(paren) => summed(&paren.expr, names),
        Expr::Unary(unary) => summed(&unary.expr, names),
        Expr::Binary(binary) => {
            let modifier = binary.modifier.as_ref();
            let plain = modifier.is_none_or(|modifier| modifier.matching.is_none());
            plain && summed(&binary.lhs, names) && summed(&binary.rhs, names)
        }
        _ => false,
    }
}

fn is_size(selector: &VectorSelector, names: &Names) -> bool {
    let sizes = selector
        .name
        .as_deref()
        .is_some_and(|name| SIZES.contains(&name));
    let all = &selector.matchers.matchers;
    sizes
        && all.iter().any(|matcher| {
            let found = instead(matcher, all, names);
            found.is_some_and(|(effect, _)| effect == Effect::Misses)
        })
}

/// Sums in the place of each size.
pub(super) fn sum(expression: &mut Expr) {
    match expression {
        Expr::VectorSelector(selector) => {
            if let Ok(sum) = parser::parse(&format!("sum by (namespace) ({selector})")) {
                *expression = sum;
            }
        }
        Expr::Paren(paren) => sum(&mut paren.expr),
        Expr::Unary(unary) => sum(&mut unary.expr),
        Expr::Binary(binary) => {
            sum(&mut binary.lhs);
            sum(&mut binary.rhs);
        }
        _ => {}
    }
}
