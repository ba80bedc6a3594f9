//! What the log says next, its events as facts: read and decoded ahead of who folds them, on other threads where there are
//! some, and told in the order of the log.

use std::{collections::VecDeque, future::pending, panic::resume_unwind};

use events::{
    envelope::RecordedEvent,
    ids::{Position, Revision},
    integration::Fact,
    store::{Damaged, Error, Message, Subscription},
    stored,
    stream::StreamName,
};
use tokio::task::{JoinHandle, spawn_blocking};

/// How many messages are ahead of who folds them, at most.
const AHEAD: usize = 4;

/// An event, and what it says if this release can read it.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) position: Position,
    pub(super) stream: StreamName,
    pub(super) revision: Revision,
    pub(super) fact: Result<Fact, stored::Error>,
}

impl Decoded {
    pub(super) fn of(event: RecordedEvent) -> Self {
        let fact = stored::integration_fact(&event);
        Self { position: event.position, stream: event.stream, revision: event.revision, fact }
    }
}

/// What a subscription tells, decoded.
#[derive(Debug)]
pub(super) enum Told {
    Events(Vec<Decoded>),
    Damaged(Damaged),
    Checkpoint(Position),
    CaughtUp,
}

impl Told {
    pub(super) fn of(message: Message) -> Self {
        match message {
            Message::Events(recorded) => Self::Events(recorded.into_iter().map(Decoded::of).collect()),
            Message::Damaged(damaged) => Self::Damaged(damaged),
            Message::Checkpoint(through) => Self::Checkpoint(through),
            Message::CaughtUp => Self::CaughtUp,
        }
    }
}

/// Messages on their way, up to the one that says that there is no more for now.
pub(super) struct Ahead<'a> {
    subscription: &'a mut dyn Subscription,
    on_their_way: VecDeque<JoinHandle<Told>>,
    is_last: bool,
}

impl<'a> Ahead<'a> {
    pub(super) fn of(subscription: &'a mut dyn Subscription) -> Self {
        Self { subscription, on_their_way: VecDeque::new(), is_last: false }
    }

    /// The next one.
    ///
    /// # Panics
    /// After [`Told::CaughtUp`].
    pub(super) async fn next(&mut self) -> Result<Told, Error> {
        loop {
            let has_room = self.on_their_way.len() < AHEAD && !self.is_last;
            let first = async {
                match self.on_their_way.front_mut() {
                    Some(first) => match first.await {
                        Ok(told) => told,
                        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                        // The runtime has ended, and everything with it.
                        Err(_) => pending().await,
                    },
                    None => pending().await,
                }
            };
            tokio::select! {
                // Whoever folds has other threads decode meanwhile.
                biased;
                message = self.subscription.next(), if has_room => {
                    let message = message?;
                    self.is_last = matches!(message, Message::CaughtUp);
                    self.on_their_way.push_back(spawn_blocking(|| Told::of(message)));
                }
                told = first => {
                    self.on_their_way.pop_front();
                    return Ok(told);
                }
            }
        }
    }
}
