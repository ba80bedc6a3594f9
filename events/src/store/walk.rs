//! A walk over the log through the port, page by page, up to where the log ended when the walk began. What is damaged is
//! told in its place, and the walk goes on behind it.

use super::{Damaged, Error, EventStore};
use crate::{envelope::RecordedEvent, ids::Position, stream::Kind};

/// How many events are looked at at once: icons, of up to 512 KiB each, may come in a row.
const PAGE: usize = 250;

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
