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
        let id = match self.find(caller, &reference, &need).await {
            // What the slug meant, as far as this process knew, may be gone, and the slug be another's.
            Err(Error::Rejected(Rejection::NotFound)) if self.forget(caller, &reference) => {
                self.find(caller, &reference, &need).await?
            }
            found => found?,
        };
        Ok(Admitted { id, reference, need })
    }

    /// The integration that a slug means by now, when what it meant has turned out not to be there: it may have been
    /// deleted by another process, and the slug be another's.
    pub(super) async fn admit_again(&self, caller: &Principal, admitted: &Admitted) -> Result<Admitted, Error> {
        if !self.forget(caller, &admitted.reference) {
            return Err(Rejection::NotFound.into());
        }
        let id = self.find(caller, &admitted.reference, &admitted.need).await?;
        if id == admitted.id { Err(Rejection::NotFound.into()) } else { Ok(Admitted { id, ..admitted.clone() }) }
    }

    /// Which integration a path means, as far as this process knows, or else as the store says.
    async fn find(&self, caller: &Principal, reference: &IntegrationRef, need: &Need) -> Result<IntegrationId, Error> {
        let id = match reference {
            IntegrationRef::Id(id) => *id,
            IntegrationRef::Slug(slug) => self.resolve(&caller.tenant, slug).await?.ok_or(Rejection::NotFound)?,
        };
        self.check_need(caller, id, need).await?;
        Ok(id)
    }

    /// Forgets whose a slug is, so that the store is asked; answers whether that can be another one than this process knew.
    fn forget(&self, caller: &Principal, reference: &IntegrationRef) -> bool {
        match reference {
            IntegrationRef::Slug(slug) if !self.store.is_sole_writer() => {
                self.forget_holder(&StreamName::slug(&caller.tenant, slug));
                true
            }
            IntegrationRef::Slug(_) | IntegrationRef::Id(_) => false,
        }
    }

    async fn check_need(&self, caller: &Principal, id: IntegrationId, need: &Need) -> Result<(), Error> {
        let stream = StreamName::integration(&caller.tenant, id);
        let state = match self.peek(&stream, Source::Cache).await {
            // Whoever may not even see it must not learn that it is there.
            Err(Error::Parked { known, cause }) => {
                decide::admit(&known, caller, &Need::Level(Level::Read))?;
                return Err(Error::Parked { known, cause });
            }
            state => state?,
        };
        let mut admitted = decide::admit(&state, caller, need).map(drop);
        if admitted.is_err() && !self.store.is_sole_writer() {
            let state = self.peek(&stream, Source::Store).await?;
            admitted = decide::admit(&state, caller, need).map(drop);
        }
        Ok(admitted?)
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
