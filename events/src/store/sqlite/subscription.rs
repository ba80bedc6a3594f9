//! Following the file within the writing process: pages up to the head, then whatever moves it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    super::{Error, Message, Page, Subscription},
    gone,
    reader::Readers,
    reading::read_blocking,
    recent::Recent,
};
use crate::{ids::Position, stream::Kind};

const PAGE_EVENTS: usize = 1_000;

#[derive(Debug)]
pub(super) struct SqliteSubscription {
    readers: Arc<Readers>,
    recent: Arc<Recent>,
    head: watch::Receiver<Position>,
    kinds: Vec<Kind>,
    /// Everything up to here was looked at.
    position: Position,
    /// Everything up to here was told.
    told: Position,
    has_caught_up: bool,
    /// The page after `position`, which is being read while the one before it is worked on.
    ahead: Option<JoinHandle<Result<Page, Error>>>,
}

impl SqliteSubscription {
    pub(super) fn new(
        readers: Arc<Readers>,
        recent: Arc<Recent>,
        head: watch::Receiver<Position>,
        after: Position,
        kinds: &[Kind],
    ) -> Self {
        let (position, told, kinds) = (after, after, kinds.to_vec());
        Self { readers, recent, head, kinds, position, told, has_caught_up: false, ahead: None }
    }

    async fn page(&mut self, head: Position) -> Result<Page, Error> {
        if let Some(ahead) = self.ahead.take() {
            return ahead.await.unwrap_or_else(|error| Err(Error::Unavailable(error.into())));
        }
        if let Some(page) = self.recent.page(self.position, &self.kinds, PAGE_EVENTS, head) {
            return Ok(page);
        }
        read_blocking(Arc::clone(&self.readers), self.reading(head)).await
    }

    fn reading(&self, head: Position) -> impl FnOnce(&Readers) -> Result<Page, Error> + Send + use<> {
        let (after, kinds) = (self.position, self.kinds.clone());
        move |readers| readers.read_all(after, &kinds, PAGE_EVENTS, head)
    }

    /// Begins to read the next page if there is one already.
    fn read_ahead(&mut self, head: Position) {
        if self.position < head {
            let (readers, read) = (Arc::clone(&self.readers), self.reading(head));
            self.ahead = Some(tokio::task::spawn_blocking(move || read(&readers)));
        }
    }
}

#[async_trait]
impl Subscription for SqliteSubscription {
    async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if self.told < self.position {
                self.told = self.position;
                return Ok(Message::Checkpoint(self.position));
            }
            let head = *self.head.borrow_and_update();
            if self.position < head {
                let page = match self.page(head).await {
                    Err(Error::Damaged(damaged)) => {
                        (self.position, self.told) = (damaged.position, damaged.position);
                        return Ok(Message::Damaged(damaged));
                    }
                    page => page?,
                };
                self.position = page.through;
                self.read_ahead(head);
                if let Some(last) = page.events.last() {
                    self.told = last.position;
                    return Ok(Message::Events(page.events));
                }
            } else if !self.has_caught_up {
                self.has_caught_up = true;
                return Ok(Message::CaughtUp);
            } else {
                self.head.changed().await.map_err(|_| gone())?;
            }
        }
    }
}
