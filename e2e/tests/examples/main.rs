//! What is in `examples/` is taken by those that it is for: each manifest by a real API server with the tool's own kinds, values by
//! the charts, rules and scripts by the programs that read them. Nothing of it runs here.
//!
//! `cargo test -p e2e --test examples -- charts` tries out one part. Arguments are those of `cargo test`.

#![allow(
    clippy::indexing_slicing,
    reason = "a value that is not there is null, and fails what looks at it"
)]

mod agree;
mod charts;
mod files;
mod health;
mod order;
mod preflight;
mod rules;
mod taken;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use e2e::build::{self, ExamplesTools, Programs, Tools};
use e2e::cluster::Bare;
use e2e::helm::Helm;
use e2e::runner::{self, Story};
use e2e::story;
use serde_json::json;

/// An API server that knows the kinds of all tools, and the programs beside it.
struct Stage {
    bare: Bare,
    kubectl: PathBuf,
    sluice: PathBuf,
    tools: ExamplesTools,
}

impl Stage {
    async fn start((tools, programs, examples): (Tools, Programs, ExamplesTools)) -> Result<Self> {
        let bare = Bare::start(&tools).await?;
        for folder in &examples.crds {
            bare.define(folder).await?;
        }
        let stage = Self {
            bare,
            kubectl: tools.kubectl,
            sluice: programs.sluice,
            tools: examples,
        };
        let manifests = files::manifests(&stage.kubectl)?;
        let namespaces: BTreeSet<_> = manifests
            .iter()
            .filter_map(|manifest| manifest.text("/metadata/namespace"))
            .collect();
        for name in namespaces {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            stage.bare.apply(&namespace.to_string()).await?;
        }
        Ok(stage)
    }

    fn helm(&self) -> Helm {
        Helm::new(&self.tools.helm)
    }

    /// The chart that is published under a name.
    fn chart(&self, name: &str) -> PathBuf {
        match name {
            "sluice" => e2e::helm::chart(),
            "cilium" => self.tools.cilium.join(name),
            _ => self.tools.istio.join(name),
        }
    }
}

const STORIES: &[Story<Stage>] = &[
    story!(taken::each_manifest_is),
    story!(taken::a_wrong_field_is_not),
    story!(charts::take_the_values),
    story!(charts::refuse_what_is_wrong),
    story!(charts::make_the_ports_that_are_scraped),
    story!(rules::fire_and_are_silent),
    story!(health::of_an_application),
    story!(agree::copies_are_equal),
    story!(agree::versions_are_those_tried_out),
    story!(agree::cilium_is_taken_over_as_it_was_installed),
    story!(order::of_argo_cds_waves),
    story!(order::of_what_flux_waits_for),
    story!(agree::expressions_are_those_of_the_docs),
    story!(agree::the_operators_collector_is_made_of_the_configuration),
    story!(preflight::finds_nothing_wrong_below_ambient, alone: true),
];

fn main() -> ExitCode {
    let prepare = || {
        let (tools, programs) = build::prepare()?;
        Ok((tools, programs, build::examples()?))
    };
    runner::main(
        STORIES,
        prepare,
        Stage::start,
        async |_: &Stage| Ok(()),
        |_| Ok(()),
    )
}

/// The folder of the examples.
fn examples() -> PathBuf {
    e2e::paths::workspace().join("examples")
}

/// A path below it, as people call it.
fn called(path: &Path) -> String {
    let short = path.strip_prefix(examples()).unwrap_or(path);
    short.display().to_string()
}
