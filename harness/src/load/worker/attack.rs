//! The only file that knows how to run goose. Its users are our slots: each takes one turn after the other.
//!
//! Goose decides neither when nor what: its own schedule, metrics, logs, controllers and signal handler are off.

use std::future::pending;
use std::sync::Arc;

use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionFunction};
use goose::{GooseAttack, GooseError};

use super::Shared;
use super::execute::{Execution, execute};
use crate::load::plan::Mode;
use crate::load::schedule;

/// Runs until the process ends, or goose gives up.
pub async fn run(shared: Arc<Shared>) -> Result<(), GooseError> {
    let users = shared.plan.slots().to_string();
    let configuration = GooseConfiguration::parse_args_default(&[
        "--host",
        &shared.plan.base,
        "--users",
        &users,
        // All at once: goose would start one user a second.
        "--increase-rate",
        "1000000",
        "--no-telnet",
        "--no-metrics",
        "--no-transaction-metrics",
        "--no-scenario-metrics",
        "--no-print-metrics",
        "--no-error-summary",
        "--quiet",
    ])?;
    // It asks nobody, as ours replaces it; but it would not be made where no authorities are.
    let client = goose::client::GooseClientBuilder::new().without_cookies().accept_invalid_certs(true);
    let scenario = Scenario::new("slots")
        .register_transaction(Transaction::new(enter(Arc::clone(&shared))).set_on_start())
        .register_transaction(Transaction::new(take_a_turn(shared)));
    // One client for all: building one for each user takes milliseconds, and ours replaces it anyway.
    let attack = GooseAttack::initialize_with_config(configuration)?
        .set_client_builder_without_cookies(client)?
        .register_scenario(scenario);
    attack.execute().await.map(drop)
}

/// A user is there: it gets our client and waits for the start.
fn enter(shared: Arc<Shared>) -> TransactionFunction {
    Arc::new(move |user: &mut GooseUser| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            user.client = shared.client.clone();
            shared.entered();
            shared.started().await;
            Ok(())
        })
    })
}

/// One journey, from its arrival to its last answer. Never fails for goose: what went wrong is in our own record.
fn take_a_turn(shared: Arc<Shared>) -> TransactionFunction {
    Arc::new(move |user: &mut GooseUser| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (number, turn) = match shared.plan.mode {
                Mode::Open { .. } => {
                    let turn = shared.slots.take().await;
                    (turn.number, Some(turn))
                }
                Mode::Closed { users } => {
                    if shared.is_stopping() {
                        // Goose would ask again at once and for ever.
                        pending::<()>().await;
                    }
                    shared.slots.begin();
                    let share = shared.plan.share;
                    let me = user.weighted_users_index as u64 * u64::from(share.of) + u64::from(share.index);
                    (user.get_iterations() as u64 * u64::from(users) + me, None)
                }
            };
            let mut rng = schedule::stream(shared.plan.seed, number);
            let journey = schedule::choose(&shared.plan.journeys, &mut rng);
            execute(user, &shared, Execution { journey, turn, rng }).await;
            shared.slots.end();
            Ok(())
        })
    })
}
