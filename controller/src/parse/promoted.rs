//! What Git says was promoted last: the target's template with other images.

use serde_json::Value;
use sluice_core::{Blocked, Source};
use sluice_crds::{PromotedImage, Reason};

use crate::observe::Observed;
use crate::render::references::images;

use super::revisions::Known;
use super::target::{self, Identified};

/// What was promoted last, as a revision; `None` where `spec.promoted` says nothing, or the target is just that.
#[must_use]
pub fn identify(
    observed: &Observed,
    known: &Known<'_>,
    target: Option<&Identified>,
) -> Option<Identified> {
    let promoted = observed.canary.spec.promoted.as_ref()?;
    let mut template = observed.template()?.clone();
    put(&mut template, &promoted.images);
    let identified = target::identify_template(observed, known, &template);
    // Images that are no part of a revision's identity start no rollout either.
    (Some(&identified.revision) != target.map(|target| &target.revision)).then_some(identified)
}

/// The same in the terms of the decision.
#[must_use]
pub fn parse(identified: &Identified) -> Source {
    Source {
        revision: identified.revision.clone(),
        template: identified.template_hash.clone(),
        images: images(&identified.template),
    }
}

/// A container that is named and not there: until something serves, nobody could tell what should.
#[must_use]
pub fn blocked(observed: &Observed) -> Option<Blocked> {
    let status = observed.canary.status.as_ref();
    if status.is_some_and(|status| status.stable.is_some()) {
        return None;
    }
    let promoted = observed.canary.spec.promoted.as_ref()?;
    let template = observed.template()?;
    let names: Vec<_> = containers(template).filter_map(name).collect();
    let images = promoted.images.iter().enumerate();
    let (index, image) = images
        .into_iter()
        .find(|(_, image)| !names.contains(&image.name.as_str()))?;
    Some(Blocked {
        reason: Reason::InvalidSpec.as_str().to_owned(),
        message: format!(
            "spec.promoted.images[{index}].name: the target has no container {}, but {}; name one of them, or \
             remove the entry",
            image.name,
            names.join(", ")
        ),
    })
}

/// Puts images into a template, each where it is another one.
fn put(template: &mut Value, images: &[PromotedImage]) {
    for list in ["/spec/containers", "/spec/initContainers"] {
        let Some(Value::Array(containers)) = template.pointer_mut(list) else {
            continue;
        };
        for container in containers {
            let wanted = images
                .iter()
                .find(|image| name(container) == Some(&image.name));
            let (Some(wanted), Some(Value::String(image))) = (wanted, container.get_mut("image"))
            else {
                continue;
            };
            if !wanted.is_image(image) {
                image.clone_from(&wanted.image);
            }
        }
    }
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["/spec/containers", "/spec/initContainers"];
    let lists = lists
        .into_iter()
        .filter_map(|list| template.pointer(list)?.as_array());
    lists.flatten()
}

fn name(container: &Value) -> Option<&str> {
    container.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests fail by panicking")]

    use serde_json::json;

    use super::*;

    fn image(name: &str, image: &str) -> PromotedImage {
        PromotedImage {
            name: name.to_owned(),
            image: image.to_owned(),
        }
    }

    #[test]
    fn images_go_to_the_containers_of_their_names() {
        let template = json!({"spec": {
            "initContainers": [{"name": "migrate", "image": "db:2"}],
            "containers": [
                {"name": "app", "image": "app:2", "args": ["app:2"]},
                {"name": "proxy", "image": "proxy:2"},
                {"name": "none"},
            ],
        }});
        let mut with = template.clone();
        put(
            &mut with,
            &[
                image("migrate", "db:1"),
                image("app", "app:1@sha256:ab"),
                image("none", "none:1"),
                image("gone", "gone:1"),
            ],
        );
        let mut wanted = template.clone();
        wanted["spec"]["initContainers"][0]["image"] = json!("db:1");
        wanted["spec"]["containers"][0]["image"] = json!("app:1@sha256:ab");
        assert_eq!(with, wanted);
    }

    #[test]
    fn a_digest_that_git_does_not_tell_makes_no_other_image() {
        let template = json!({"spec": {"containers": [{"name": "app", "image": "app:2"}]}});
        let mut with = template.clone();
        put(&mut with, &[image("app", "app:2@sha256:ab")]);
        assert_eq!(with, template);
    }
}
