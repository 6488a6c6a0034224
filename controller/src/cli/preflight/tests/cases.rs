//! Each thing that may be wrong: how it is told, and that nothing else is.

mod list;

use std::collections::BTreeSet;

use super::*;
use list::CASES;

/// The healthy scene with an edit, and what becomes of one check. All others stay ok, but those in `also`.
pub(super) struct Case {
    check: &'static str,
    level: Level,
    words: &'static [&'static str],
    edit: &'static str,
    also: &'static [&'static str],
}

pub(super) const fn error(
    check: &'static str,
    words: &'static [&'static str],
    edit: &'static str,
) -> Case {
    Case {
        check,
        level: Level::Error,
        words,
        edit,
        also: &[],
    }
}

pub(super) const fn warning(
    check: &'static str,
    words: &'static [&'static str],
    edit: &'static str,
) -> Case {
    Case {
        level: Level::Warning,
        ..error(check, words, edit)
    }
}

pub(super) const fn ok(
    check: &'static str,
    words: &'static [&'static str],
    edit: &'static str,
) -> Case {
    Case {
        level: Level::Ok,
        ..error(check, words, edit)
    }
}

pub(super) const fn unknown(
    check: &'static str,
    words: &'static [&'static str],
    edit: &'static str,
) -> Case {
    Case {
        level: Level::CannotTell,
        ..error(check, words, edit)
    }
}

impl Case {
    const fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }
}

pub(super) fn check(case: &Case, report: &Report, hint: &str) {
    let items = items(report);
    let told = items.iter().any(|item| {
        item.check == case.check
            && item.level == case.level
            && case.words.iter().all(|word| item.message.contains(word))
    });
    assert!(
        told,
        "{:?} {} {:?} {hint}: {items:#?}",
        case.level, case.check, case.words
    );
    let others = items.iter().filter(|item| {
        item.level != Level::Ok && item.check != case.check && !case.also.contains(&item.check)
    });
    let others: Vec<_> = others.collect();
    assert!(others.is_empty(), "{} {hint}: {others:?}", case.check);
    if case.level == Level::Ok {
        let worse = items
            .iter()
            .find(|item| item.check == case.check && item.level != Level::Ok);
        assert!(worse.is_none(), "{hint}: {worse:?}");
    }
}

#[test]
fn each_fault_is_found_and_named_and_nothing_else_is() {
    for case in CASES {
        let mut scene = Scene::healthy();
        scene.edit(case.edit);
        check(case, &scene.report(), case.edit);
    }
}

#[test]
fn a_right_that_is_missing_is_named() {
    let case = error(
        "rights",
        &[
            "ServiceAccount sluice-system/sluice may not ",
            "patch pods",
            "kubectl apply -f deploy/sluice.yaml",
        ],
        "",
    );
    let mut scene = Scene::healthy();
    if let Some(Ok(rights)) = &mut scene.found.rights {
        for (right, allowed) in &mut rights.each {
            *allowed = right.to_string() != "patch pods";
        }
    }
    check(&case, &scene.report(), "");
}

#[test]
fn a_newer_definition_is_told_with_what_it_has() {
    let mut scene = Scene::healthy();
    let mut crds = scene.objects.iter_mut();
    let ours = crds
        .find(|one| one["metadata"]["name"] == "canaries.sluice.dev")
        .unwrap();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    ours.pointer_mut(spec).unwrap()["tomorrow"] = json!({"type": "string"});
    let case = warning(
        "sluice-crds",
        &["canaries.sluice.dev is newer than sluice", "spec.tomorrow"],
        "",
    );
    check(&case, &scene.report(), "");
}

/// A check without a case that breaks it could be dead.
#[test]
fn every_check_has_a_case_that_breaks_it() {
    let report = Scene::healthy().report();
    let all: BTreeSet<_> = items(&report).iter().map(|item| item.check).collect();
    let broken = CASES.iter().filter(|case| case.level > Level::CannotTell);
    let mut broken: BTreeSet<_> = broken.map(|case| case.check).collect();
    broken.insert("rights");
    assert_eq!(all, broken);
}
