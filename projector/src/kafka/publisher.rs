//! A session's work: takes up what was held back, follows the log, and writes batch after batch, each made while the one
//! before it is on its way.

use std::{future::Future, pin::Pin, sync::Arc};

use events::{
    envelope::{Metadata, RecordedEvent},
    ids::{Position, Revision},
    integration::Fact,
    store::{Damaged, EventStore, Message, read_until_damage, walk::Walk},
    stored,
    stream::{Kind, StreamName},
};
use tokio::sync::watch;

use super::{
    Error, State, Status,
    checkpoint::Reached,
    cloud_event::Told,
    record::Record,
    session::{Outcome, Session},
    states::{States, Unknown},
    traced::Traced,
};
use crate::place::{LastRead, is_passed, since};

/// Records that a batch waits for no more of.
const BATCH_RECORDS: usize = 4_000;
/// Bytes likewise.
const BATCH_BYTES: usize = 8 * 1_024 * 1_024;
/// Positions without anything to publish after which the checkpoint moves all the same.
const IDLE_POSITIONS: u64 = 1_000;

/// Why a session has ended.
pub(super) enum Ended {
    /// It was told to; with what became of the last batch.
    Stopped(Result<(), Error>),
    Failed(Error),
}

pub(super) struct Publisher<'a> {
    events: Arc<dyn EventStore>,
    session: Session,
    status: &'a watch::Sender<Status>,
    traced: Traced,
    states: States,
    /// Records that are not on their way yet.
    records: Vec<Record>,
    bytes: usize,
    /// What is reached with them.
    reached: Reached,
    /// What is reached by the last transaction that was committed.
    committed: Position,
    on_its_way: Option<(Position, Outcome)>,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(
        events: Arc<dyn EventStore>,
        session: Session,
        status: &'a watch::Sender<Status>,
        traced: Traced,
    ) -> Self {
        let states = States::new(Arc::clone(&events));
        let reached = session.checkpoints.reached.clone().unwrap_or_default();
        let committed = reached.position;
        let (records, bytes, on_its_way) = (Vec::new(), 0, None);
        Self { events, session, status, traced, states, records, bytes, reached, committed, on_its_way }
    }

    /// Publishes until something fails or `stop` is done.
    pub(super) async fn run(mut self, mut stop: Pin<&mut (impl Future<Output = ()> + Send)>) -> Ended {
        tokio::select! {
            result = self.publish() => match result {
                Ok(never) => match never {},
                Err(error) => return Ended::Failed(error),
            },
            () = &mut stop => {}
        }
        Ended::Stopped(self.finish().await)
    }

    /// Waits for what is on its way: it may come to be, or be refused because another publisher has taken over.
    async fn finish(&mut self) -> Result<(), Error> {
        if self.on_its_way.is_some() {
            let outcome = outcome_of(&mut self.on_its_way).await;
            self.settle(outcome)?;
        }
        Ok(())
    }

    async fn publish(&mut self) -> Result<std::convert::Infallible, Error> {
        self.find_place().await?;
        self.check_topics().await?;
        self.take_up().await?;
        self.tell();
        tracing::info!(position = self.reached.position.get(), "publishing to Kafka");
        let start = self.reached.position;
        let since = since(self.reached.event.as_ref(), start);
        let mut subscription = self.events.subscribe(since, &[Kind::Integration]);
        loop {
            if self.on_its_way.is_none() && self.is_due() {
                self.send();
            }
            tokio::select! {
                biased;
                outcome = outcome_of(&mut self.on_its_way) => self.settle(outcome)?,
                message = subscription.next(), if self.has_room() => match message? {
                    message if is_passed(&message, start) => self.check_passed(&message)?,
                    Message::Events(page) => self.take(&page).await?,
                    Message::Damaged(damaged) => self.take_damaged(&damaged),
                    Message::Checkpoint(through) => self.reached.position = through,
                    Message::CaughtUp => {}
                },
            }
            self.tell();
        }
    }

    /// Finds the last published event in the log again. It may stand at another position: then the log was imported into
    /// another store, in its order, and goes on there.
    async fn find_place(&mut self) -> Result<(), Error> {
        let Some(last) = &mut self.reached.event else { return Ok(()) };
        let found = last.find(&*self.events).await?.ok_or_else(|| another_log(last))?;
        if found != last.position {
            last.position = found;
            self.reached.position = found;
            self.committed = found;
        }
        Ok(())
    }

    /// Refuses an event where there was none when it was passed.
    fn check_passed(&self, message: &Message) -> Result<(), Error> {
        match (message, &self.reached.event) {
            (Message::Events(_), Some(last)) => Err(another_log(last)),
            _ => Ok(()),
        }
    }

    /// Refuses topics without anything to which something was published: they were made anew since.
    async fn check_topics(&self) -> Result<(), Error> {
        let unwritten = &self.session.checkpoints.unwritten;
        if unwritten.is_empty() || !self.has_published().await? { Ok(()) } else { Err(Error::lost(unwritten, "empty")) }
    }

    /// Whether the log has something up to the checkpoint that is not held back. Where something was published, that is
    /// among the first.
    async fn has_published(&self) -> Result<bool, Error> {
        let (reached, held) = (self.reached.position, &self.session.checkpoints.held);
        let is_held = |event: &RecordedEvent| held.get(&event.stream).is_some_and(|from| event.revision >= *from);
        let mut walk = Walk::new(&*self.events, &[Kind::Integration]);
        while walk.passed() < reached
            && let Some(page) = walk.next().await?
        {
            if page.iter().flatten().any(|event| event.position <= reached && !is_held(event)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Publishes what was held back and can be read now.
    async fn take_up(&mut self) -> Result<(), Error> {
        for (stream, revision) in self.session.checkpoints.held.clone() {
            let (held, damaged) = read_until_damage(&*self.events, &stream, revision).await?;
            if held.first().is_none_or(|first| readable(first).is_err()) {
                continue;
            }
            self.session.checkpoints.held.remove(&stream);
            self.push(self.session.keys.held_back(&stream, None));
            // What comes behind the checkpoint comes by the subscription.
            let reached = self.reached.clone();
            let passed = held.partition_point(|event| event.position <= reached.position);
            self.take(&held[..passed]).await?;
            self.reached = reached;
            if let Some(damaged) = damaged.filter(|damaged| damaged.position <= self.reached.position) {
                self.hold(&damaged.stream, damaged.revision, &damaged);
            }
            tracing::info!(%stream, %revision, "published what was held back of a stream");
            self.send();
            let outcome = outcome_of(&mut self.on_its_way).await;
            self.settle(outcome)?;
        }
        Ok(())
    }

    async fn take(&mut self, page: &[RecordedEvent]) -> Result<(), Error> {
        self.states.prepare(page).await;
        for recorded in page {
            if !self.session.checkpoints.held.contains_key(&recorded.stream) {
                match readable(recorded) {
                    Ok((fact, metadata)) => self.take_fact(recorded, &fact, &metadata).await?,
                    Err(cause) => self.hold(&recorded.stream, recorded.revision, &cause),
                }
            }
            self.reached = Reached { position: recorded.position, event: Some(LastRead::of(recorded)) };
        }
        Ok(())
    }

    async fn take_fact(&mut self, recorded: &RecordedEvent, fact: &Fact, metadata: &Metadata) -> Result<(), Error> {
        let after = match self.states.after(&recorded.stream, fact).await {
            Ok(after) => after,
            Err(Unknown::Log(error)) => return Err(error.into()),
            Err(Unknown::Unreadable(cause)) => {
                self.hold(&recorded.stream, recorded.revision, &*cause);
                return Ok(());
            }
        };
        let told = Told { recorded, fact, metadata };
        for record in told.records(after.as_deref()).into_iter().flatten() {
            self.push(record);
        }
        self.traced.take(metadata);
        Ok(())
    }

    fn take_damaged(&mut self, damaged: &Damaged) {
        if !self.session.checkpoints.held.contains_key(&damaged.stream) {
            self.hold(&damaged.stream, damaged.revision, damaged);
        }
        self.reached.position = damaged.position;
    }

    /// Holds a stream back from a revision on, which is written down with the position.
    fn hold(&mut self, stream: &StreamName, revision: Revision, cause: &(dyn std::error::Error + 'static)) {
        tracing::error!(%stream, %revision, cause, "a stream is not published from an event on that this release cannot read");
        self.session.checkpoints.held.insert(stream.clone(), revision);
        self.push(self.session.keys.held_back(stream, Some(revision)));
    }

    fn push(&mut self, record: Record) {
        self.bytes += record.size();
        self.records.push(record);
    }

    fn has_room(&self) -> bool {
        self.records.len() < BATCH_RECORDS && self.bytes < BATCH_BYTES
    }

    fn is_due(&self) -> bool {
        let idle = self.reached.position.get().saturating_sub(self.committed.get());
        !self.records.is_empty() || idle >= IDLE_POSITIONS
    }

    fn send(&mut self) {
        let mut records = std::mem::take(&mut self.records);
        records.push(self.session.keys.reached(&self.reached));
        self.bytes = 0;
        self.traced.send();
        self.on_its_way = Some((self.reached.position, self.session.write(records)));
    }

    fn settle(&mut self, (reached, outcome): (Position, Result<(), Error>)) -> Result<(), Error> {
        self.on_its_way = None;
        outcome?;
        self.committed = reached;
        self.traced.settle();
        Ok(())
    }

    fn tell(&self) {
        let nothing_waits = self.records.is_empty() && self.on_its_way.is_none();
        let published = if nothing_waits { self.reached.position } else { self.committed };
        let now = Status { state: State::Publishing, published, held_back: self.session.checkpoints.held.len() };
        self.status.send_if_modified(|status| std::mem::replace(status, now) != now);
    }
}

/// What a transaction that is on its way reaches, and how it ended; never, where there is none.
async fn outcome_of(on_its_way: &mut Option<(Position, Outcome)>) -> (Position, Result<(), Error>) {
    match on_its_way {
        Some((reached, outcome)) => (*reached, outcome.await.unwrap_or(Err(Error::Thread))),
        None => std::future::pending().await,
    }
}

fn another_log(last: &LastRead) -> Error {
    Error::AnotherLog { stream: last.stream.to_string(), revision: last.revision.get() }
}

fn readable(recorded: &RecordedEvent) -> Result<(Fact, Metadata), stored::Error> {
    Ok((stored::integration_fact(recorded)?, stored::metadata(recorded)?))
}
