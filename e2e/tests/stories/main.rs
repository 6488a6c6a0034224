//! Stories on the real stack, a file each. They share one cluster; each has a namespace of its own.
//!
//! `cargo test -p e2e --test stories -- promote` runs one. Arguments are those of `cargo test`.

#![allow(clippy::expect_used, reason = "a failed expectation is a failed story")]

mod adopt_plan;
mod adoption;
mod api_outage;
mod approval;
mod around_waypoint;
mod backtest;
mod bad_input;
mod budget;
mod chart;
mod commands;
mod configuration;
mod conversation;
mod crash;
mod deletion;
mod destination_rule;
mod draining;
mod errors;
mod foreign_edit;
mod gamma;
mod git_sync;
mod guarded_metrics;
mod holdback;
mod idle;
mod incident;
mod late_waypoint;
mod latency;
mod layer4;
mod many_pushes;
mod many_rollouts;
mod metric_template;
mod metrics_outage;
mod names;
mod never_ready;
mod newer_template;
mod no_traffic;
mod no_waypoint;
mod optional_kinds;
mod orders;
mod others_routes;
mod policy;
mod ports;
mod preflight;
mod promote;
mod quota;
mod rebuilt;
mod removal;
mod replay;
mod revert;
mod rights;
mod scale;
mod sources;
mod status_lost;
mod stripped;
mod two_controllers;
mod uninstall;
mod unready_stable;
mod why;
mod writes;

use std::process::ExitCode;

use anyhow::Result;
use e2e::build::{self, Programs, Tools};
use e2e::runner::{self, Story};
use e2e::stage::Stage;
use e2e::story;

const STORIES: &[Story<Stage>] = &[
    story!(adopt_plan::what_it_names_is_what_changes),
    story!(adoption::in_mid_rolling_update),
    story!(adoption::with_an_autoscaler),
    story!(adoption::with_a_hand_going_on),
    story!(adoption::with_its_size_dropped_too_early),
    story!(adoption::with_its_size_in_git),
    story!(adoption::without_its_size_in_git),
    story!(approval::it_waits_until_its_image_is_approved),
    story!(around_waypoint::a_client_around_it_is_named_and_holds_the_rollout),
    story!(around_waypoint::in_strict_mode_only_what_serves_is_reached, alone: true),
    story!(api_outage::a_rollout_outlasts_a_minute_without_the_api_server, alone: true),
    story!(api_outage::refused_writes_change_nothing_but_the_time, alone: true),
    story!(backtest::a_steady_past_has_no_false_alarm_and_shows_a_regression),
    story!(bad_input::the_api_server_says_what_is_wrong),
    story!(bad_input::the_condition_says_what_is_wrong),
    story!(budget::a_release_stops_when_its_budget_is_spent, alone: true),
    story!(budget::of_a_service_that_nobody_calls_nothing_is_expected),
    story!(chart::installs_upgrades_and_leaves_everything_serving, alone: true),
    story!(commands::each_does_what_it_says),
    story!(configuration::a_new_text_passes_the_gates_and_goes_back_at_once),
    story!(configuration::a_stable_pod_that_restarts_keeps_its_text),
    story!(configuration::alone_it_waits_for_the_rollout_under_way),
    story!(conversation::kubectl_alone_tells_the_story),
    story!(crash::after_any_write_the_end_is_the_same, alone: true),
    story!(draining::long_answers_end_well),
    story!(deletion::after_a_rejection),
    story!(deletion::in_mid_rollout),
    story!(deletion::of_a_pod_template),
    story!(deletion::when_git_has_what_serves),
    story!(deletion::with_its_finalizer_forced_off),
    story!(errors::a_failing_version_is_rolled_back_and_stays_away, alone: true),
    story!(idle::fifty_canaries_ask_for_nothing, alone: true),
    story!(incident::what_hits_both_revisions_only_holds),
    story!(late_waypoint::what_it_still_asks_keeps_its_pods),
    story!(latency::a_slow_version_is_rolled_back, alone: true),
    story!(many_pushes::the_newest_serves_in_the_end),
    story!(metrics_outage::a_rollout_outlasts_a_metrics_outage, alone: true),
    story!(names::a_namesake_that_is_going_is_waited_for),
    story!(names::odd_ones_are_rolled_out),
    story!(never_ready::a_crash_loop_ends_at_the_deadline),
    story!(never_ready::a_missing_image_ends_at_the_deadline),
    story!(no_traffic::a_rollout_without_requests_holds),
    story!(orders::promotion_and_abort_bind_to_a_revision),
    story!(orders::suspension_stops_every_write),
    story!(newer_template::of_three_at_once_the_last_one_serves),
    story!(newer_template::the_newest_starts_anew),
    story!(policy::two_follow_one_policy),
    story!(ports::both_ports_carry_the_weights, alone: true),
    story!(preflight::what_is_broken_is_named, alone: true),
    story!(promote::a_route_five_points_off_is_noticed, alone: true),
    story!(promote::through_envoy_without_a_failed_request, alone: true),
    story!(quota::pods_that_nobody_takes),
    story!(quota::writes_that_are_refused),
    story!(rebuilt::what_was_promoted_serves_and_the_newer_is_judged),
    story!(removal::in_every_order),
    story!(removal::with_its_namespace),
    story!(revert::to_a_revision_older_than_the_window),
    story!(replay::rollouts_are_decided_again_to_the_last_bit),
    story!(revert::under_load),
    story!(revert::without_traffic_and_without_metrics, alone: true),
    story!(scale::by_an_autoscaler),
    story!(scale::by_hand_between_and_in_rollouts),
    story!(scale::to_nothing_and_back),
    story!(status_lost::a_rejection_stays, alone: true),
    story!(status_lost::at_every_step_no_traffic_moves, alone: true),
    story!(stripped::what_has_no_labels_is_known_all_the_same),
    story!(two_controllers::whatever_becomes_of_one_the_other_goes_on, alone: true),
    story!(metric_template::judges_by_its_own_counters),
    story!(sources::cilium_hubble_by_a_stand_in_exporter),
    story!(sources::istio_sidecar_by_a_stand_in_exporter),
    story!(layer4::cilium_drops_by_a_stand_in_exporter),
    story!(layer4::ztunnel_by_a_stand_in_exporter),
    story!(sources::otel_http_by_target_info_and_its_own_names),
    story!(sources::otel_http_pushed_by_an_sdk),
    story!(sources::otel_rpc_pushed_by_an_sdk),
    story!(sources::each_is_asked_once_a_scrape, alone: true),
    story!(destination_rule::settings_of_the_service_hold_for_revisions),
    story!(foreign_edit::a_person_is_put_back_and_named),
    story!(foreign_edit::a_program_that_fights_makes_no_storm),
    story!(git_sync::both_ends_of_a_rollout_are_told),
    story!(guarded_metrics::a_token_an_authority_and_a_tenant_open_it),
    story!(gamma::weights_count_once_it_accepted_the_route),
    story!(holdback::what_goes_bad_in_it_is_taken_back_to_warm_pods),
    story!(no_waypoint::adoption_waits_for_one),
    story!(no_waypoint::gone_in_mid_rollout_everything_stays),
    story!(optional_kinds::a_kind_that_comes_later_is_found, alone: true),
    story!(others_routes::a_route_left_serving_is_taken_up_when_one_programs_it),
    story!(others_routes::adoption_stops_by_name_until_it_is_alone),
    story!(others_routes::what_comes_later_is_told_and_takes_no_traffic),
    story!(unready_stable::an_order_brings_the_fix),
    story!(unready_stable::the_weights_stay_until_it_is_back),
    story!(uninstall::its_canaries_first, alone: true),
    story!(uninstall::the_controller_first, alone: true),
    story!(why::a_person_is_told_what_is_waited_for_and_what_rejected_it),
    story!(writes::a_weight_step_costs_two_writes_and_no_read, alone: true),
    // It leaves the most behind.
    story!(many_rollouts::two_hundred_are_asked_about_at_once, alone: true),
];

fn main() -> ExitCode {
    runner::main(
        STORIES,
        prepare,
        async |(tools, programs)| Stage::start(tools, &programs).await,
        async |stage| {
            stage.controller.alive().await?;
            stage.cluster.alive().await
        },
        |stage| {
            stage.all_closed()?;
            rights::are_the_least(stage)
        },
    )
}

/// A story finds its Helm built: in the sandbox there is no network.
fn prepare() -> Result<(Tools, Programs)> {
    let prepared = build::prepare()?;
    build::chart()?;
    Ok(prepared)
}
