//! Slug reservations: who holds a slug, and whether it is free.

use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    event::SlugReserved,
    ids::{IntegrationId, Revision, Slug, TenantId},
    store::{Direction, ExpectedRevision, StreamWrite},
    stored::{self, Store as _},
    stream::StreamName,
    time::Timestamp,
};

use super::{Error, Handler, Source};
use crate::aggregate::Aggregate;

/// The last reservation of a slug.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    integration: IntegrationId,
    revision: Revision,
}

/// Whether an integration may have a slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It may, by a reservation at this revision.
    Free(ExpectedRevision),
    /// It has it already.
    Ours,
    /// Another one has it.
    Taken,
}

impl Handler {
    /// The integration that a slug stands for; `None` when there is none.
    pub(super) async fn resolve(
        &self,
        tenant: &TenantId,
        slug: &Slug,
        source: Source,
    ) -> Result<Option<IntegrationId>, Error> {
        let stream = StreamName::slug(tenant, slug);
        if source == Source::Cache
            && let Some(holder) = self.holders.get(&stream)
            && self.holds(tenant, slug, holder, source).await?
        {
            return Ok(Some(holder.integration));
        }
        let Some(holder) = self.read_holder(&stream).await? else {
            return Ok(None);
        };
        let source = if self.store.is_sole_writer() { Source::Cache } else { Source::Store };
        let holds = self.holds(tenant, slug, holder, source).await?;
        Ok(holds.then_some(holder.integration))
    }

    async fn holds(&self, tenant: &TenantId, slug: &Slug, holder: Holder, source: Source) -> Result<bool, Error> {
        let stream = StreamName::integration(tenant, holder.integration);
        Ok(match &*self.known(&stream, source).await? {
            Aggregate::Live(live) => live.integration.slug == *slug,
            Aggregate::Absent | Aggregate::Deleted(_) => false,
        })
    }

    /// Whether an integration may have a slug, as far as this process knows without reading: an append proves it.
    pub(super) async fn claim(&self, tenant: &TenantId, slug: &Slug, id: IntegrationId) -> Result<Claim, Error> {
        if self.holders.contains_key(&StreamName::slug(tenant, slug)) {
            self.read_claim(tenant, slug, id).await
        } else {
            Ok(Claim::Free(ExpectedRevision::NoStream))
        }
    }

    /// Whether an integration may have a slug, as the store says.
    pub(super) async fn read_claim(&self, tenant: &TenantId, slug: &Slug, id: IntegrationId) -> Result<Claim, Error> {
        let stream = StreamName::slug(tenant, slug);
        let known = self.holders.get(&stream).filter(|_| self.store.is_sole_writer());
        let holder = match known {
            Some(holder) => Some(holder),
            None => self.read_holder(&stream).await?,
        };
        let Some(holder) = holder else {
            return Ok(Claim::Free(ExpectedRevision::NoStream));
        };
        if holder.integration == id {
            return Ok(Claim::Ours);
        }
        let source = if self.store.is_sole_writer() { Source::Cache } else { Source::Store };
        let state = self.known(&StreamName::integration(tenant, holder.integration), source).await?;
        Ok(match &*state {
            Aggregate::Deleted(_) => Claim::Free(ExpectedRevision::Exact(holder.revision)),
            Aggregate::Absent | Aggregate::Live(_) => Claim::Taken,
        })
    }

    async fn read_holder(&self, stream: &StreamName) -> Result<Option<Holder>, Error> {
        let last = self.store.read_stream(stream, Direction::BackwardsFromEnd, 1).await?;
        let Some(last) = last.first() else {
            return Ok(None);
        };
        let integration = stored::slug_reserved(last)?.integration;
        let holder = Holder { integration, revision: last.revision };
        self.holders.insert(stream.clone(), holder);
        Ok(Some(holder))
    }

    pub(super) fn remember_holder(&self, stream: StreamName, integration: IntegrationId, revision: Revision) {
        self.holders.insert(stream, Holder { integration, revision });
    }

    pub(super) fn forget_holder(&self, stream: &StreamName) {
        self.holders.invalidate(stream);
    }
}

/// The write that reserves a slug.
pub(super) fn reserve(
    tenant: &TenantId,
    slug: &Slug,
    integration: IntegrationId,
    expected: ExpectedRevision,
    now: Timestamp,
) -> StreamWrite {
    let stream = StreamName::slug(tenant, slug);
    let form = SlugReserved { integration }.to_stored();
    let place = Place { stream: &stream, revision: expected.next(), previous: Digest::ZERO };
    let metadata = Metadata::of_service(Some(tenant.clone()), now);
    let event = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
    StreamWrite::Append { stream, expected, events: vec![event] }
}
