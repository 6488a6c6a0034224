//! The sections that a rollout is held to, whatever is edited meanwhile.

use sluice_crds::{CanaryStatus, PolicySpec};

/// What was pinned when the last rollout started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pinned {
    /// The resolved sections.
    pub sections: PolicySpec,
    /// Whether their route is the Canary's own, and not its policy's.
    pub own_route: bool,
    /// Whether their mesh is, likewise.
    pub own_mesh: bool,
}

impl Pinned {
    /// Pins what holds now: `own` are the Canary's sections, `resolved` those in force.
    #[must_use]
    pub fn new(own: &PolicySpec, resolved: PolicySpec) -> Self {
        Self {
            own_route: own.route.is_some(),
            own_mesh: own.mesh.is_some(),
            sections: resolved,
        }
    }

    /// What the status remembers.
    #[must_use]
    pub fn read(status: &CanaryStatus) -> Option<Self> {
        status.plan.clone().map(|sections| Self {
            sections,
            own_route: status.own_route,
            own_mesh: status.own_mesh,
        })
    }

    /// As long as no candidate has requests the mesh is the one that was said last: a wrong word keeps the first
    /// revision from ever serving, and must not be a promise.
    pub fn follow_mesh(&mut self, own: &PolicySpec, resolved: &PolicySpec) {
        self.sections.mesh = resolved.mesh;
        self.own_mesh = own.mesh.is_some();
    }

    /// Between rollouts a route of the Canary's own follows its edits, and to take it away is one. A
    /// policy's waits for the next rollout: an edit of a policy alters nothing.
    pub fn follow_route(&mut self, own: &PolicySpec, resolved: &PolicySpec) {
        if self.own_route || own.route.is_some() {
            self.sections.route.clone_from(&resolved.route);
            self.own_route = own.route.is_some();
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_crds::{RouteRule, RouteTemplate};

    use super::*;
    use crate::parse::plan::resolve;

    fn route(rule: &str) -> PolicySpec {
        let name = Some(rule.to_owned());
        let rule = RouteRule {
            name,
            ..RouteRule::default()
        };
        PolicySpec {
            route: Some(RouteTemplate { rules: vec![rule] }),
            ..PolicySpec::default()
        }
    }

    #[test]
    fn the_canarys_own_route_follows_its_edits_and_a_policys_does_not() {
        let none = PolicySpec::default();
        let (first, second) = (route("first"), route("second"));
        let mut pinned = Pinned::new(&none, resolve(&none, Some(&first)));
        let mut follow = |own: &PolicySpec, policy: &PolicySpec| {
            pinned.follow_route(own, &resolve(own, Some(policy)));
            pinned.sections.route.clone()
        };
        assert_eq!(follow(&none, &second), first.route, "an edit of the policy");
        let own = route("own");
        assert_eq!(follow(&own, &second), own.route);
        let edited = route("edited");
        assert_eq!(follow(&edited, &second), edited.route);
        assert_eq!(follow(&none, &second), second.route, "taken away");
        assert_eq!(follow(&none, &first), second.route);
    }
}
