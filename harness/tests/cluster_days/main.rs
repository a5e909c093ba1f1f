//! What must not go wrong on a real cluster: the real program, kind or k3d, and a bad day.
//!
//! Runs on the clusters that `MESHQUAKE_BACKENDS` names, one test at a time, and is reported as ignored elsewhere, with
//! the reason. Every test leaves the cluster as it found it.

#[path = "../support/scenario.rs"]
#[expect(dead_code, reason = "this suite runs none of the repository's scenarios by name")]
mod scenario;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tiers.rs"]
mod tiers;
#[path = "../support/until.rs"]
mod until;

// The cluster as a test sees it, and the program in it.
mod site;
mod under_way;

// Metrics where the API server lets nobody through to pods.
mod forwarded;

// Load from pods of the cluster.
mod inside;

// Worlds that cannot come up: what they say, and what is left.
mod ill;

// What local cannot run, and what no cluster has.
mod wide;

// Ended or killed in each phase of a world and a run; somebody heals.
mod killed;

// Clusters of others: named, looked at, never made or removed.
mod foreign;

// A cluster that is only half made.
mod made;

// The bench: what it takes away, and what it makes beside it.
mod measured;

// A Prometheus in the cluster, asked as well.
mod watched;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use libtest_mimic::{Arguments, Trial};
use site::Site;

type Test = (&'static str, fn(&Site));

const TESTS: &[Test] = &[
    ("an_image_that_does_not_exist", ill::an_image_that_does_not_exist),
    ("an_app_that_crashes", ill::an_app_that_crashes),
    ("a_quota_that_is_exceeded", ill::a_quota_that_is_exceeded),
    ("a_policy_that_refuses", ill::a_policy_that_refuses),
    ("somebody_elses_namespace", ill::somebody_elses_namespace),
    ("a_world_that_is_up_already", ill::a_world_that_is_up_already),
    ("what_only_a_cluster_can_run", wide::what_only_a_cluster_can_run),
    ("a_kind_that_the_cluster_does_not_have", wide::a_kind_that_the_cluster_does_not_have),
    ("ctrl_c_on_the_way_up", killed::ctrl_c_on_the_way_up),
    ("killed_on_the_way_up", killed::killed_on_the_way_up),
    ("ctrl_c_in_warm_up", killed::ctrl_c_in_warm_up),
    ("killed_in_warm_up", killed::killed_in_warm_up),
    ("ctrl_c_in_a_fault", killed::ctrl_c_in_a_fault),
    ("killed_in_a_fault", killed::killed_in_a_fault),
    ("killed_on_the_way_down", killed::killed_on_the_way_down),
    ("no_api_server_for_ten_seconds", killed::no_api_server_for_ten_seconds),
    ("a_context_is_named_and_never_guessed", foreign::a_context_is_named_and_never_guessed),
    ("what_looks_like_production_is_left_alone", foreign::what_looks_like_production_is_left_alone),
    ("a_run_on_a_cluster_of_somebody_elses", foreign::a_run_on_a_cluster_of_somebody_elses),
    ("another_revision_of_istio", foreign::another_revision_of_istio),
    ("no_istio_at_all", foreign::no_istio_at_all),
    ("ctrl_c_while_the_cluster_is_made", made::ctrl_c_while_the_cluster_is_made),
    ("killed_while_the_cluster_is_made", made::killed_while_the_cluster_is_made),
    ("a_cluster_on_which_a_world_is_up_stays", measured::a_cluster_on_which_a_world_is_up_stays),
    ("ctrl_c_while_a_cluster_is_made_by_hand", measured::ctrl_c_while_a_cluster_is_made_by_hand),
    ("killed_while_a_cluster_is_made_by_hand", measured::killed_while_a_cluster_is_made_by_hand),
    ("load_in_a_namespace_with_injection", inside::load_in_a_namespace_with_injection),
    ("load_on_a_strangers_world", inside::load_on_a_strangers_world),
    ("a_load_worker_that_dies", inside::a_load_worker_that_dies),
    ("a_second_opinion", watched::a_second_opinion),
    ("no_second_opinion", watched::no_second_opinion),
    ("no_way_through_to_pods", forwarded::no_way_through_to_pods),
];

/// These want the Prometheus of `kind/addons/`.
const ADDON: &[&str] = &["a_second_opinion"];

fn main() {
    let mut arguments = Arguments::from_args();
    // There is one cluster.
    arguments.test_threads = Some(1);
    let asked = tiers::backends();
    let clusters = tiers::BACKENDS.into_iter().filter(|backend| *backend != "local");
    let trials = clusters.flat_map(|backend| {
        if !asked.contains(&backend) {
            let name = format!("{backend} (skipped: MESHQUAKE_BACKENDS does not name it)");
            return vec![Trial::test(name, || Ok(())).with_ignored_flag(true)];
        }
        let missing = if arguments.list { None } else { tiers::missing(backend) };
        let missing_to = |name: &str| match &missing {
            None if ADDON.contains(&name) && !arguments.list => watched::missing(backend),
            missing => missing.clone(),
        };
        TESTS.iter().map(|test| trial(backend, *test, missing_to(test.0).as_deref())).collect()
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn trial(backend: &'static str, (name, test): Test, missing: Option<&str>) -> Trial {
    match missing {
        None => Trial::test(format!("{backend}::{name}"), move || {
            let _alone = support::under_load();
            let site = Site::new(backend);
            let ended = catch_unwind(AssertUnwindSafe(|| test(&site)));
            ended.map_err(|panic| {
                site.clear();
                resume_unwind(panic)
            })
        }),
        Some(why) => {
            let name = format!("{backend}::{name} (skipped: {why})");
            Trial::test(name, || Ok(())).with_ignored_flag(true)
        }
    }
}
