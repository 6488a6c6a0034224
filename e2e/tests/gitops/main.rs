//! Stories of delivery: manifests come from a Git server, and a real tool follows it. They share one
//! stage; each has a namespace and a repository of its own.
//!
//! `cargo test -p e2e --test gitops -- promote` runs one. Arguments are those of `cargo test`.

mod argo;

use std::process::ExitCode;

use e2e::delivery::Delivery;
use e2e::runner::{self, Story};
use e2e::story;

const STORIES: &[Story<Delivery>] = &[
    story!(argo::orders::in_git_and_by_hand),
    story!(argo::removal::by_prune),
    story!(argo::rollout::client_side),
    story!(argo::rollout::server_side),
];

fn main() -> ExitCode {
    runner::main(
        STORIES,
        Delivery::prepare,
        Delivery::start,
        Delivery::alive,
        |_| Ok(()),
    )
}
