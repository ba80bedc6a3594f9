//! A walk over the log through the port, page by page, up to where the log ended when the walk began. What is damaged is
//! told in its place, and the walk goes on behind it.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Damaged, Direction, Error, EventStore, Page};
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

/// A page of the whole log in which what is damaged has its place.
#[derive(Debug)]
pub struct Reads {
    /// The events of the kinds asked for; one that is damaged is alone.
    pub reads: Vec<Read>,
    /// Everything up to here was looked at: the next page begins after it.
    pub through: Position,
    /// Whether the log ended here.
    pub is_last: bool,
}

/// A page of the whole log like that of [`EventStore::read_all`], which goes on behind what is damaged.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Corrupt`].
pub async fn read_page(store: &dyn EventStore, after: Position, kinds: &[Kind], max: usize) -> Result<Reads, Error> {
    match store.read_all(after, kinds, max).await {
        Ok(Page { events, through, is_last }) => {
            Ok(Reads { reads: events.into_iter().map(Ok).collect(), through, is_last })
        }
        Err(Error::Damaged(damaged)) => {
            let through = damaged.position;
            Ok(Reads { reads: vec![Err(damaged)], through, is_last: false })
        }
        Err(error) => Err(error),
    }
}

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
        let Reads { mut reads, through, is_last } = read_page(self.store, self.passed, self.kinds, PAGE).await?;
        self.passed = through;
        self.is_over = is_last || through >= self.head;
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
