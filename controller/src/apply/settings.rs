//! A revision's copies of what users say about calls to their Service: written with its Service, kept
//! in step, removed with it.

use kube::ResourceExt as _;
use sluice_core::RevisionName;

use super::scene::EffectError;
use super::writer::Writer;
use crate::observe::Observed;
use crate::observe::labelled::revision_of;
use crate::parse::revisions::wanted_copies;
use crate::render::copies::{self, Setting};

/// Writes the copies that a revision lacks, and removes those that are too much.
pub(super) async fn copy(
    writer: &Writer,
    observed: &Observed,
    revision: &RevisionName,
) -> Result<(), EffectError> {
    let wanted = wanted_copies(observed, revision);
    for copy in &wanted {
        let mut live = observed.copies.iter();
        let live = live.find(|live| copies::same_object(live, copy));
        if live.is_none_or(|live| !copies::is_current(&live.1, &copy.1)) {
            let (kind, object) = copy;
            writer.apply(&kind.resource(), kind.kind(), object).await?;
        }
    }
    let is_wanted = |live: &Setting| wanted.iter().any(|copy| copies::same_object(live, copy));
    remove(writer, observed, revision, |live| !is_wanted(live)).await
}

/// Removes all copies of a revision.
pub(super) async fn sweep(
    writer: &Writer,
    observed: &Observed,
    revision: &RevisionName,
) -> Result<(), EffectError> {
    remove(writer, observed, revision, |_| true).await
}

async fn remove(
    writer: &Writer,
    observed: &Observed,
    revision: &RevisionName,
    which: impl Fn(&Setting) -> bool,
) -> Result<(), EffectError> {
    let own = |live: &&Setting| revision_of(live.1.labels()).as_ref() == Some(revision);
    for live in observed
        .copies
        .iter()
        .filter(own)
        .filter(|live| which(live))
    {
        let (kind, object) = live;
        writer
            .delete(
                &kind.resource(),
                kind.kind(),
                &object.name_any(),
                Some(&object.metadata),
            )
            .await?;
    }
    Ok(())
}
