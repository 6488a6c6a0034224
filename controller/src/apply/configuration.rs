//! Copies of the configuration that a revision needs: made with it, removed with the last user.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ApiResource;
use kube::{Api, ResourceExt as _};
use sluice_core::RevisionName;
use sluice_crds::labels;

use super::scene::{EffectError, Scene};
use super::writer::Writer;
use crate::observe::Observed;
use crate::observe::labelled::label;
use crate::render::config::{self, Config};
use crate::render::name;

/// Copies every `ConfigMap` of a revision, by name and content hash.
///
/// The caches keep hashes alone, so each is read once here; should it have changed since, the revision
/// is another one by now.
pub(super) async fn copy(
    writer: &Writer,
    observed: &Observed,
    contents: &Config,
) -> Result<(), EffectError> {
    let api: Api<ConfigMap> = Api::namespaced(writer.client.clone(), &observed.namespace);
    for (key, hash) in contents {
        let found = api.get_opt(key).await;
        let found = found.map_err(|source| EffectError::Read {
            name: key.clone(),
            source: Box::new(source),
        })?;
        let Some(found) = found.filter(|found| config::config_map_hash(found) == *hash) else {
            return Err(EffectError::Gone(format!(
                "ConfigMap {key} changed meanwhile"
            )));
        };
        let copy = config::copy_of_config_map(&observed.name, &found);
        let copy = serde_json::to_value(copy).and_then(serde_json::from_value);
        let copy = copy.map_err(|error| EffectError::Gone(error.to_string()))?;
        writer.create(&config_map(), "ConfigMap", copy).await?;
    }
    Ok(())
}

/// Copies again what is missing of a revision whose pods are about to be made: its removal may have come
/// half-way when Git asked for it again.
pub(super) async fn mend(
    writer: &Writer,
    observed: &Observed,
    contents: &Config,
) -> Result<(), EffectError> {
    let is_missing = |(key, hash): &(&String, &String)| find(observed, key, hash).is_none();
    let missing = contents.iter().filter(is_missing);
    let missing = missing.map(|(key, hash)| (key.clone(), hash.clone()));
    copy(writer, observed, &missing.collect()).await
}

/// Removes the copies that nobody uses once this revision is gone, too, after those that went by the same decision.
///
/// Of several that go at once the last user takes a shared copy away. The first one also takes away what another left whose
/// snapshot somebody else deleted.
pub(super) async fn sweep(
    writer: &Writer,
    scene: &Scene<'_>,
    gone: &BTreeSet<&RevisionName>,
    revision: &RevisionName,
) -> Result<(), EffectError> {
    let copies = scene.observed.config_copies.iter().map(AsRef::as_ref);
    let ours =
        |copy: &&ConfigMap| label(copy.labels(), labels::MANAGED_BY) == Some(labels::MANAGER);
    let copies: BTreeMap<_, _> = copies
        .filter(ours)
        .map(|copy| (copy.name_any(), copy))
        .collect();
    let users = users(scene);
    for name in released(copies.keys(), &users, gone, revision) {
        let live = copies.get(name).map(|copy| &copy.metadata);
        writer
            .delete(&config_map(), "ConfigMap", name, live)
            .await?;
    }
    Ok(())
}

/// Whoever needs copies: a revision, and their names.
type User<'a> = (&'a RevisionName, BTreeSet<String>);

fn users<'a>(scene: &'a Scene<'_>) -> Vec<User<'a>> {
    let snapshots = scene.known.snapshots.iter();
    let snapshots = snapshots.map(|known| (&known.revision, &known.config));
    // Unless all of it goes, the target's configuration may be about to become a revision of its own.
    let deleting = scene.observed.canary.metadata.deletion_timestamp.is_some();
    let sources = scene.sources().filter(|_| !deleting);
    let sources = sources.map(|source| (&source.revision, &source.config));
    let canary = &scene.observed.name;
    let name = |(key, hash): (&String, &String)| name::copy_name(canary, key, hash);
    snapshots
        .chain(sources)
        .map(|(revision, config)| (revision, config.iter().map(name).collect()))
        .collect()
}

/// The copies that nobody needs any more with this revision gone.
fn released<'a>(
    copies: impl Iterator<Item = &'a String>,
    users: &[User<'_>],
    gone: &BTreeSet<&RevisionName>,
    revision: &RevisionName,
) -> Vec<&'a String> {
    let needed = |copy: &String, and_this: bool| {
        let stays = |user: &RevisionName| !gone.contains(user) && (and_this || user != revision);
        users
            .iter()
            .any(|(user, needs)| stays(user) && needs.contains(copy))
    };
    // What was needed by none before went before.
    let is_left = |copy: &String| gone.is_empty() || needed(copy, true);
    copies
        .filter(|copy| is_left(copy) && !needed(copy, false))
        .collect()
}

/// Our copy of a `ConfigMap` with this content, if there is one.
fn find<'a>(observed: &'a Observed, key: &str, hash: &str) -> Option<&'a ConfigMap> {
    let name = name::copy_name(&observed.name, key, hash);
    let mut copies = observed.config_copies.iter().map(AsRef::as_ref);
    copies.find(|copy: &&ConfigMap| copy.name_any() == name)
}

/// core/v1 `ConfigMap`.
fn config_map() -> ApiResource {
    ApiResource::erase::<ConfigMap>(&())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken away as these go, in this order.
    fn taken(users: &[(&str, &[&str])], going: &[&str]) -> Vec<Vec<String>> {
        let copies = ["a", "b", "c", "left"].map(str::to_owned);
        let names: Vec<_> = users
            .iter()
            .map(|(user, _)| RevisionName::from(*user))
            .collect();
        let needs = |needs: &[&str]| needs.iter().map(|copy| (*copy).to_owned()).collect();
        let users: Vec<User<'_>> = names
            .iter()
            .zip(users)
            .map(|(name, (_, copies))| (name, needs(copies)))
            .collect();
        let going: Vec<_> = going.iter().map(|name| RevisionName::from(*name)).collect();
        let mut gone = BTreeSet::new();
        let mut taken = Vec::new();
        for revision in &going {
            let now = released(copies.iter(), &users, &gone, revision);
            taken.push(now.into_iter().cloned().collect());
            gone.insert(revision);
        }
        taken
    }

    #[test]
    fn of_several_that_go_at_once_the_last_takes_a_shared_copy() {
        let users: [(&str, &[&str]); 4] = [
            ("one", &["a"]),
            ("two", &["a", "b"]),
            ("three", &["b", "c"]),
            ("stable", &["c"]),
        ];
        assert_eq!(
            taken(&users, &["one", "two", "three"]),
            [vec!["left"], vec!["a"], vec!["b"]]
        );
    }

    #[test]
    fn the_target_keeps_what_it_needs_unless_it_is_that_revision() {
        let users: [(&str, &[&str]); 2] = [("one", &["a", "left"]), ("target", &["a", "b", "c"])];
        assert_eq!(taken(&users, &["one"]), [vec!["left"]]);
        let users: [(&str, &[&str]); 2] = [("one", &["a", "b", "c", "left"]), ("one", &["a"])];
        assert_eq!(taken(&users, &["one"]), [vec!["a", "b", "c", "left"]]);
    }
}
