//! The hashes of the events that a walk has seen last, by stream: of bounded size, and nothing is lost by a miss.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

/// 24 MiB: enough for the streams that a log's writers are at, at the same time.
const PAIRS: usize = 1 << 18;

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
    /// For streams that belong to the same place, two of them: with one, a walk through 100,000 would miss each sixth.
    pairs: Vec<[Slot; 2]>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::default(), pairs: vec![[Slot { revision: -1, ..Slot::default() }; 2]; PAIRS] }
    }

    pub(super) fn key(&self, stream: &str) -> Key {
        Key(self.hasher.hash_one(stream))
    }

    /// The hash of the event of this revision, if it was seen last in its stream.
    pub(super) fn get(&self, Key(stream): Key, revision: i64) -> Option<[u8; 32]> {
        let mut slots = self.pairs[index(stream)].iter();
        slots.find(|slot| slot.stream == stream && slot.revision == revision).map(|slot| slot.hash)
    }

    pub(super) fn put(&mut self, Key(stream): Key, revision: i64, hash: [u8; 32]) {
        let [last, before] = &mut self.pairs[index(stream)];
        if last.stream != stream {
            *before = *last;
        }
        *last = Slot { stream, revision, hash };
    }
}

fn index(stream: u64) -> usize {
    usize::try_from(stream % PAIRS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_streams_have_room_where_both_belong_and_the_third_drives_out_the_one_that_was_put_first() {
        let mut cache = Cache::new();
        let [first, second, third] = [1, 2, 3].map(|number| Key(number * PAIRS as u64));
        let hash = |number: u8| [number; 32];
        cache.put(first, 0, hash(1));
        cache.put(second, 0, hash(2));
        assert_eq!((cache.get(first, 0), cache.get(second, 0)), (Some(hash(1)), Some(hash(2))));
        cache.put(first, 1, hash(3));
        assert_eq!(cache.get(first, 0), None, "a stream has its last event alone");
        assert_eq!((cache.get(first, 1), cache.get(second, 0)), (Some(hash(3)), Some(hash(2))));
        cache.put(third, 0, hash(4));
        assert_eq!((cache.get(third, 0), cache.get(first, 1)), (Some(hash(4)), Some(hash(3))));
        assert_eq!(cache.get(second, 0), None);
    }
}
