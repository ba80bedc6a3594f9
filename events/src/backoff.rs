//! How long to wait before something is tried again.

use std::time::Duration;

/// Pauses: twice as long each time, up to a longest one, and never the same as others have.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    /// From a first pause up to a longest one.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, tries: 0 }
    }

    /// The next pause: between half of what is due and all of it.
    pub fn pause(&mut self) -> Duration {
        let due = self.first.saturating_mul(1 << self.tries.min(16)).min(self.most);
        self.tries += 1;
        let mut byte = [0];
        // Without randomness all wait alike.
        let _ = getrandom::fill(&mut byte);
        due.mul_f64(0.5 + f64::from(byte[0]) / 510.0)
    }

    /// Begins anew, since it worked.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Whether nothing has failed since it began.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.tries == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for _ in 0..2 {
            assert!(backoff.is_fresh());
            for due in [100, 200, 350, 350] {
                let pause = backoff.pause().as_millis();
                assert!((due / 2..=due).contains(&pause), "{pause} of {due}");
            }
            assert!(!backoff.is_fresh());
            backoff.reset();
        }
    }
}
