use events::{
    envelope::{Digest, RecordedEvent, new_event_id},
    ids::Revision,
    stream::StreamName,
};

use super::*;

/// A log that says this, and then nothing any more.
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

fn events(positions: std::ops::RangeInclusive<u64>) -> Message {
    Message::Events(positions.map(event).collect())
}

fn told(message: &Message) -> String {
    match message {
        Message::Events(events) => format!("{:?}", events.iter().map(|event| event.position.get()).collect::<Vec<_>>()),
        Message::Damaged(damaged) => format!("damaged {}", damaged.position),
        Message::Checkpoint(through) => format!("through {through}"),
        Message::CaughtUp => "caught up".to_owned(),
    }
}

/// Everything that is told without waiting.
async fn all(bounded: &mut Bounded) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        tokio::select! {
            biased;
            next = bounded.next() => all.push(told(&next.expect("it never fails"))),
            () = std::future::ready(()) => return all,
        }
    }
}

#[tokio::test]
async fn nothing_behind_the_bound_is_told_and_everything_up_to_it() {
    let said =
        vec![events(1..=4), events(6..=9), Message::CaughtUp, Message::Checkpoint(Position::new(12)), events(14..=14)];
    let bound = watch::Sender::new(Position::new(7));
    let mut bounded = Bounded::of(Box::new(Said(said.into_iter())), bound.subscribe());
    assert_eq!(all(&mut bounded).await, ["[1, 2, 3, 4]", "[6, 7]", "caught up"]);
    assert_eq!(all(&mut bounded).await, [""; 0]);
    bound.send_replace(Position::new(8));
    assert_eq!(all(&mut bounded).await, ["[8]"]);
    bound.send_replace(Position::new(10));
    assert_eq!(all(&mut bounded).await, ["[9]", "through 10"], "that it has caught up is told once");
    bound.send_replace(Position::new(13));
    assert_eq!(all(&mut bounded).await, ["through 12", "through 13"]);
    bound.send_replace(Position::new(20));
    assert_eq!(all(&mut bounded).await, ["[14]"]);
}

#[tokio::test]
async fn whoever_may_read_nothing_has_caught_up() {
    let bound = watch::Sender::new(Position::START);
    let mut bounded = Bounded::of(Box::new(Said(vec![events(1..=2)].into_iter())), bound.subscribe());
    assert_eq!(all(&mut bounded).await, ["caught up"]);
}
