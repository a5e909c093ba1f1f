//! Where arrivals meet idle users. An arrival that finds no idle user waits in line, and that is the system's doing:
//! every user is waiting for its answer.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

/// An arrival on its way to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub number: u64,
    pub due: Instant,
    /// When the scheduler handed it out.
    pub handed: Instant,
    /// It found all users busy.
    pub waited: bool,
}

#[derive(Default)]
pub struct Slots {
    inner: Mutex<Inner>,
    /// Told whenever a turn ends.
    ended: Notify,
}

#[derive(Default)]
struct Inner {
    /// The last one idle is the first one busy, so that few connections are kept warm and reused.
    idle: Vec<oneshot::Sender<Turn>>,
    line: VecDeque<Turn>,
    under_way: u64,
}

impl Slots {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Gives a turn to an idle user, or puts it in line.
    pub fn hand_out(&self, number: u64, due: Instant, handed: Instant) {
        let mut inner = self.lock();
        let mut turn = Turn { number, due, handed, waited: false };
        while let Some(user) = inner.idle.pop() {
            match user.send(turn) {
                Ok(()) => {
                    inner.under_way += 1;
                    return;
                }
                Err(back) => turn = back,
            }
        }
        inner.line.push_back(Turn { waited: true, ..turn });
    }

    /// The next turn for the user that asks; waits for it.
    pub async fn take(&self) -> Turn {
        loop {
            let given = {
                let mut inner = self.lock();
                if let Some(turn) = inner.line.pop_front() {
                    inner.under_way += 1;
                    return turn;
                }
                let (user, given) = oneshot::channel();
                inner.idle.push(user);
                given
            };
            if let Ok(turn) = given.await {
                return turn;
            }
        }
    }

    /// A turn without an arrival: a user of a closed loop begins.
    pub fn begin(&self) {
        self.lock().under_way += 1;
    }

    pub fn end(&self) {
        let mut inner = self.lock();
        inner.under_way = inner.under_way.saturating_sub(1);
        drop(inner);
        self.ended.notify_one();
    }

    /// Takes turns out of the line that were due longer than `patience` ago.
    pub fn give_up(&self, now: Instant, patience: Duration) -> Vec<Turn> {
        let mut inner = self.lock();
        let late = |turn: &Turn| now.saturating_duration_since(turn.due) >= patience;
        let count = inner.line.iter().take_while(|turn| late(turn)).count();
        inner.line.drain(..count).collect()
    }

    pub fn under_way(&self) -> u64 {
        self.lock().under_way
    }

    /// Nothing is under way and nothing waits.
    pub fn quiet(&self) -> bool {
        let inner = self.lock();
        inner.under_way == 0 && inner.line.is_empty()
    }

    /// A turn ended since this was last awaited, or ends.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn an_idle_user_gets_the_turn_at_once() {
        let slots = Arc::new(Slots::default());
        let user = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take().await }
        });
        tokio::task::yield_now().await;
        let now = Instant::now();
        slots.hand_out(4, now, now);
        let turn = user.await.expect("taken");
        assert_eq!((turn.number, turn.waited, slots.under_way()), (4, false, 1));
        slots.end();
        assert!(slots.quiet());
    }

    #[tokio::test]
    async fn without_an_idle_user_turns_wait_in_order() {
        let slots = Slots::default();
        let now = Instant::now();
        (0..3).for_each(|number| slots.hand_out(number, now, now));
        assert!(!slots.quiet());
        for number in 0..3 {
            let turn = slots.take().await;
            assert_eq!((turn.number, turn.waited), (number, true));
        }
        assert_eq!(slots.under_way(), 3);
    }

    #[tokio::test]
    async fn a_user_that_went_away_loses_no_turn() {
        let slots = Arc::new(Slots::default());
        let gone = tokio::time::timeout(Duration::ZERO, slots.take()).await;
        assert!(gone.is_err());
        let now = Instant::now();
        slots.hand_out(1, now, now);
        assert_eq!(slots.take().await.number, 1);
    }

    #[test]
    fn patience_ends_from_the_time_a_turn_was_due() {
        let slots = Slots::default();
        let start = Instant::now();
        for number in 0..3 {
            slots.hand_out(number, start + SECOND * number as u32, start + SECOND * 2);
        }
        let numbers = |now| slots.give_up(now, SECOND * 5).iter().map(|turn| turn.number).collect::<Vec<_>>();
        assert!(numbers(start + SECOND * 4).is_empty());
        assert_eq!(numbers(start + SECOND * 6), [0, 1]);
        assert_eq!(numbers(start + SECOND * 7), [2]);
        assert!(slots.quiet());
    }
}
