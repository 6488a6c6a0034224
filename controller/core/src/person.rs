//! What a person wrote on a Canary, and which revision is meant by it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{RevisionName, Weight, World};

/// Orders of a person. Each holds the annotation's value: what names a revision, see [`Named`], and behind a
/// `#` anything that makes it a new order.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Orders {
    /// Skip what is left of the gates.
    pub promote: Option<String>,
    /// Give the traffic back and reject the revision.
    pub abort: Option<String>,
    /// Try a rejected revision again.
    pub retry: Option<String>,
}

/// A revision that may go on where a rollout waits for approval.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Approval {
    /// Which revision.
    pub named: Named,
    /// The weight at which it may go on; `None` for wherever it waits.
    pub at: Option<Weight>,
}

/// What a person calls a revision.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Named {
    /// By its name.
    Revision(RevisionName),
    /// By an image in its template, written in the same way. It means no revision when the one that serves has
    /// that image as well: then nothing tells them apart.
    Image(String),
}

impl Named {
    /// Reads an order's value, without what is behind a `#`. The name of a revision is a label: what has a `/`,
    /// a `:` or an `@` is an image, and so is what stands behind `image=`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.strip_prefix("image=") {
            Some(image) => Self::Image(image.to_owned()),
            None if text.contains(['/', ':', '@']) => Self::Image(text.to_owned()),
            None => Self::Revision(text.into()),
        }
    }
}

/// As it is written in `spec.approved`.
impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.named {
            Named::Revision(revision) => write!(f, "{{revision: {revision}")?,
            Named::Image(image) => write!(f, "{{image: \"{image}\"")?,
        }
        match self.at {
            Some(at) => write!(f, ", at: \"{at}\"}}"),
            None => write!(f, "}}"),
        }
    }
}

impl World {
    /// Whether a person means `revision`, while `stable` serves.
    #[must_use]
    pub fn means(
        &self,
        named: &Named,
        revision: &RevisionName,
        stable: Option<&RevisionName>,
    ) -> bool {
        match named {
            Named::Revision(name) => name == revision,
            Named::Image(image) => {
                let has = |name: &RevisionName| self.images(name).contains(image);
                let other = stable.filter(|stable| *stable != revision);
                has(revision) && !other.is_some_and(has)
            }
        }
    }

    /// An image by which `revision` can be told from `stable`.
    #[must_use]
    pub fn own_image(
        &self,
        revision: &RevisionName,
        stable: Option<&RevisionName>,
    ) -> Option<&str> {
        let known = stable.map_or(&[][..], |stable| self.images(stable));
        let mut images = self.images(revision).iter();
        images
            .find(|image| !known.contains(image))
            .map(String::as_str)
    }

    /// By what a person approved that `revision` goes on from the weight `at`.
    #[must_use]
    pub fn approval(
        &self,
        revision: &RevisionName,
        stable: Option<&RevisionName>,
        at: Weight,
    ) -> Option<&Approval> {
        let mut approved = self.approved.iter();
        approved.find(|approval| {
            let here = approval.at.is_none_or(|named| named == at);
            here && self.means(&approval.named, revision, stable)
        })
    }

    /// Every order that means a revision, as records remember it once it was carried out.
    pub fn orders_for(
        &self,
        revision: &RevisionName,
        stable: Option<&RevisionName>,
    ) -> impl Iterator<Item = String> {
        let orders = [
            ("promote", &self.orders.promote),
            ("abort", &self.orders.abort),
            ("retry", &self.orders.retry),
        ];
        orders.into_iter().filter_map(move |(verb, value)| {
            let value = value.as_deref()?;
            let named = Named::parse(value.split('#').next()?);
            let means = self.means(&named, revision, stable);
            means.then(|| format!("{verb}:{value}"))
        })
    }

    /// The order of a person that means a revision and was not carried out yet: on this one, or on another that
    /// had the same image.
    #[must_use]
    pub fn order(
        &self,
        verb: &str,
        revision: &RevisionName,
        stable: Option<&RevisionName>,
    ) -> Option<String> {
        let is_known = |order: &String| {
            let mut records = self
                .revisions
                .values()
                .filter_map(|one| one.record.as_ref());
            records.any(|record| record.orders.contains(order))
        };
        let mut orders = self.orders_for(revision, stable);
        orders.find(|order| order.split(':').next() == Some(verb) && !is_known(order))
    }

    /// The images of a revision: of its snapshot, or of the template that it is about to be made from.
    fn images(&self, revision: &RevisionName) -> &[String] {
        let stored = self.revisions.get(revision);
        let stored = stored.filter(|stored| !stored.images.is_empty());
        let target = self.target.as_ref().filter(|t| t.revision == *revision);
        let made = target.map_or(&[][..], |target| &target.images);
        stored.map_or(made, |stored| &stored.images)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Record, Revision};

    fn world() -> World {
        let revision = |images: [&str; 2]| Revision {
            images: images.map(str::to_owned).to_vec(),
            record: Some(Record::default()),
            ..Revision::default()
        };
        World {
            revisions: BTreeMap::from([
                ("web-1".into(), revision(["ghcr.io/shop/web:v1", "proxy:1"])),
                ("web-2".into(), revision(["ghcr.io/shop/web:v2", "proxy:1"])),
                (
                    "web-2b".into(),
                    revision(["ghcr.io/shop/web:v2", "proxy:1"]),
                ),
            ]),
            ..World::default()
        }
    }

    #[test]
    fn an_image_means_what_has_it_and_does_not_serve() {
        let world = world();
        let means = |text: &str, revision: &str, stable: &str| {
            let named = Named::parse(text);
            world.means(&named, &revision.into(), Some(&stable.into()))
        };
        assert!(means("web-2", "web-2", "web-1"));
        assert!(!means("web-2", "web-2b", "web-1"));
        assert!(means("ghcr.io/shop/web:v2", "web-2", "web-1"));
        assert!(means("image=ghcr.io/shop/web:v2", "web-2", "web-1"));
        assert!(!means("ghcr.io/shop/web:v", "web-2", "web-1"), "no prefix");
        assert!(!means("proxy:1", "web-2", "web-1"), "both have it");
        assert!(
            !means("ghcr.io/shop/web:v2", "web-2b", "web-2"),
            "another environment of the image that serves"
        );
        assert!(means("ghcr.io/shop/web:v2", "web-2", "web-2"), "itself");
        assert_eq!(Named::parse("image=web"), Named::Image("web".to_owned()));
        assert_eq!(Named::parse("web"), Named::Revision("web".into()));
    }

    #[test]
    fn an_order_by_image_is_carried_out_once() {
        let mut world = world();
        world.orders.promote = Some("ghcr.io/shop/web:v2".to_owned());
        let stable = "web-1".into();
        let order = |world: &World| world.order("promote", &"web-2b".into(), Some(&stable));
        assert!(order(&world).is_some());
        let done = Record::default().obeyed("promote:ghcr.io/shop/web:v2");
        if let Some(other) = world.revisions.get_mut(&"web-2".into()) {
            other.record = Some(done);
        }
        assert_eq!(order(&world), None);
        world.orders.promote = Some("ghcr.io/shop/web:v2#2".to_owned());
        assert!(order(&world).is_some());
    }

    #[test]
    fn an_approval_holds_at_its_weight() {
        let mut world = world();
        let approval = |at: Option<u32>| Approval {
            named: Named::Image("ghcr.io/shop/web:v2".to_owned()),
            at: at.map(Weight::from_percent),
        };
        world.approved = vec![approval(Some(10))];
        let stable = "web-1".into();
        let at = |world: &World, percent| {
            let weight = Weight::from_percent(percent);
            let found = world.approval(&"web-2".into(), Some(&stable), weight);
            found.map(ToString::to_string)
        };
        let text = r#"{image: "ghcr.io/shop/web:v2", at: "10%"}"#;
        assert_eq!(at(&world, 10).as_deref(), Some(text));
        assert_eq!(at(&world, 50), None);
        world.approved = vec![approval(None)];
        assert!(at(&world, 0).is_some() && at(&world, 50).is_some());
    }
}
