//! Stories of delivery: manifests come from a Git server, and a real tool follows it. They share one
//! stage; each has a namespace and a repository of its own.
//!
//! `cargo test -p e2e --test gitops -- promote` runs one. Arguments are those of `cargo test`.

#![allow(clippy::expect_used, reason = "a failed expectation is a failed story")]

mod argo;
mod flux;

use std::process::ExitCode;

use e2e::delivery::Delivery;
use e2e::delivery::argo::Apply;
use e2e::runner::{self, Story};
use e2e::story;

const STORIES: &[Story<Delivery>] = &[
    // It uninstalls Sluice.
    story!(flux::adoption::by_what_the_condition_says, alone: true),
    story!(flux::adoption::by_a_person_who_is_late),
    story!(flux::health::by_an_expression),
    story!(flux::helm_release::client_side),
    story!(flux::helm_release::moved_to_the_server_side),
    story!(flux::helm_release::promoted_by_values),
    story!(flux::kstatus::reads_every_phase_right),
    story!(flux::orders::given_in_git),
    story!(flux::orders::approved_in_git),
    story!(flux::orders::suspended_in_git),
    story!(flux::rebuild::of_a_namespace_lost_in_mid_rollout),
    // Those that play alone come last, in their order, and nothing comes after the second one.
    story!(argo::life::from_adoption_to_uninstall, alone: true),
    story!(flux::rebuild::of_a_cluster_emptied_in_mid_rollout, alone: true),
    story!(flux::removal::of_the_canary_alone),
    story!(flux::removal::of_all),
    story!(flux::rollouts::a_bad_image_is_healthy_but_rejected),
    story!(flux::rollouts::an_edit_by_hand_ends_where_git_is),
    story!(flux::rollouts::a_route_edited_by_hand_is_put_back),
    story!(argo::orders::approved_in_git, by Apply::ClientSide),
    story!(argo::orders::approved_in_git, by Apply::ServerSide),
    story!(argo::orders::in_git_and_by_hand, by Apply::ClientSide),
    story!(argo::orders::in_git_and_by_hand, by Apply::ServerSide),
    story!(argo::removal::by_prune, by Apply::ClientSide),
    story!(argo::removal::by_prune, by Apply::ServerSide),
    story!(argo::rollout::pushed_and_reverted, by Apply::ClientSide),
    story!(argo::rollout::pushed_and_reverted, by Apply::ServerSide),
];

fn main() -> ExitCode {
    runner::main(
        STORIES,
        Delivery::prepare,
        Delivery::start,
        Delivery::alive,
        |delivery| delivery.stage.all_closed(),
    )
}
