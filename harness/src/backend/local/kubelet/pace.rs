//! How often something is asked that is not ready yet: at first so fast that nobody waits for us, then ever more slowly, so
//! that a hundred pods that start at once are not held up by being asked.

use std::time::Duration;

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(100);

/// The pauses from one question to the next: about a tenth of the time that has passed.
pub struct Pace(Duration);

impl Pace {
    pub fn from(first: Duration) -> Self {
        Self(first)
    }

    pub async fn pause(&mut self) {
        tokio::time::sleep(self.next()).await; // pacing
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 11 / 10).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_it_takes_the_less_often_it_is_asked() {
        let mut pace = Pace::from(Duration::from_millis(5));
        let pauses: Vec<_> = std::iter::repeat_with(|| pace.next()).take(60).collect();
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[59]), (Duration::from_millis(5), LONGEST));
        let in_a_second = pauses.iter().scan(Duration::ZERO, |sum, pause| {
            *sum += *pause;
            (*sum < Duration::from_secs(1)).then_some(())
        });
        assert!((20..40).contains(&in_a_second.count()), "{pauses:?}");
    }
}
