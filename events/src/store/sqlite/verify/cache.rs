//! The hashes of the events that a walk has seen last, by stream: of bounded size, and nothing is lost by a miss.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

/// 24 MiB: enough for the streams that a log's writers are at, at the same time.
const SLOTS: usize = 1 << 19;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    stream: u64,
    revision: i64,
    hash: [u8; 32],
}

/// A stream, as the cache tells it from others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key(u64);

/// Streams are told apart by a hash of their names; one that is taken for another is found out by its event's hash.
#[derive(Debug)]
pub(super) struct Cache {
    hasher: RandomState,
    slots: Vec<Slot>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::default(), slots: vec![Slot { revision: -1, ..Slot::default() }; SLOTS] }
    }

    pub(super) fn key(&self, stream: &str) -> Key {
        Key(self.hasher.hash_one(stream))
    }

    /// The hash of the event of this revision, if it was seen last in its stream.
    pub(super) fn get(&self, Key(stream): Key, revision: i64) -> Option<[u8; 32]> {
        let slot = &self.slots[index(stream)];
        (slot.stream == stream && slot.revision == revision).then_some(slot.hash)
    }

    pub(super) fn put(&mut self, Key(stream): Key, revision: i64, hash: [u8; 32]) {
        self.slots[index(stream)] = Slot { stream, revision, hash };
    }
}

fn index(stream: u64) -> usize {
    usize::try_from(stream % SLOTS as u64).unwrap_or_default()
}
