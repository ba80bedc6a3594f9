//! The state of an integration before its next event: from a bounded cache, or folded from its stream.

use std::{collections::HashSet, sync::Arc};

use events::{
    envelope::RecordedEvent,
    ids::Revision,
    integration::{Fact, Integration, evolve, evolve_shared},
    store::{Direction, Error, EventStore},
    stored,
    stream::StreamName,
};
use futures_util::{StreamExt as _, stream};
use moka::{policy::EvictionPolicy, sync::Cache};

/// About how much memory the states may take.
const CACHE_BYTES: u64 = 32 * 1_024 * 1_024;
/// Streams that are read at a time, where a read is a round trip.
const READS: usize = 16;

/// Why a state cannot be told.
pub(super) enum Unknown {
    /// The log is away.
    Log(Error),
    /// An event before cannot be read.
    Unreadable(Box<dyn std::error::Error + Send + Sync>),
}

pub(super) struct States {
    events: Arc<dyn EventStore>,
    cache: Cache<StreamName, Arc<Integration>, foldhash::fast::RandomState>,
}

impl States {
    pub(super) fn new(events: Arc<dyn EventStore>) -> Self {
        let cache = Cache::builder()
            .max_capacity(CACHE_BYTES)
            .weigher(|_: &StreamName, state: &Arc<Integration>| state.weight())
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self { events, cache }
    }

    /// The state that an event of a stream leaves.
    pub(super) async fn after(&self, stream: &StreamName, fact: &Fact) -> Result<Option<Arc<Integration>>, Unknown> {
        let before = match self.cached(stream, fact.revision) {
            Some(state) => Some(state),
            None => self.read(stream, fact.revision).await?.map(Arc::new),
        };
        let after = evolve_shared(before, fact);
        if let Some(state) = &after {
            self.cache.insert(stream.clone(), Arc::clone(state));
        }
        Ok(after)
    }

    /// Reads what the events of a page need, several streams at a time. What cannot be read is told when it is needed.
    pub(super) async fn prepare(&self, page: &[RecordedEvent]) {
        let mut seen = HashSet::new();
        let first_of_each = page.iter().filter(|event| seen.insert(&event.stream));
        let missing: Vec<_> = first_of_each
            .filter(|event| event.revision > Revision::FIRST && !self.is_cached(&event.stream, event.revision))
            .map(|event| (event.stream.clone(), event.revision))
            .collect();
        let reads = missing.into_iter().map(|(stream, next)| async move {
            if let Ok(Some(state)) = self.read(&stream, next).await {
                self.cache.insert(stream, Arc::new(state));
            }
        });
        stream::iter(reads).buffer_unordered(READS).for_each(|()| std::future::ready(())).await;
    }

    fn is_cached(&self, stream: &StreamName, next: Revision) -> bool {
        self.cache.get(stream).is_some_and(|state| state.last.revision.next() == next)
    }

    /// Takes the state out of the cache: whoever changes it puts it back, and need not copy it.
    fn cached(&self, stream: &StreamName, next: Revision) -> Option<Arc<Integration>> {
        self.cache.remove(stream).filter(|state| state.last.revision.next() == next)
    }

    async fn read(&self, stream: &StreamName, before: Revision) -> Result<Option<Integration>, Unknown> {
        let max = usize::try_from(before.get()).unwrap_or(usize::MAX);
        if max == 0 {
            return Ok(None);
        }
        let recorded = self.events.read_stream(stream, Direction::ForwardsFrom(Revision::FIRST), max).await;
        let recorded = match recorded {
            Err(Error::Damaged(damaged)) => return Err(Unknown::Unreadable(damaged.into())),
            recorded => recorded.map_err(Unknown::Log)?,
        };
        let mut state = None;
        for event in &recorded {
            let fact = stored::integration_fact(event).map_err(|cause| Unknown::Unreadable(cause.into()))?;
            state = evolve(state, &fact);
        }
        Ok(state)
    }
}
