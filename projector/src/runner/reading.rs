//! What a runner has read of the log: facts, how far it is, which streams are held back.

use events::{
    envelope::RecordedEvent,
    ids::{Position, Revision},
    integration::Fact,
    store::{Damaged, Message},
    stored,
    stream::StreamName,
};

use super::{Mark, tenant_of};
use crate::{
    place::LastRead,
    store::{Parked, ParkedStreams},
};

/// A part of the log, for each view that is fed from it.
#[derive(Debug)]
pub struct Read {
    /// Where it begins.
    pub from: Position,
    /// Where it ends.
    pub through: Position,
    /// What is in it.
    pub facts: Vec<Fact>,
    /// The last event in it.
    pub last: Option<LastRead>,
    /// Streams that are parked from now on.
    pub parked: Vec<Parked>,
    /// Streams whose events are in it because they are parked no more.
    pub unparked: Vec<StreamName>,
}

/// What was read and is not written yet.
pub(super) struct Reading {
    /// The names of the views that it is for.
    views: String,
    read: Read,
    events: u64,
    /// Every parked stream.
    pub(super) known: ParkedStreams,
}

impl Reading {
    pub(super) fn from(position: Position, views: String, known: ParkedStreams) -> Self {
        Self { views, read: empty(position), events: 0, known }
    }

    /// How far it is.
    pub(super) fn mark(&self) -> Mark {
        Mark { position: self.read.through, events: self.events }
    }

    pub(super) fn facts(&self) -> &[Fact] {
        &self.read.facts
    }

    /// Forgets the facts, which were taken, and keeps the rest.
    pub(super) fn forget_facts(&mut self) {
        self.read.facts.clear();
    }

    /// What was read since the last time.
    pub(super) fn finish(&mut self) -> Read {
        let next = empty(self.read.through);
        std::mem::replace(&mut self.read, next)
    }

    /// Takes what the log says next; answers whether it is any part of it, and not that there is no more.
    pub(super) fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Events(recorded) => {
                recorded.iter().for_each(|event| self.take_event(event));
                self.read.last = recorded.last().map(LastRead::of);
            }
            Message::Damaged(damaged) => self.take_damaged(&damaged),
            Message::Checkpoint(through) => self.read.through = through,
            Message::CaughtUp => return false,
        }
        true
    }

    fn take_event(&mut self, event: &RecordedEvent) {
        self.read.through = event.position;
        self.events += 1;
        // What comes behind an event that cannot be read is held back with it.
        if self.known.contains_key(&event.stream) {
            return;
        }
        match stored::integration_fact(event) {
            Ok(fact) => self.read.facts.push(fact),
            Err(cause) => self.park(event.stream.clone(), event.revision, &cause),
        }
    }

    fn take_damaged(&mut self, damaged: &Damaged) {
        self.read.through = damaged.position;
        self.events += 1;
        if !self.known.contains_key(&damaged.stream) {
            self.park(damaged.stream.clone(), damaged.revision, damaged);
        }
    }

    fn park(&mut self, stream: StreamName, revision: Revision, cause: &(dyn std::error::Error + 'static)) {
        let views = &self.views;
        tracing::error!(%views, %stream, %revision, cause, "a stream is parked at an event that this release cannot read");
        self.known.insert(stream.clone(), revision);
        self.read.parked.push(Parked { tenant: tenant_of(&stream), stream, revision });
    }
}

fn empty(at: Position) -> Read {
    Read { from: at, through: at, facts: Vec::new(), last: None, parked: Vec::new(), unparked: Vec::new() }
}
