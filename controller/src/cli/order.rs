//! Orders for an emergency: `sluice promote`, `abort`, `retry`, `approve`, `suspend` and `resume`.
//!
//! Each is one field of the Canary, which Git may hold as well. What is written is bound to the revision that was
//! looked at, and to the Canary as it was then.

mod plan;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use kube::api::{Patch, PatchParams};
use sluice_crds::labels;

use super::place::Place;
use crate::render::snapshot::read_snapshot;
use plan::{Stored, Write};

pub(super) use plan::Verb;

/// What to order.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The Canary, as NAMESPACE/NAME; without a namespace in that of the kubeconfig's context.
    canary: String,

    /// The revision that is meant: nothing is done if it is not the one that the order would be about.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,

    /// Say what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What to stop or let go on.
#[derive(Clone, Debug, clap::Args)]
pub struct WholeArgs {
    /// The Canary, as NAMESPACE/NAME; without a namespace in that of the kubeconfig's context.
    canary: String,

    /// Say what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl WholeArgs {
    /// The same of an order that is about no revision.
    pub(super) fn of_all(&self) -> Args {
        Args {
            canary: self.canary.clone(),
            revision: None,
            dry_run: self.dry_run,
        }
    }
}

/// The Canary may change between a look and the write: then it is looked at again.
const LOOKS: usize = 3;

/// Says what will be done, does it, and says how to undo it.
pub(super) async fn run(verb: Verb, args: &Args) -> anyhow::Result<()> {
    let place = Place::named(&args.canary).await?;
    for _ in 0..LOOKS {
        let write = look(&place, verb, args).await?;
        if args.dry_run {
            let patch = serde_json::to_string_pretty(&write.patch)?;
            return super::print(&format!("{}\nNothing is written: {patch}\n", write.does));
        }
        let params = PatchParams {
            field_manager: Some(labels::CLI_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&write.patch);
        match place.canaries().patch(&place.name, &params, &patch).await {
            Ok(_) => return super::print(&write.text()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error).context("the Canary was not written"),
        }
    }
    bail!("the Canary changes all the time: nothing was written, try again")
}

async fn look(place: &Place, verb: Verb, args: &Args) -> anyhow::Result<Write> {
    let canary = place.canary().await?;
    let snapshots = place.snapshots().await?;
    let read = snapshots.iter().filter_map(read_snapshot);
    let records: BTreeMap<_, _> = read
        .map(|snapshot| (snapshot.revision.to_string(), snapshot.record))
        .collect();
    let stored = Stored {
        canary: &canary,
        records: &records,
    };
    Ok(plan::plan(verb, &stored, args.revision.as_deref())?)
}
