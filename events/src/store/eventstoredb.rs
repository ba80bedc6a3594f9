//! The log on EventStoreDB or KurrentDB.
//!
//! The crate `eventstore` appends and removes; reading and following go through a small half of our own, since the
//! crate's reads wait 40 ms each on an idle connection and its subscriptions never come back from a clean end. Both
//! halves belong to one link, which a supervisor replaces when it is of no use any more.
//!
//! An append of several writes does them in order and stops at the first that fails. Whatever is not certain is sent
//! again, the same bytes with the same ids and the same expectation; what then stands in the stream decides.

use std::{io, sync::Arc};

use async_trait::async_trait;
use tokio::{runtime::Handle, sync::watch, task::JoinSet};

use self::{
    append::Writer, follow::Following, read::Reader, supervisor::Supervisor, target::Target, transport::Transport,
};
use super::{Appended, Direction, Error, EventStore, Health, Page, StreamWrite, Subscription, check_form};
use crate::{
    envelope::RecordedEvent,
    ids::Position,
    stream::{Kind, StreamName},
};

mod append;
mod calls;
mod event;
mod failure;
mod follow;
mod link;
mod position;
mod provider;
mod read;
mod session;
mod supervisor;
mod target;
mod transport;
mod wire;

/// Why the store cannot be used as it was configured.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The connection string is none.
    #[error("the connection string of the event store is not valid: {0}")]
    Url(String),
    /// A certificate or a key cannot be used.
    #[error("cannot use the certificates of the event store's connection string")]
    Tls(#[source] io::Error),
    /// Something else in this process has chosen a default for TLS, which the crate does not bear.
    #[error("another library has installed a default TLS provider: the event store must be opened before it")]
    CryptoProvider,
}

/// A store on a server. Its connections are closed when it and its subscriptions are dropped.
#[derive(Debug)]
pub struct EventStoreDb {
    supervisor: Arc<Supervisor>,
    reader: Reader,
    writer: Writer,
    runtime: Handle,
    _tasks: JoinSet<()>,
}

impl EventStoreDb {
    /// Takes a connection string (`esdb://…`, `esdb+discover://…`, or the same with `kurrentdb`) and begins to connect.
    /// Returns before there is a connection: [`EventStore::health`] tells, and the head is known from then on.
    ///
    /// # Errors
    /// See [`OpenError`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn open(url: &str) -> Result<Self, OpenError> {
        let target = Target::parse(url)?;
        let transport = Transport::new(&target)?;
        provider::claim()?;
        let mut tasks = JoinSet::new();
        let supervisor = Supervisor::start(target, transport, &mut tasks);
        tasks.spawn(follow::follow_head(Arc::clone(&supervisor)));
        let reader = Reader::new(Arc::clone(&supervisor));
        let writer = Writer::new(Arc::clone(&supervisor), reader.clone());
        Ok(Self { supervisor, reader, writer, runtime: Handle::current(), _tasks: tasks })
    }
}

#[async_trait]
impl EventStore for EventStoreDb {
    async fn append(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, Error> {
        check_form(&writes)?;
        let mut appended = Vec::with_capacity(writes.len());
        for write in &writes {
            appended.push(self.writer.write(write).await?);
        }
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.reader.read_stream(stream, direction, max).await
    }

    async fn read_all(&self, after: Position, kinds: &[Kind], max: usize) -> Result<Page, Error> {
        self.reader.read_all(after, kinds, max).await
    }

    fn subscribe(&self, after: Position, kinds: &[Kind]) -> Box<dyn Subscription> {
        let (supervisor, reader) = (Arc::clone(&self.supervisor), self.reader.clone());
        Box::new(Following::start(supervisor, reader, &self.runtime, after, kinds))
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.supervisor.head()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.supervisor.health()
    }

    fn is_atomic(&self) -> bool {
        false
    }

    fn is_sole_writer(&self) -> bool {
        false
    }
}
