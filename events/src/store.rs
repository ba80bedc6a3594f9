//! The port to the log, and its contract. Adapters: [`sqlite`], the embedded one, and `eventstoredb`.
//!
//! # Contract
//! Where two stores could differ, every adapter does as follows; `store::suite` holds each to it.
//!
//! - **Append** takes writes to several streams. Each write says which revision its stream must be at, or that the
//!   stream is to be tombstoned. A store that can ([`EventStore::is_atomic`]) does all of them or none; any other does
//!   them in order, stopping at the first that fails, so that what was done is a prefix. What is no append at all (a
//!   write without events, a stream that is named twice, text that is not UTF-8, a type that begins with `$`) is refused
//!   whole as [`Error::Unavailable`], before anything is written, and is nobody else's trouble.
//! - **Repeats.** A write whose events all stand in the stream already, in this order, from the revision after the
//!   expected one, with the same ids, succeeds again and answers where they stand, at any later time; it writes nothing,
//!   whatever bytes it brings. Ids are compared within the stream only, and only behind the expected revision: the same
//!   ids under another one are no repeat, so that nobody may send them where the stream stands now. When some of its
//!   events stand there and some do not, it is no repeat but [`Error::WrongExpectedRevision`]. In a stream that keeps its
//!   last event only, a repeat is known while its last event is that one.
//! - **Tombstones.** A tombstone expects nothing, may name a stream that never was, and succeeds twice. It removes every
//!   event of the stream for good. An append to a tombstoned stream is [`Error::Tombstoned`], whatever it expects, and a
//!   repeat of events that stood there too; so is reading it. The rest of the log is as it was: positions are never
//!   used again. Whoever reads or follows the whole log sees nothing of it either, where its
//!   [kind](crate::stream::Kind::is_removable) is one whose streams are removed; of another he may, for a while.
//! - **Kinds** decide what a stream keeps: those that [keep their last event only](crate::stream::Kind::keeps_last_only)
//!   forget the older ones with the append of the next.
//! - **Reading.** Readers and subscribers never see events whose type begins with `$`. Reading a stream that never was
//!   answers no events; so does reading from beyond its end. A read that meets a tombstone, or the next event of a stream
//!   that keeps its last only, answers what was before or what is after, never the nothing between. Events come as they
//!   were appended, byte for byte, and only once they are durable. Reading all goes forward in the order of positions,
//!   which is the order of commits and, within one append, of its writes: what a reader has passed never changes but by
//!   tombstones and by last-only streams.
//! - **Damage.** An event whose row is not even one stops no reader of others. Reading its stream is
//!   [`Error::Damaged`] once it is met; reading all ends before it, and is that error when it comes next; a subscription
//!   tells it in its place and goes on behind it.
//! - **Subscriptions** begin after a position, deliver every event of the kinds asked for once and in order (but those
//!   that a tombstone or the next of a last-only stream removed before the subscription came there), tell checkpoints
//!   when they passed events of no interest, and tell once when they have caught up with the log.
//! - **The head** is at an append's position, or further, when the append is answered, and everything up to it can be
//!   read.

use std::{error::Error as StdError, fmt::Debug};

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    envelope::{NewEvent, RecordedEvent},
    ids::{Position, Revision},
    stream::{Kind, StreamName},
};

pub mod check;
#[cfg(feature = "eventstoredb")]
pub mod eventstoredb;
pub mod export;
pub mod import;
pub mod sqlite;
#[cfg(feature = "suite")]
pub mod suite;
pub mod walk;
pub mod wraps;

/// What the stream of a write must be at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedRevision {
    /// It has no events.
    NoStream,
    /// Its last event has this revision.
    Exact(Revision),
}

impl ExpectedRevision {
    /// The revision that the first event of such a write gets.
    #[must_use]
    pub fn next(self) -> Revision {
        match self {
            Self::NoStream => Revision::FIRST,
            Self::Exact(revision) => revision.next(),
        }
    }
}

/// What is to be done to one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamWrite {
    /// Append events, at least one.
    Append {
        /// The stream.
        stream: StreamName,
        /// What it must be at.
        expected: ExpectedRevision,
        /// The events, in order.
        events: Vec<NewEvent>,
    },
    /// Remove the stream for good.
    Tombstone {
        /// The stream.
        stream: StreamName,
    },
}

impl StreamWrite {
    /// The stream that is written to.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        match self {
            Self::Append { stream, .. } | Self::Tombstone { stream } => stream,
        }
    }
}

/// Where a write stands: that of its last event, or of its tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The revision of the last event.
    pub revision: Revision,
    /// The position of the last event.
    pub position: Position,
}

/// Which way a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From this revision on, it included.
    ForwardsFrom(Revision),
    /// From the last event back.
    BackwardsFromEnd,
}

/// A page of the whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events of the kinds asked for.
    pub events: Vec<RecordedEvent>,
    /// Everything up to here was looked at: the next page begins after it.
    pub through: Position,
    /// Whether the log ended here. A page that is full may not know that it did: then the next one is empty.
    pub is_last: bool,
}

/// An event that stands in the log and cannot be read as one: the store's own form of it is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("event {revision} of stream {stream}, at position {position} of the log, is damaged: {cause}")]
pub struct Damaged {
    /// Its position.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Its revision.
    pub revision: Revision,
    /// What is wrong with it.
    pub cause: String,
}

/// What a subscription tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Events, at least one, in order.
    Events(Vec<RecordedEvent>),
    /// The next event is damaged.
    Damaged(Damaged),
    /// Everything up to here was looked at, and nothing of it was of interest since the last event.
    Checkpoint(Position),
    /// Everything that was in the log has been delivered; what follows is new. Told once.
    CaughtUp,
}

/// A follower of the log.
#[async_trait]
pub trait Subscription: Send + Debug {
    /// What comes next; waits for it. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store is away: asking again goes on where it was.
    async fn next(&mut self) -> Result<Message, Error>;
}

/// Whether the store takes appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// The last append failed for a reason of the store's own, and none has worked since.
    Failing,
    /// It cannot tell any more what is durable: the process must end.
    Lost,
}

/// What lies below a failure of the store.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why the store did not do what it was asked for.
#[derive(Debug, Error)]
pub enum Error {
    /// The stream is at another revision. Nothing was written to it.
    #[error("stream {stream} is at another revision than expected")]
    WrongExpectedRevision {
        /// The stream.
        stream: StreamName,
        /// What it is at; `None` when it has no events.
        actual: Option<Revision>,
    },
    /// The stream was removed for good.
    #[error("stream {stream} is tombstoned")]
    Tombstoned {
        /// The stream.
        stream: StreamName,
    },
    /// The store is away, or refused for a reason of its own. Nothing was written.
    #[error("the event store is not available")]
    Unavailable(#[source] Cause),
    /// Whether it was written is not known. Sending the same again tells.
    #[error("the outcome of an append is not known")]
    OutcomeUnknown(#[source] Cause),
    /// An event cannot be read.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// What the store holds is not what it should be.
    #[error("the event store holds something that cannot be read")]
    Corrupt(#[source] Cause),
}

impl Error {
    /// Whether the same call may succeed later without anything else being done.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::OutcomeUnknown(_) => true,
            Self::WrongExpectedRevision { .. } | Self::Tombstoned { .. } | Self::Damaged(_) | Self::Corrupt(_) => false,
        }
    }
}

/// Refuses what no store is to be asked for; every adapter asks this first.
pub(crate) fn check_form(writes: &[StreamWrite]) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::Unavailable(why.into()));
    for (at, write) in writes.iter().enumerate() {
        if writes.iter().take(at).any(|other| other.stream() == write.stream()) {
            return refuse("an append names a stream twice");
        }
        let StreamWrite::Append { stream, events, .. } = write else { continue };
        if events.is_empty() {
            return refuse("a write has no events");
        }
        if events.iter().any(|event| event.event_type.starts_with('$')) {
            return refuse("types that begin with $ are the store's own");
        }
        let is_text = |event: &NewEvent| {
            let has_text = stream.kind().holds_bytes() || std::str::from_utf8(&event.data).is_ok();
            has_text && std::str::from_utf8(&event.metadata).is_ok()
        };
        if !events.iter().all(is_text) {
            return refuse("data or metadata of an event is not UTF-8");
        }
    }
    Ok(())
}

/// The events of a stream from a revision on, up to the first that is damaged, which is answered too.
///
/// # Errors
/// [`Error::Tombstoned`], [`Error::Unavailable`].
pub async fn read_until_damage(
    store: &dyn EventStore,
    stream: &StreamName,
    from: Revision,
) -> Result<(Vec<RecordedEvent>, Option<Damaged>), Error> {
    let direction = Direction::ForwardsFrom(from);
    match store.read_stream(stream, direction, usize::MAX).await {
        Err(Error::Damaged(damaged)) => {
            let before = usize::try_from(damaged.revision.get().saturating_sub(from.get())).unwrap_or(usize::MAX);
            let events = if before == 0 { Vec::new() } else { store.read_stream(stream, direction, before).await? };
            Ok((events, Some(damaged)))
        }
        events => Ok((events?, None)),
    }
}

/// The log.
#[async_trait]
pub trait EventStore: Send + Sync + Debug {
    /// Does the writes, and answers where each stands, in their order. Returns once they are durable.
    ///
    /// # Errors
    /// See [`enum@Error`].
    async fn append(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, Error>;

    /// Events of a stream: `max` of them, fewer only where the stream ends.
    ///
    /// # Errors
    /// [`Error::Tombstoned`], [`Error::Unavailable`], [`Error::Damaged`].
    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, Error>;

    /// A page of the whole log: at most `max` events are looked at, those of `kinds` are answered.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Damaged`].
    async fn read_all(&self, after: Position, kinds: &[Kind], max: usize) -> Result<Page, Error>;

    /// Follows the log.
    fn subscribe(&self, after: Position, kinds: &[Kind]) -> Box<dyn Subscription>;

    /// The position of the last event that is durable, as it moves.
    fn head(&self) -> watch::Receiver<Position>;

    /// Whether it takes appends, as that changes.
    fn health(&self) -> watch::Receiver<Health>;

    /// Whether an append of several writes does all or none.
    fn is_atomic(&self) -> bool;

    /// Whether nobody but this process appends: what it has folded from its own appends is then the log's state.
    fn is_sole_writer(&self) -> bool;
}
