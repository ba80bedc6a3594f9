//! Judges the events of a log, which come in the order of positions, each by the end of its stream so far.

use std::{collections::HashMap, hash::BuildHasher as _};

use foldhash::fast::RandomState;

use super::{Finding, Seen, named_icon};
use crate::{
    envelope::{Digest, RecordedEvent},
    ids::Revision,
    store::Damaged,
    stream::{Kind, StreamName},
};

/// How many hashes one altered event may have had.
const HASHES_MAX: usize = 4;

/// A stream, as it is told from others: by a hash of its name that no two names share but by a miracle, so that names
/// need not stay in memory.
type Key = u128;

/// The last event of a stream.
#[derive(Debug)]
struct End {
    revision: u64,
    /// What its hash was when the next one was appended: what it says itself or, where it was altered, perhaps what its
    /// bytes hash to. Nothing where it cannot be read.
    hashes: Vec<Digest>,
}

/// What comes before an event.
enum Before {
    /// The event's hash covers one of these.
    Hashes(Vec<Digest>),
    /// It was lost.
    Unknown,
}

/// Looks at one event after another.
#[derive(Debug, Default)]
pub(super) struct Judge {
    hashers: [RandomState; 2],
    ends: HashMap<Key, End>,
    /// What the bytes of icons hash to that no integration has named yet.
    icons: HashMap<Key, Digest>,
    seen: Seen,
}

impl Judge {
    /// How many events it has looked at.
    pub(super) fn events(&self) -> u64 {
        self.seen.events
    }

    /// What was seen and found.
    pub(super) fn into_seen(self) -> Seen {
        self.seen
    }

    /// Looks at the next event.
    pub(super) fn event(&mut self, event: &RecordedEvent) {
        let (stream, revision) = (&event.stream, event.revision.get());
        let kind = stream.kind();
        let before = self.pass(stream, revision);
        let is_chained = kind.is_chained() && revision > 0;
        let before = if is_chained { before } else { Before::Hashes(vec![Digest::ZERO]) };
        let (is_whole, mut hashes) = match before {
            Before::Hashes(previous) => {
                let is_whole = previous.iter().any(|previous| event.check_hash(*previous).is_ok());
                let computed = previous.iter().filter(|_| !is_whole).filter_map(|hash| event.computed_hash(*hash));
                (is_whole, computed.take(HASHES_MAX).collect())
            }
            // It cannot be told without the event before it, which was found to be lost.
            Before::Unknown => (true, Vec::new()),
        };
        if !is_whole {
            self.altered(stream, revision);
        }
        if kind.is_chained()
            && let Some(end) = self.ends.get_mut(&key(&self.hashers, stream.as_str()))
            && end.revision == revision
        {
            hashes.insert(0, event.hash);
            end.hashes = hashes;
        }
        self.icon(event);
    }

    /// Looks at an event that cannot be read as one.
    pub(super) fn damaged(&mut self, damaged: &Damaged) {
        self.pass(&damaged.stream, damaged.revision.get());
        self.altered(&damaged.stream, damaged.revision.get());
    }

    /// A stream that was seen shows nothing to who reads it before this event of it, or nothing at all.
    pub(super) fn hidden(&mut self, stream: &StreamName, first: Option<Revision>) {
        let end = self.ends.get(&key(&self.hashers, stream.as_str())).map_or(0, |end| end.revision);
        let to = number(first.map_or(end, |first| first.get().saturating_sub(1)));
        self.find(stream, |stream| Finding::Missing { stream, from: 0, to });
    }

    /// Counts an event, and moves the end of its stream to it.
    fn pass(&mut self, stream: &StreamName, revision: u64) -> Before {
        self.seen.events += 1;
        if stream.kind().keeps_last_only() {
            self.seen.streams += 1;
            return Before::Unknown;
        }
        self.seen.streams += u64::from(revision == 0);
        let key = key(&self.hashers, stream.as_str());
        let next = self.ends.get(&key).map_or(0, |end| end.revision + 1);
        if revision < next {
            self.find(stream, |stream| Finding::OutOfOrder { stream, revision: number(revision) });
            return Before::Unknown;
        }
        if revision > next {
            let (from, to) = (number(next), number(revision - 1));
            self.find(stream, |stream| Finding::Missing { stream, from, to });
        }
        let end = self.ends.insert(key, End { revision, hashes: Vec::new() });
        let hashes = end.filter(|end| revision == next && !end.hashes.is_empty()).map(|end| end.hashes);
        hashes.map_or(Before::Unknown, Before::Hashes)
    }

    /// The bytes of the icon, where they are still there, must be those that the integration names. They come first.
    fn icon(&mut self, event: &RecordedEvent) {
        if event.stream.kind() == Kind::Icon {
            self.icons.insert(key(&self.hashers, event.stream.as_str()), Digest::of(&event.data));
        } else if let Some((name, sha256)) = named_icon(event.stream.as_str(), event.event_type.as_bytes(), &event.data)
            && self.icons.remove(&key(&self.hashers, &name)).is_some_and(|digest| digest != sha256)
        {
            self.seen.find(Finding::Altered { stream: name, revision: 0 });
        }
    }

    fn altered(&mut self, stream: &StreamName, revision: u64) {
        self.find(stream, |stream| Finding::Altered { stream, revision: number(revision) });
    }

    fn find(&mut self, stream: &StreamName, finding: impl FnOnce(String) -> Finding) {
        self.seen.find(finding(stream.as_str().to_owned()));
    }
}

fn key(hashers: &[RandomState; 2], name: &str) -> Key {
    let [high, low] = hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(name)));
    high << 64 | low
}

fn number(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
