//! A log that says what a test wants.

use async_trait::async_trait;
use events::{
    envelope::{Digest, RecordedEvent, new_event_id},
    ids::{Position, Revision},
    store::{Error, Message, Subscription},
    stream::StreamName,
};

#[derive(Debug)]
struct Said(std::vec::IntoIter<Message>);

#[async_trait]
impl Subscription for Said {
    async fn next(&mut self) -> Result<Message, Error> {
        match self.0.next() {
            Some(message) => Ok(message),
            None => std::future::pending().await,
        }
    }
}

/// A log that says this, and then nothing any more.
pub(super) fn said(messages: Vec<Message>) -> Box<dyn Subscription> {
    Box::new(Said(messages.into_iter()))
}

fn event(position: u64) -> RecordedEvent {
    RecordedEvent {
        position: Position::new(position),
        stream: StreamName::parse("integration-acme:0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b").expect("a name"),
        revision: Revision::new(position),
        id: new_event_id(),
        event_type: String::new(),
        at: serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").expect("a time"),
        data: Vec::new().into(),
        metadata: Vec::new().into(),
        hash: Digest::ZERO,
    }
}

pub(super) fn events(positions: std::ops::RangeInclusive<u64>) -> Message {
    Message::Events(positions.map(event).collect())
}

pub(super) fn told(message: &Message) -> String {
    match message {
        Message::Events(events) => format!("{:?}", events.iter().map(|event| event.position.get()).collect::<Vec<_>>()),
        Message::Damaged(damaged) => format!("damaged {}", damaged.position),
        Message::Checkpoint(through) => format!("through {through}"),
        Message::CaughtUp => "caught up".to_owned(),
    }
}
