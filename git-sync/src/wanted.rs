//! What a file is to say: marks and what the cluster says become new values.

use std::collections::BTreeMap;

use sluice_crds::PromotedImage;

use crate::mark::{Field, Mark};
use crate::outcome::{Ended, Stance};

/// Which end of a rollout is told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum End {
    /// What serves is recorded.
    Promoted,
    /// What was rejected is taken back.
    Rejected,
}

impl End {
    /// As commits tell it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Rejected => "rejected",
        }
    }
}

/// Digests by container.
pub type Digests = BTreeMap<String, String>;

/// The value that a mark of the Canary should have by one end; `None` where the present one is right.
///
/// # Errors
/// What of the mark does not fit the pods.
pub fn wanted(
    stance: &Stance,
    end: End,
    mark: &Mark,
    value: &str,
    digests: &Digests,
) -> Result<Option<String>, String> {
    if mark.canary != stance.canary {
        return Ok(None);
    }
    let Some(serving) = &stance.serving else {
        return Ok(None);
    };
    match (end, mark.field, &stance.rejected) {
        (End::Promoted, Field::Promoted, _) => recorded(serving, mark, value, digests),
        (End::Rejected, Field::Image, Some(rejected)) => {
            let (_, from) = rejected.image(mark.container.as_deref())?;
            let (_, to) = serving.image(mark.container.as_deref())?;
            // Git may have moved on: only what was rejected is taken back.
            Ok((value == from && from != to).then(|| to.to_owned()))
        }
        (End::Rejected, Field::Tag, Some(rejected)) => {
            let (from_name, from) = tagged(rejected, mark)?;
            let (to_name, to) = tagged(serving, mark)?;
            if value != from || from == to {
                return Ok(None);
            }
            if from_name != to_name {
                return Err(format!(
                    "{from_name} was {to_name} before: a tag alone does not bring that back"
                ));
            }
            Ok(Some(to.to_owned()))
        }
        _ => Ok(None),
    }
}

/// What serves, by its digest where that is known. A tag that is recorded already stays, with its digest or without.
fn recorded(
    serving: &Ended,
    mark: &Mark,
    value: &str,
    digests: &Digests,
) -> Result<Option<String>, String> {
    let (container, image) = serving.image(mark.container.as_deref())?;
    let known = PromotedImage {
        name: container.to_owned(),
        image: value.to_owned(),
    };
    if known.is_image(image) {
        return Ok(None);
    }
    Ok(Some(match digests.get(container) {
        Some(digest) if !image.contains('@') => format!("{image}@{digest}"),
        _ => image.to_owned(),
    }))
}

/// Name and tag of an image.
fn tagged<'a>(ended: &'a Ended, mark: &Mark) -> Result<(&'a str, &'a str), String> {
    let (_, image) = ended.image(mark.container.as_deref())?;
    let parts = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    parts
        .filter(|_| !image.contains('@'))
        .ok_or_else(|| format!("{image} is named by no tag alone: mark all of it as \":image\""))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a failed unwrap is a failed test"
    )]

    use super::*;
    use crate::mark::{Key, marks};

    fn ended(revision: &str, images: &[(&str, &str)]) -> Ended {
        let pairs = images
            .iter()
            .map(|(name, image)| ((*name).to_owned(), (*image).to_owned()));
        Ended {
            revision: revision.to_owned(),
            record: sluice_core::Record::default(),
            images: pairs.collect(),
            containers: images.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }
    }

    fn stance(serving: Option<Ended>, rejected: Option<Ended>) -> Stance {
        let canary = Key {
            namespace: "shop".to_owned(),
            name: "app".to_owned(),
        };
        Stance {
            canary,
            serving,
            rejected,
        }
    }

    fn ask(stance: &Stance, end: End, field: &str, value: &str) -> Result<Option<String>, String> {
        let text = format!("x: {value} # {{\"$sluice\": \"shop/app:{field}\"}}");
        let digests = Digests::from([("app".to_owned(), "sha256:d".to_owned())]);
        wanted(stance, end, &marks(&text).0[0].mark, value, &digests)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what is asked for")]
    fn some(value: &str) -> Result<Option<String>, String> {
        Ok(Some(value.to_owned()))
    }

    #[test]
    fn what_serves_is_recorded_by_its_digest() {
        let stance = stance(Some(ended("app-2", &[("app", "app:2")])), None);
        let promoted = |value: &str| ask(&stance, End::Promoted, "promoted", value);
        assert_eq!(promoted("app:1"), some("app:2@sha256:d"));
        assert_eq!(promoted("app:1@sha256:c"), some("app:2@sha256:d"));
        assert_eq!(promoted("app:2"), Ok(None), "recorded already");
        assert_eq!(
            promoted("app:2@sha256:e"),
            Ok(None),
            "what a tag was when it was promoted stays"
        );
        assert_eq!(
            ask(&stance, End::Promoted, "image", "app:1"),
            Ok(None),
            "Git's own"
        );
        assert_eq!(ask(&stance, End::Rejected, "promoted", "app:1"), Ok(None));
    }

    #[test]
    fn a_digest_in_git_is_recorded_as_it_stands() {
        let stance = stance(Some(ended("app-2", &[("app", "app:2@sha256:b")])), None);
        assert_eq!(
            ask(&stance, End::Promoted, "promoted", "app:2@sha256:a"),
            some("app:2@sha256:b")
        );
        assert_eq!(
            ask(&stance, End::Promoted, "promoted", "app:2@sha256:b"),
            Ok(None)
        );
    }

    #[test]
    fn of_several_containers_one_is_named() {
        let both = |tag: &str| ended("app-2", &[("app", tag), ("proxy", "proxy:7")]);
        let stance = stance(Some(both("app:1")), Some(both("app:2")));
        assert_eq!(
            ask(&stance, End::Promoted, "promoted:proxy", "proxy:6"),
            some("proxy:7")
        );
        assert_eq!(
            ask(&stance, End::Rejected, "image:app", "app:2"),
            some("app:1")
        );
        assert_eq!(
            ask(&stance, End::Rejected, "image:proxy", "proxy:7"),
            Ok(None),
            "it was not changed"
        );
        assert!(
            ask(&stance, End::Rejected, "image", "app:2")
                .unwrap_err()
                .contains("several containers")
        );
        assert!(
            ask(&stance, End::Rejected, "image:web", "app:2")
                .unwrap_err()
                .contains("no container web")
        );
    }

    #[test]
    fn only_what_was_rejected_is_taken_back() {
        let stance = stance(
            Some(ended("app-1", &[("app", "r:5000/app:1")])),
            Some(ended("app-2", &[("app", "r:5000/app:2")])),
        );
        let image = |value: &str| ask(&stance, End::Rejected, "image", value);
        assert_eq!(image("r:5000/app:2"), some("r:5000/app:1"));
        assert_eq!(image("r:5000/app:1"), Ok(None), "taken back already");
        assert_eq!(image("r:5000/app:3"), Ok(None), "Git moved on");
        assert_eq!(ask(&stance, End::Rejected, "tag", "2"), some("1"));
        assert_eq!(ask(&stance, End::Rejected, "tag", "3"), Ok(None));
    }

    #[test]
    fn nothing_is_taken_back_to_nothing() {
        let rejected = || Some(ended("app-2", &[("app", "app:2")]));
        assert_eq!(
            ask(&stance(None, rejected()), End::Rejected, "image", "app:2"),
            Ok(None)
        );
        let other = stance(Some(ended("app-1", &[("app", "other:1")])), rejected());
        assert!(
            ask(&other, End::Rejected, "tag", "2")
                .unwrap_err()
                .contains("other")
        );
        let bare = stance(Some(ended("app-1", &[("app", "r:5000/app")])), rejected());
        assert!(
            ask(&bare, End::Rejected, "tag", "2")
                .unwrap_err()
                .contains("no tag alone")
        );
    }
}
