//! The log: streams, the table of expected revisions, tombstones, `$maxCount`, and the file that it is kept in.
//!
//! A log without a directory is kept in memory. Nothing is ever taken out of it, as on a server that is not scavenged:
//! a tombstone and `$maxCount` hide events from who reads the stream, not from who reads the whole log.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use prost::bytes::Bytes;
use uuid::Uuid;

use self::file::LogFile;

mod file;

/// The type of what stands at the end of a stream that was removed for good.
pub const TOMBSTONE: &str = "$streamDeleted";
/// The revision of a tombstone.
pub const TOMBSTONE_REVISION: u64 = i64::MAX as u64;
/// What the names of streams of metadata begin with.
const METASTREAM: &str = "$$";

/// An event as it is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// What makes a repeat the same append.
    pub id: Uuid,
    /// `type` and `content-type`.
    pub metadata: HashMap<String, String>,
    /// The client's own.
    pub custom_metadata: Bytes,
    /// The client's own.
    pub data: Bytes,
}

/// An event as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where it begins in the file: commit and prepare position are the same, as for all that a client of today writes.
    pub position: u64,
    /// Its stream.
    pub stream: Arc<str>,
    /// Its place in the stream.
    pub revision: u64,
    /// What was proposed, with `created` added.
    pub proposed: Proposed,
}

impl Event {
    /// Its type.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.proposed.metadata.get("type").map_or("", String::as_str)
    }
}

/// What a write expects of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Any,
    /// That it has no events.
    NoStream,
    /// That it has some.
    StreamExists,
    /// The revision of its last event.
    Exact(u64),
}

/// How a write was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Written {
        /// The revision of its last event.
        revision: u64,
        /// The position of its last event.
        position: u64,
    },
    /// It had been done before.
    Idempotent {
        /// The revision of its last event.
        revision: u64,
    },
    /// The stream is elsewhere.
    WrongExpectedVersion {
        /// Where; `None` when it has no events.
        current: Option<u64>,
    },
    /// The stream was removed for good.
    StreamDeleted,
}

#[derive(Debug, Default)]
struct Stream {
    /// Where each revision stands in the log.
    events: Vec<usize>,
    is_deleted: bool,
    /// What its metadata says about how many events it shows.
    max_count: Option<u64>,
}

/// What a look at a stream finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// It was removed for good.
    Deleted,
    /// It has no events.
    NotFound,
    /// The revisions that it shows: the first and the last.
    Revisions(u64, u64),
}

/// All events, in the order of their positions.
#[derive(Debug)]
pub struct Log {
    events: Vec<Arc<Event>>,
    streams: HashMap<Arc<str>, Stream>,
    file: LogFile,
}

impl Log {
    /// Opens the log of a directory, or one in memory.
    ///
    /// # Errors
    /// When the file cannot be read or is not the peer's.
    pub fn open(directory: Option<&Path>) -> io::Result<Self> {
        let (file, entries) = LogFile::open(directory)?;
        let mut log = Self { events: Vec::new(), streams: HashMap::new(), file };
        entries.into_iter().flatten().for_each(|event| log.take(event));
        Ok(log)
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// An event by its place in the log.
    #[must_use]
    pub fn event(&self, at: usize) -> Option<&Arc<Event>> {
        self.events.get(at)
    }

    /// An event of a stream.
    #[must_use]
    pub fn event_of(&self, stream: &str, revision: u64) -> Option<&Arc<Event>> {
        let at = *self.streams.get(stream)?.events.get(usize::try_from(revision).ok()?)?;
        self.events.get(at)
    }

    /// The position that the next event will get.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.file.next_position()
    }

    /// How many events stand before this position, if a record begins there or will.
    #[must_use]
    pub fn index_of(&self, position: u64) -> Option<usize> {
        let at = self.events.partition_point(|event| event.position < position);
        let begins = self.events.get(at).map_or(self.end(), |event| event.position);
        (begins == position).then_some(at)
    }

    /// What a reader of a stream may see.
    #[must_use]
    pub fn find(&self, stream: &str) -> Found {
        if self.is_deleted(stream) {
            return Found::Deleted;
        }
        let Some(known) = self.streams.get(stream) else { return Found::NotFound };
        let n_events = known.events.len() as u64;
        if n_events == 0 {
            return Found::NotFound;
        }
        Found::Revisions(n_events.saturating_sub(known.max_count.unwrap_or(u64::MAX)), n_events - 1)
    }

    /// Writes events to a stream if it is where they expect it.
    ///
    /// # Errors
    /// When the file takes nothing: then nothing was written.
    pub fn append(&mut self, stream: &str, expected: Expected, proposed: Vec<Proposed>) -> io::Result<Answer> {
        let ids: Vec<_> = proposed.iter().map(|event| event.id).collect();
        if let Some(answer) = self.refuse(stream, expected, &ids) {
            return Ok(answer);
        }
        let first = self.streams.get(stream).map_or(0, |known| known.events.len() as u64);
        let name: Arc<str> = stream.into();
        let events = (first..).zip(proposed).map(|(revision, proposed)| (revision, created(proposed))).collect();
        let written = self.file.write(&name, events)?;
        let last = written.last().map(|event| (event.revision, event.position));
        written.into_iter().for_each(|event| self.take(event));
        Ok(last.map_or(Answer::Idempotent { revision: first }, |(revision, position)| Answer::Written {
            revision,
            position,
        }))
    }

    /// Removes a stream for good.
    ///
    /// # Errors
    /// When the file takes nothing.
    pub fn tombstone(&mut self, stream: &str, expected: Expected) -> io::Result<Answer> {
        if let Some(answer) = self.refuse(stream, expected, &[]) {
            return Ok(answer);
        }
        let metadata = HashMap::from([("type".to_owned(), TOMBSTONE.to_owned())]);
        let id = Uuid::from_u128(u128::from(self.end()) | 1 << 127);
        let proposed = Proposed { id, metadata, custom_metadata: Bytes::new(), data: Bytes::new() };
        let written = self.file.write(&stream.into(), vec![(TOMBSTONE_REVISION, created(proposed))])?;
        let position = written.last().map_or(0, |event| event.position);
        written.into_iter().for_each(|event| self.take(event));
        Ok(Answer::Written { revision: TOMBSTONE_REVISION, position })
    }

    /// Changes an event where it stands, as a fault of the server's disk or somebody with access to it might; answers
    /// whether it is there. The file keeps what was written.
    pub fn alter(&mut self, stream: &str, revision: u64, change: impl FnOnce(&mut Event)) -> bool {
        let known = self.streams.get(stream).zip(usize::try_from(revision).ok());
        let found = known.and_then(|(known, revision)| known.events.get(revision));
        let Some(event) = found.and_then(|at| self.events.get_mut(*at)) else { return false };
        change(Arc::make_mut(event));
        true
    }

    /// Shows only the last so many events of a stream, as its metadata may ask for.
    pub fn limit(&mut self, stream: &str, max_count: Option<u64>) {
        self.streams.entry(stream.into()).or_default().max_count = max_count;
    }

    fn is_deleted(&self, stream: &str) -> bool {
        let of = stream.strip_prefix(METASTREAM).unwrap_or(stream);
        [stream, of].iter().any(|name| self.streams.get(*name).is_some_and(|known| known.is_deleted))
    }

    /// The answer to a write that is not to be done; the table of expected revisions.
    fn refuse(&self, stream: &str, expected: Expected, ids: &[Uuid]) -> Option<Answer> {
        if self.is_deleted(stream) {
            return Some(Answer::StreamDeleted);
        }
        let n_events = self.streams.get(stream).map_or(0, |known| known.events.len() as u64);
        let wrong = Some(Answer::WrongExpectedVersion { current: n_events.checked_sub(1) });
        let next = match expected {
            Expected::StreamExists if n_events == 0 => return wrong,
            Expected::Any | Expected::StreamExists => return self.refuse_any(stream, ids, wrong),
            Expected::NoStream => 0,
            Expected::Exact(revision) => revision.saturating_add(1),
        };
        match next.cmp(&n_events) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => wrong,
            std::cmp::Ordering::Less => {
                let stands = |(revision, id): (u64, &Uuid)| {
                    self.event_of(stream, revision).is_some_and(|event| event.proposed.id == *id)
                };
                let is_repeat = !ids.is_empty() && (next..).zip(ids).all(stands);
                if is_repeat { Some(Answer::Idempotent { revision: next + ids.len() as u64 - 1 }) } else { wrong }
            }
        }
    }

    /// Without an expectation, a repeat is told by its ids alone: all of them stand in the stream, or it is none.
    fn refuse_any(&self, stream: &str, ids: &[Uuid], wrong: Option<Answer>) -> Option<Answer> {
        let known = self.streams.get(stream)?;
        let find = |id: &Uuid| known.events.iter().rposition(|at| self.events[*at].proposed.id == *id);
        find(ids.first()?)?;
        let last = ids.iter().map(find).try_fold(0, |_, found| found);
        last.map_or(wrong, |revision| Some(Answer::Idempotent { revision: revision as u64 }))
    }

    /// Takes an event that stands in the file.
    fn take(&mut self, event: Event) {
        let at = self.events.len();
        if let Some(of) = event.stream.strip_prefix(METASTREAM) {
            let parsed = serde_json::from_slice::<serde_json::Value>(&event.proposed.data).ok();
            let max_count = parsed.and_then(|metadata| metadata.get("$maxCount")?.as_u64());
            self.streams.entry(of.into()).or_default().max_count = max_count;
        }
        let stream = self.streams.entry(Arc::clone(&event.stream)).or_default();
        if event.revision == TOMBSTONE_REVISION {
            stream.is_deleted = true;
        } else {
            stream.events.push(at);
        }
        self.events.push(Arc::new(event));
    }
}

/// Adds when it was created, in ticks of 100 ns.
#[expect(clippy::disallowed_methods, reason = "the server's clock is what it stands for")]
fn created(mut proposed: Proposed) -> Proposed {
    let ticks = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() / 100;
    proposed.metadata.insert("created".to_owned(), ticks.to_string());
    proposed
}
