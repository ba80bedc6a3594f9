//! Reading no faster than is wished.

use std::{num::NonZeroU32, time::Duration, vec};

use async_trait::async_trait;
use events::{
    envelope::RecordedEvent,
    store::{Error, Message, Subscription},
};
use tokio::time::{Instant, sleep_until};

/// A subscription that tells no more than so many events a second, and few at a time: for as long as a whole page of them is
/// worked on, others would have to wait.
#[derive(Debug)]
pub(super) struct Paced {
    subscription: Box<dyn Subscription>,
    rate: NonZeroU32,
    began: Instant,
    told: u64,
    /// What is here and was not told yet.
    rest: vec::IntoIter<RecordedEvent>,
}

impl Paced {
    pub(super) fn of(subscription: Box<dyn Subscription>, rate: NonZeroU32) -> Self {
        Self { subscription, rate, began: Instant::now(), told: 0, rest: Vec::new().into_iter() }
    }

    /// How many are told at a time: those of a hundredth of a second, or all that are overdue.
    fn few(&self) -> usize {
        let rate = u128::from(self.rate.get());
        let due = self.began.elapsed().as_micros() * rate / 1_000_000;
        let few = due.saturating_sub(self.told.into()).max(rate / 100).max(1);
        usize::try_from(few).unwrap_or(usize::MAX)
    }
}

#[async_trait]
impl Subscription for Paced {
    async fn next(&mut self) -> Result<Message, Error> {
        let due = Duration::from_secs_f64(self.told as f64 / f64::from(self.rate.get()));
        sleep_until(self.began + due).await;
        if self.rest.as_slice().is_empty() {
            match self.subscription.next().await? {
                Message::Events(events) => self.rest = events.into_iter(),
                message @ (Message::Damaged(_) | Message::Checkpoint(_) | Message::CaughtUp) => return Ok(message),
            }
        }
        let few = self.few();
        let events: Vec<_> = self.rest.by_ref().take(few).collect();
        self.told += events.len() as u64;
        Ok(Message::Events(events))
    }
}

#[cfg(test)]
mod tests;
