//! What a process reads of the file, whether it writes it or follows another that does: up to a head, and no further.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::watch;

use super::{
    super::{Direction, Error, Health, Page, Subscription},
    gone,
    reader::Readers,
    recent::Recent,
    subscription::SqliteSubscription,
};
use crate::{
    envelope::RecordedEvent,
    ids::Position,
    stream::{Kind, StreamName},
};

/// The reading side of a store on the file.
#[derive(Debug)]
pub(super) struct Reading {
    readers: Arc<Readers>,
    recent: Arc<Recent>,
    pub(super) head: watch::Receiver<Position>,
    pub(super) health: watch::Receiver<Health>,
}

impl Reading {
    pub(super) fn new(
        path: PathBuf,
        recent: Arc<Recent>,
        head: watch::Receiver<Position>,
        health: watch::Receiver<Health>,
    ) -> Self {
        Self { readers: Arc::new(Readers::new(path)), recent, head, health }
    }

    /// Reads a stream, once what a commit beyond the head took away is shown to be gone.
    pub(super) async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let mut head = self.head.clone();
        loop {
            let (stream, shown) = (stream.clone(), *head.borrow_and_update());
            let read = move |readers: &Readers| readers.read_stream(&stream, direction, max, shown);
            if let Some(events) = read_blocking(Arc::clone(&self.readers), read).await? {
                return Ok(events);
            }
            head.changed().await.map_err(|_| gone())?;
        }
    }

    pub(super) async fn read_all(&self, after: Position, kinds: &[Kind], max: usize) -> Result<Page, Error> {
        let (kinds, head) = (kinds.to_vec(), *self.head.borrow());
        read_blocking(Arc::clone(&self.readers), move |readers| readers.read_all(after, &kinds, max, head)).await
    }

    pub(super) fn subscribe(&self, after: Position, kinds: &[Kind]) -> Box<dyn Subscription> {
        let (readers, recent) = (Arc::clone(&self.readers), Arc::clone(&self.recent));
        Box::new(SqliteSubscription::new(readers, recent, self.head.clone(), after, kinds))
    }
}

/// Reads on a thread that may wait for the disk.
pub(super) async fn read_blocking<T: Send + 'static>(
    readers: Arc<Readers>,
    read: impl FnOnce(&Readers) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let _place = readers.place().await;
    let readers = Arc::clone(&readers);
    tokio::task::spawn_blocking(move || read(&readers))
        .await
        .unwrap_or_else(|error| Err(Error::Unavailable(error.into())))
}
