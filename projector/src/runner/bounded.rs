//! Reading no further than somebody else has come.

use async_trait::async_trait;
use events::{
    ids::Position,
    store::{Error, Message, Subscription},
};
use tokio::sync::watch;

/// A subscription that tells nothing that lies behind a bound, and that it has come to it.
#[derive(Debug)]
pub(super) struct Bounded {
    subscription: Box<dyn Subscription>,
    bound: watch::Receiver<Position>,
    /// What comes next, and lies behind the bound or was not looked at yet.
    next: Option<Message>,
    /// Everything up to here was told.
    told: Position,
    has_caught_up: bool,
}

impl Bounded {
    pub(super) fn of(subscription: Box<dyn Subscription>, bound: watch::Receiver<Position>) -> Self {
        Self { subscription, bound, next: None, told: Position::START, has_caught_up: false }
    }

    /// Takes what lies within the bound of what comes next.
    fn take(&mut self, bound: Position) -> Option<Message> {
        match self.next.take()? {
            Message::Events(mut events) => {
                let behind = events.split_off(events.partition_point(|event| event.position <= bound));
                self.next = (!behind.is_empty()).then_some(Message::Events(behind));
                (!events.is_empty()).then_some(Message::Events(events))
            }
            Message::Damaged(damaged) if damaged.position > bound => {
                self.next = Some(Message::Damaged(damaged));
                None
            }
            Message::Checkpoint(through) if through > bound => {
                self.next = Some(Message::Checkpoint(through));
                None
            }
            message @ (Message::Damaged(_) | Message::Checkpoint(_) | Message::CaughtUp) => Some(message),
        }
    }
}

#[async_trait]
impl Subscription for Bounded {
    async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if self.next.is_none() {
                self.next = Some(self.subscription.next().await?);
            }
            let bound = *self.bound.borrow_and_update();
            match self.take(bound) {
                // Told before, at a bound.
                Some(Message::CaughtUp) if self.has_caught_up => {}
                Some(message) => {
                    match &message {
                        Message::Events(events) => self.told = events.last().map_or(self.told, |last| last.position),
                        Message::Damaged(damaged) => self.told = damaged.position,
                        Message::Checkpoint(through) => self.told = *through,
                        Message::CaughtUp => self.has_caught_up = true,
                    }
                    return Ok(message);
                }
                None if self.told < bound => {
                    self.told = bound;
                    return Ok(Message::Checkpoint(bound));
                }
                None if !self.has_caught_up => {
                    self.has_caught_up = true;
                    return Ok(Message::CaughtUp);
                }
                None => {
                    if self.bound.changed().await.is_err() {
                        std::future::pending().await
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
