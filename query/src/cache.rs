//! What reading makes, kept by what it was made from: visible sets, and bodies as they are sent. One cache, bounded in
//! bytes; what has not been used for longest goes first, as everything of a version that is no more.

use std::sync::Arc;

use bytes::Bytes;
use events::{envelope::Digest, integration::Integration};
use foldhash::fast::RandomState;
use moka::{policy::EvictionPolicy, sync::Cache};

/// What an entry takes beside its value, about: its key, and the cache's own lists.
const ENTRY_BYTES: usize = 256;

/// What something was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The state, by the hash of its last event, which covers what it is a state of; zeros for a tenant without events.
    pub(crate) state: Digest,
    /// Everything else that the content depends on.
    pub(crate) shape: Digest,
}

#[derive(Debug, Clone)]
enum Made {
    Visible(Arc<[Arc<Integration>]>),
    Body(Bytes),
}

impl Made {
    fn weight(&self) -> u32 {
        let bytes = match self {
            Self::Visible(set) => size_of_val(&**set),
            Self::Body(body) => body.len(),
        };
        u32::try_from(bytes + ENTRY_BYTES).unwrap_or(u32::MAX)
    }
}

/// The cache.
#[derive(Debug)]
pub(crate) struct ReadCache(Cache<Key, Made, RandomState>);

impl ReadCache {
    /// An empty cache that takes about so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_: &Key, made: &Made| made.weight())
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(RandomState::default());
        Self(cache)
    }

    /// Forgets everything.
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.0.invalidate_all();
    }

    /// A visible set; made by one caller when several ask at once.
    pub(crate) fn visible(&self, key: Key, make: impl FnOnce() -> Vec<Arc<Integration>>) -> Arc<[Arc<Integration>]> {
        let Made::Visible(set) = self.0.get_with(key, || Made::Visible(make().into())) else {
            unreachable!("no body has the shape of a visible set")
        };
        set
    }

    /// A body, if it was made before.
    pub(crate) fn held(&self, key: &Key) -> Option<Bytes> {
        match self.0.get(key)? {
            Made::Body(body) => Some(body),
            Made::Visible(_) => unreachable!("no visible set has the shape of a body"),
        }
    }

    /// A body; made by one caller when several ask at once.
    pub(crate) fn body(&self, key: Key, make: impl FnOnce() -> Bytes) -> Bytes {
        let Made::Body(body) = self.0.get_with(key, || Made::Body(make())) else {
            unreachable!("no visible set has the shape of a body")
        };
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY_BYTES: usize = 1_024;

    fn key(number: usize) -> Key {
        Key { state: Digest::of(&number.to_be_bytes()), shape: Digest::ZERO }
    }

    #[test]
    fn it_takes_no_more_bytes_than_it_may_and_keeps_what_was_used_last() {
        let bytes_max = 16 * 1_024;
        let cache = ReadCache::new(bytes_max);
        for number in 0..1_000 {
            cache.body(key(number), || vec![0; BODY_BYTES].into());
            cache.0.run_pending_tasks();
        }
        let held = (0..1_000).filter(|number| cache.held(&key(*number)).is_some()).count();
        let fit = usize::try_from(bytes_max).unwrap() / (BODY_BYTES + ENTRY_BYTES);
        assert!((1..=fit).contains(&held), "{held} of {fit}");
        assert!(cache.held(&key(999)).is_some());
        assert!(cache.held(&key(0)).is_none());
    }

    #[test]
    fn what_is_larger_than_all_that_it_may_take_is_made_each_time() {
        let cache = ReadCache::new(1_024);
        for _ in 0..2 {
            assert_eq!(cache.body(key(0), || vec![0; 2 * BODY_BYTES].into()).len(), 2 * BODY_BYTES);
            cache.0.run_pending_tasks();
            assert!(cache.held(&key(0)).is_none());
        }
    }
}
