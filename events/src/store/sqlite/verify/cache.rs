//! The hashes of the events that a walk has seen last, by stream: of bounded size, and nothing is lost by a miss.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// 24 MiB: enough for the streams that a log's writers are at, at the same time.
const SLOTS: usize = 1 << 19;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    stream: u64,
    revision: i64,
    hash: [u8; 32],
}

/// Streams are told apart by a hash of their names; one that is taken for another is found out by its event's hash.
#[derive(Debug)]
pub(super) struct Cache(Vec<Slot>);

impl Cache {
    pub(super) fn new() -> Self {
        Self(vec![Slot { revision: -1, ..Slot::default() }; SLOTS])
    }

    /// The hash of the event of this revision, if it was seen last in its stream.
    pub(super) fn get(&self, stream: &str, revision: i64) -> Option<[u8; 32]> {
        let key = key(stream);
        let slot = &self.0[index(key)];
        (slot.stream == key && slot.revision == revision).then_some(slot.hash)
    }

    pub(super) fn put(&mut self, stream: &str, revision: i64, hash: [u8; 32]) {
        let key = key(stream);
        self.0[index(key)] = Slot { stream: key, revision, hash };
    }
}

fn key(stream: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    stream.hash(&mut hasher);
    hasher.finish()
}

fn index(key: u64) -> usize {
    usize::try_from(key % SLOTS as u64).unwrap_or_default()
}
