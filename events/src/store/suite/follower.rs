//! A subscription that checks of each message what must hold of every one.

use super::world::World;
use crate::{
    envelope::RecordedEvent,
    ids::Position,
    store::{Message, Subscription},
    stream::Kind,
};

/// Follows the log and keeps this case's events.
#[derive(Debug)]
pub(super) struct Follower {
    world: World,
    subscription: Box<dyn Subscription>,
    kinds: Vec<Kind>,
    /// Everything up to here was told.
    told: Position,
    has_caught_up: bool,
}

impl Follower {
    pub(super) fn new(world: World, after: Position, kinds: &[Kind]) -> Self {
        let subscription = world.store.subscribe(after, kinds);
        Self { world, subscription, kinds: kinds.to_vec(), told: after, has_caught_up: false }
    }

    pub(super) fn told(&self) -> Position {
        self.told
    }

    /// The next message, whosever events it brings.
    pub(super) async fn next(&mut self) -> Message {
        let message = self.subscription.next().await.expect("the store is there");
        self.take(&message);
        message
    }

    /// Checks a message that came.
    fn take(&mut self, message: &Message) {
        match message {
            Message::Events(events) => {
                assert!(!events.is_empty(), "at least one event is told");
                for event in events {
                    assert!(event.position > self.told, "each event once and in order");
                    assert!(self.kinds.contains(&event.stream.kind()), "of the kinds asked for only");
                    assert!(!event.event_type.starts_with('$'), "nothing of the store's own");
                    self.told = event.position;
                }
            }
            Message::Damaged(damaged) => panic!("nothing is damaged: {damaged}"),
            Message::Checkpoint(position) => {
                assert!(*position >= self.told, "a checkpoint never goes back");
                self.told = *position;
            }
            Message::CaughtUp => {
                assert!(!self.has_caught_up, "told once");
                self.has_caught_up = true;
            }
        }
    }

    fn own(&self, message: Message) -> Vec<RecordedEvent> {
        match message {
            Message::Events(events) => events.into_iter().filter(|event| self.world.is_mine(event)).collect(),
            Message::Damaged(_) | Message::Checkpoint(_) | Message::CaughtUp => Vec::new(),
        }
    }

    /// This case's next events, until there are so many.
    pub(super) async fn events(&mut self, n: usize) -> Vec<RecordedEvent> {
        let mut events = Vec::new();
        while events.len() < n {
            let message = self.next().await;
            events.extend(self.own(message));
        }
        events
    }

    /// This case's next events, until everything up to `position` was told.
    pub(super) async fn events_through(&mut self, position: Position) -> Vec<RecordedEvent> {
        let mut events = Vec::new();
        while self.told < position {
            let message = self.next().await;
            events.extend(self.own(message));
        }
        events
    }

    /// This case's next events, until it has caught up with the log.
    pub(super) async fn caught_up(&mut self) -> Vec<RecordedEvent> {
        let mut events = Vec::new();
        while !self.has_caught_up {
            let message = self.next().await;
            events.extend(self.own(message));
        }
        events
    }

    /// Asks for the next message and gives up when it is not there at once. Answers this case's events of it.
    pub(super) async fn glance(&mut self) -> Vec<RecordedEvent> {
        let message = tokio::select! {
            biased;
            message = self.subscription.next() => Some(message.expect("the store is there")),
            () = tokio::task::yield_now() => None,
        };
        let Some(message) = message else { return Vec::new() };
        self.take(&message);
        self.own(message)
    }
}
