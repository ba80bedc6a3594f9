//! Following the file within the writing process: pages up to the head, then whatever moves it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    super::{Error, Message, Subscription},
    gone, read_blocking,
    reader::Readers,
};
use crate::{ids::Position, stream::Kind};

const PAGE: usize = 1_000;

#[derive(Debug)]
pub(super) struct SqliteSubscription {
    readers: Arc<Readers>,
    head: watch::Receiver<Position>,
    kinds: Vec<Kind>,
    /// Everything up to here was looked at.
    position: Position,
    /// Everything up to here was told.
    told: Position,
    has_caught_up: bool,
}

impl SqliteSubscription {
    pub(super) fn new(readers: Arc<Readers>, head: watch::Receiver<Position>, after: Position, kinds: &[Kind]) -> Self {
        Self { readers, head, kinds: kinds.to_vec(), position: after, told: after, has_caught_up: false }
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
                let (after, kinds) = (self.position, self.kinds.clone());
                let readers = Arc::clone(&self.readers);
                let page = read_blocking(readers, move |readers| readers.read_all(after, &kinds, PAGE, head)).await?;
                self.position = page.through;
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
