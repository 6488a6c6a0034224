//! Names of what we make.

use sluice_core::RevisionName;

use super::hash;

/// The longest name of a Service, and the longest value of a label.
const LABEL: usize = 63;

/// The longest name of most other objects.
const SUBDOMAIN: usize = 253;

/// The name of a revision: `podinfo-7d4b9c2x` of the target `podinfo` and [`revision_hash`].
///
/// It names a Service and is a label's value, so it is an RFC 1035 label, whatever the target is
/// called. Where the target's name had to be changed for that, the hash covers it: `a.b` and `a-b`
/// never meet.
///
/// [`revision_hash`]: super::identity::revision_hash
#[must_use]
pub fn revision_name(target: &str, hash: &str) -> RevisionName {
    let base = base(target);
    if base == target && hash.len() == hash::LENGTH {
        return format!("{base}-{hash}").into();
    }
    let hash = hash::short(&[target, hash]);
    format!("{base}-{hash}").into()
}

/// Whether [`revision_name`] makes such names of this target.
#[must_use]
pub fn is_revision_of(target: &str, name: &str) -> bool {
    let parts = name.rsplit_once('-');
    parts.is_some_and(|(own, hash)| own == base(target) && is_hash(hash))
}

/// What the names of all revisions of a target begin with, before the last dash. Two targets whose names are
/// long and differ late share it.
#[must_use]
pub fn base(target: &str) -> String {
    let mut base: String = target
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    if !base.starts_with(|c: char| c.is_ascii_lowercase()) {
        base.insert(0, 'r');
    }
    base.truncate(LABEL - 1 - hash::LENGTH);
    if base != target {
        base.truncate(base.trim_end_matches('-').len());
    }
    base
}

/// What follows the last dash, as a regular expression.
#[must_use]
pub fn hash_pattern() -> String {
    format!("[{}]{{{}}}", hash::ALPHABET, hash::LENGTH)
}

/// Whether a text could be that.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    hash::is_short(text)
}

/// The name of our copy of a `ConfigMap` with this content. Revisions with equal content
/// share the copy; Canaries do not, since each removes its own.
#[must_use]
pub fn copy_name(canary: &str, original: &str, content_hash: &str) -> String {
    let hash = hash::short(&[canary, original, content_hash]);
    let mut base = original.to_owned();
    // Names of objects are ASCII, so every byte is a border of characters.
    if base.is_char_boundary(SUBDOMAIN - 1 - hash::LENGTH) {
        base.truncate(SUBDOMAIN - 1 - hash::LENGTH);
    }
    format!("{}-{hash}", base.trim_end_matches(['-', '.']))
}

/// The name of the `HTTPRoute` for one port of a Service. The last part is always the port, so two
/// Services never meet in one name.
#[must_use]
pub fn route_name(service: &str, port: i32) -> String {
    format!("sluice-{service}-{port}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn is_rfc_1035_label(name: &str) -> bool {
        name.len() <= 63
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-')
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }

    #[test]
    fn a_plain_name_is_kept() {
        assert_eq!(
            revision_name("podinfo", "bcdfghjk").as_str(),
            "podinfo-bcdfghjk"
        );
    }

    #[test]
    fn every_deployment_makes_a_valid_and_unique_name() {
        let mut targets: Vec<String> = ["a.b", "a-b", "2048", "r2048", "0.0", "x", "-", "", "é"]
            .map(str::to_owned)
            .to_vec();
        for length in 1..=SUBDOMAIN {
            targets.push("a".repeat(length));
            targets.push("9.".repeat(length / 2) + "z");
            targets.push("ab-".repeat(length / 3) + "z");
        }
        let targets: BTreeSet<String> = targets.into_iter().collect();
        let names: BTreeSet<String> = targets
            .iter()
            .map(|target| String::from(revision_name(target, "bcdfghjk")))
            .collect();
        assert_eq!(names.len(), targets.len());
        for name in names {
            assert!(is_rfc_1035_label(&name), "{name}");
        }
    }

    #[test]
    fn a_revision_is_told_by_its_targets_base_and_a_hash() {
        let long = "a.".repeat(100);
        for target in ["podinfo", "a.b", "2048", "-", &long] {
            let name = String::from(revision_name(target, "bcdfghjk"));
            let (base, hash) = name.rsplit_once('-').unwrap_or_default();
            assert_eq!((base, is_hash(hash)), (super::base(target).as_str(), true));
        }
        assert!(!is_hash("production") && !is_hash("bcdfghj") && !is_hash("bcdfghja"));
    }

    #[test]
    fn the_hash_tells_revisions_of_a_changed_name_apart() {
        let long = "a.".repeat(100);
        assert_ne!(
            revision_name(&long, "bcdfghjk"),
            revision_name(&long, "bcdfghjl")
        );
    }

    #[test]
    fn a_revision_is_told_by_its_name() {
        for target in ["podinfo", "a.b", "2048", &"a.".repeat(100)] {
            let name = revision_name(target, "bcdfghjk");
            assert!(is_revision_of(target, name.as_str()), "{name}");
        }
        let strangers = [
            "podinfo",
            "podinfo-api",
            "podinfo-api-bcdfghjk",
            "podinfo-bcdfghja",
            "bcdfghjk",
        ];
        for stranger in strangers {
            assert!(!is_revision_of("podinfo", stranger), "{stranger}");
        }
    }

    #[test]
    fn copies_are_told_apart_by_canary_original_and_content() {
        let long = |end: &str| "a".repeat(252) + end;
        let names = BTreeSet::from([
            copy_name("one", "app", "x"),
            copy_name("two", "app", "x"),
            copy_name("one", "app", "y"),
            copy_name("one", &long("b"), "x"),
            copy_name("one", &long("c"), "x"),
        ]);
        assert_eq!(names.len(), 5);
        assert!(names.iter().all(|name| name.len() <= SUBDOMAIN));
    }

    #[test]
    fn a_route_is_named_after_service_and_port() {
        assert_eq!(route_name("podinfo", 9898), "sluice-podinfo-9898");
    }
}
