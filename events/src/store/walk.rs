//! A walk over the log through the port, page by page, up to where the log ended when the walk began. What is damaged is
//! told in its place, and the walk goes on behind it.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Damaged, Direction, Error, EventStore};
use crate::{
    envelope::RecordedEvent,
    ids::Position,
    stream::{Kind, StreamName},
};

/// How many events are looked at at once: icons, of up to 512 KiB each, may come in a row.
const PAGE: usize = 250;
/// How many streams are looked at at once.
const LOOKS_MAX: usize = 32;

/// An event, or that it is damaged.
pub type Read = Result<RecordedEvent, Damaged>;

/// A walk.
#[derive(Debug)]
pub struct Walk<'a> {
    store: &'a dyn EventStore,
    kinds: &'a [Kind],
    passed: Position,
    head: Position,
    is_over: bool,
}

impl<'a> Walk<'a> {
    /// Begins one over events of these kinds, up to the head as it is known now.
    #[must_use]
    pub fn new(store: &'a dyn EventStore, kinds: &'a [Kind]) -> Self {
        let head = *store.head().borrow();
        Self { store, kinds, passed: Position::START, head, is_over: head == Position::START }
    }

    /// Where the log ended when the walk began.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// Everything up to here was looked at.
    #[must_use]
    pub fn passed(&self) -> Position {
        self.passed.min(self.head)
    }

    /// What comes next, perhaps nothing of interest; `None` when everything was looked at.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn next(&mut self) -> Result<Option<Vec<Read>>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let (reads, through) = match self.store.read_all(self.passed, self.kinds, PAGE).await {
            Ok(page) => {
                self.is_over = page.is_last;
                (page.events.into_iter().map(Ok).collect(), page.through)
            }
            Err(Error::Damaged(damaged)) => {
                let position = damaged.position;
                (vec![Err(damaged)], position)
            }
            Err(error) => return Err(error),
        };
        self.passed = through;
        self.is_over |= through >= self.head;
        let mut reads: Vec<Read> = reads;
        reads.retain(|read| position_of(read) <= self.head);
        Ok(Some(reads))
    }
}

fn position_of(read: &Read) -> Position {
    match read {
        Ok(event) => event.position,
        Err(damaged) => damaged.position,
    }
}

/// The first event that each of some streams shows from one of its ends; they are asked for many at once.
pub(crate) async fn look_at(
    store: &Arc<dyn EventStore>,
    streams: &[StreamName],
    direction: Direction,
) -> Result<Vec<(StreamName, Result<Option<RecordedEvent>, Error>)>, Error> {
    let look = |stream: &StreamName| {
        let (store, stream) = (Arc::clone(store), stream.clone());
        async move {
            let read = store.read_stream(&stream, direction, 1).await;
            (stream, read.map(|events| events.into_iter().next()))
        }
    };
    let mut looked = Vec::with_capacity(streams.len());
    for streams in streams.chunks(LOOKS_MAX) {
        let mut looks: JoinSet<_> = streams.iter().map(look).collect();
        while let Some(look) = looks.join_next().await {
            looked.push(look.map_err(|error| Error::Unavailable(error.into()))?);
        }
    }
    Ok(looked)
}
