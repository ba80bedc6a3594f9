//! The events that were committed last, for followers within the writing process: what has just been written need not be
//! read from the file again, once for each of them.
//!
//! Of streams that nothing is ever removed from only, so that what is here is what the file holds.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::super::Page;
use crate::{envelope::RecordedEvent, ids::Position, stream::Kind};

/// What is kept, at most: some seconds of hard work, so that only a follower that was away reads the file.
const EVENTS_MAX: usize = 4_096;
const BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// The last events.
#[derive(Debug)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    /// Everything after this position, up to `through`, is here.
    from: Position,
    through: Position,
    events: VecDeque<RecordedEvent>,
    bytes: usize,
}

fn size(event: &RecordedEvent) -> usize {
    event.data.len() + event.metadata.len()
}

impl Recent {
    /// Nothing yet; what is committed from here on will be kept.
    pub(super) fn new(head: Position) -> Self {
        Self(Mutex::new(Kept { from: head, through: head, events: VecDeque::new(), bytes: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether events of streams of this kind are kept.
    pub(super) fn keeps(kind: Kind) -> bool {
        kind.is_chained()
    }

    /// Adds what was committed, `through` its last position.
    pub(super) fn add(&self, events: Vec<RecordedEvent>, through: Position) {
        let mut kept = self.lock();
        kept.bytes += events.iter().map(size).sum::<usize>();
        kept.events.extend(events);
        kept.through = through;
        while kept.events.len() > EVENTS_MAX || kept.bytes > BYTES_MAX {
            let Some(gone) = kept.events.pop_front() else { break };
            kept.bytes -= size(&gone);
            kept.from = gone.position;
        }
    }

    /// Forgets everything: what follows `head` will be kept.
    pub(super) fn restart(&self, head: Position) {
        *self.lock() = Kept { from: head, through: head, events: VecDeque::new(), bytes: 0 };
    }

    /// The page after a position, up to the head; `None` when it is not all here.
    pub(super) fn page(&self, after: Position, kinds: &[Kind], max: usize, head: Position) -> Option<Page> {
        let kept = self.lock();
        if after < kept.from || head > kept.through || !kinds.iter().copied().all(Self::keeps) {
            return None;
        }
        let first = kept.events.partition_point(|event| event.position <= after);
        let here = kept.events.range(first..).take_while(|event| event.position <= head);
        let wanted = here.filter(|event| kinds.contains(&event.stream.kind()));
        let events: Vec<_> = wanted.take(max).cloned().collect();
        let is_last = events.len() < max;
        let through = events.last().filter(|_| !is_last).map_or(head, |last| last.position);
        Some(Page { events, through, is_last })
    }
}
