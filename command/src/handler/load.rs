//! Loading: the state of an integration, from the cache or from the log.

use std::sync::Arc;

use events::{
    ids::{IntegrationId, IntegrationRef, Revision},
    principal::{Level, Principal},
    store::read_until_damage,
    stored,
    stream::StreamName,
};

use super::{Admitted, Error, Handler};
use crate::{
    aggregate::{self, Aggregate},
    decide::{self, Need, Rejection},
};

/// Where a state comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// From the cache if it is there: an append proves it.
    Cache,
    /// From the store: it is what the log has at this moment.
    Store,
}

impl Handler {
    /// Which integration a path means, if the caller may see it and do what he needs to.
    pub(crate) async fn admit(
        &self,
        caller: &Principal,
        reference: IntegrationRef,
        need: Need,
    ) -> Result<Admitted, Error> {
        let id = match self.find(caller, &reference, &need, Source::Cache).await {
            // Nobody is refused by what this process remembers.
            Err(Error::Rejected(_)) if !self.store.is_sole_writer() => {
                self.find(caller, &reference, &need, Source::Store).await?
            }
            found => found?,
        };
        Ok(Admitted { id, reference, need })
    }

    /// The integration that a slug means by now, when what it meant has turned out not to be there: it may have been
    /// deleted by another process, and the slug be another's.
    pub(super) async fn admit_again(&self, caller: &Principal, admitted: &Admitted) -> Result<Admitted, Error> {
        if self.store.is_sole_writer() {
            return Err(Rejection::NotFound.into());
        }
        let id = self.find(caller, &admitted.reference, &admitted.need, Source::Store).await?;
        if id == admitted.id { Err(Rejection::NotFound.into()) } else { Ok(Admitted { id, ..admitted.clone() }) }
    }

    async fn find(
        &self,
        caller: &Principal,
        reference: &IntegrationRef,
        need: &Need,
        source: Source,
    ) -> Result<IntegrationId, Error> {
        let id = match reference {
            IntegrationRef::Id(id) => *id,
            IntegrationRef::Slug(slug) => {
                self.resolve(&caller.tenant, slug, source).await?.ok_or(Rejection::NotFound)?
            }
        };
        match self.peek(&StreamName::integration(&caller.tenant, id), source).await {
            Ok(state) => decide::admit(&state, caller, need)?,
            Err(Error::Parked { known, cause }) => {
                // Whoever may not even see it must not learn that it is there.
                decide::admit(&known, caller, &Need::Level(Level::Read))?;
                return Err(Error::Parked { known, cause });
            }
            Err(error) => return Err(error),
        };
        Ok(id)
    }

    /// The state of an integration whose turn it is: nobody else appends to it from here, so that what is cached is
    /// never older than what this process knows.
    pub(super) async fn load(&self, stream: &StreamName, source: Source) -> Result<Arc<Aggregate>, Error> {
        let state = self.peek(stream, source).await?;
        if *state != Aggregate::Absent {
            self.states.insert(stream.clone(), Arc::clone(&state));
        }
        Ok(state)
    }

    /// The state of an integration whose turn it need not be.
    pub(super) async fn peek(&self, stream: &StreamName, source: Source) -> Result<Arc<Aggregate>, Error> {
        let cached = self.states.get(stream);
        if source == Source::Cache
            && let Some(state) = cached
        {
            return Ok(state);
        }
        // What is cached stands in the log: only what follows it is read.
        let from = cached.as_ref().and_then(|state| state.last()).map_or(Revision::FIRST, |last| last.revision.next());
        let (events, damaged) = read_until_damage(&*self.store, stream, from).await?;
        let mut state = cached.as_deref().cloned().unwrap_or_default();
        for recorded in &events {
            match stored::integration_fact(recorded) {
                Ok(fact) => state = aggregate::evolve(state, &fact),
                Err(cause) => return Err(Error::Parked { known: Arc::new(state), cause: cause.into() }),
            }
        }
        // Another process may have destroyed its data key.
        if let (Aggregate::Deleted(_), Some((tenant, id))) = (&state, stream.integration_of()) {
            self.keys.forget(&tenant, id);
        }
        let known = Arc::new(state);
        damaged.map_or(Ok(Arc::clone(&known)), |damaged| Err(Error::Parked { known, cause: damaged.into() }))
    }

    /// What is known of an integration, which may be parked.
    pub(super) async fn known(&self, stream: &StreamName, source: Source) -> Result<Arc<Aggregate>, Error> {
        match self.peek(stream, source).await {
            Err(Error::Parked { known, .. }) => Ok(known),
            state => state,
        }
    }
}
