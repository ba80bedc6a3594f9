//! Reading a tenant: one snapshot, fresh enough for the caller, of which he sees what he may.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use events::{
    envelope::Digest,
    event::IconSet,
    ids::{IntegrationRef, Position, PrincipalId, TenantId},
    integration::{FOLD_VERSION, Integration},
    principal::Principal,
    store::{Direction, Error as StoreError, EventStore},
    stream::StreamName,
};
use http::{HeaderMap, HeaderValue};
use moka::sync::Cache;
use projector::{
    store::{ReadViews, Snapshot, Views},
    view::{Readers, View, access_by_principal::AccessByPrincipal, integrations::Integrations},
};
use tokio::time::{Instant, timeout_at};
use web::{
    bearer::Caller,
    conditional::{Audience, Coding, Shape},
    incoming::Incoming,
    position::{Freshness, INTEGRATION_POSITION, PREFERENCE_APPLIED, header_value},
    problem::{Kind, Problem},
};

use crate::{
    cache::{Key, ReadCache},
    list,
};

/// Bytes that icons may take in memory.
const ICONS_BYTES_MAX: u64 = 32 * 1_024 * 1_024;
/// How long an icon whose bytes are gone waits for the view to show the newer one.
const ICON_WAIT: Duration = Duration::from_secs(2);

/// Everything that queries need.
#[derive(Debug)]
pub struct Queries {
    views: Readers,
    events: Arc<dyn EventStore>,
    icons: Cache<Digest, Bytes>,
    pub(crate) cache: ReadCache,
}

/// What an operator may set.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Bytes that visible sets and bodies may take.
    pub cache_bytes: u64,
}

/// A tenant as the caller asked for it.
#[derive(Debug)]
pub(crate) struct Reading {
    caller: Arc<Caller>,
    pub(crate) snapshot: Arc<Snapshot<Integrations>>,
    /// Where in the log what is shown is.
    position: Position,
    applied: Option<u64>,
    /// A bad position is told after what the caller may not see.
    fault: Option<Problem>,
}

impl Queries {
    /// Queries over views, with the log for what views do not hold.
    #[must_use]
    pub fn new(views: Readers, events: Arc<dyn EventStore>, settings: Settings) -> Self {
        let weight = |_: &Digest, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let icons = Cache::builder().max_capacity(ICONS_BYTES_MAX).weigher(weight).build();
        Self { views, events, icons, cache: ReadCache::new(settings.cache_bytes) }
    }

    /// The caller's tenant, once it has reached the position that he asks for.
    pub(crate) async fn read(&self, incoming: &Incoming) -> Result<Reading, Problem> {
        let (caller, (applied, fault)) =
            (incoming.caller()?, self.freshen(incoming, &[&*self.views.integrations]).await?);
        let snapshot = snapshot(&*self.views.integrations, &caller.principal.tenant).await?;
        Ok(Reading { applied, fault, ..Reading::of(caller, snapshot) })
    }

    /// The caller's tenant as it is held, where nobody asks for a position that it might not have reached.
    pub(crate) fn at_hand(&self, caller: Arc<Caller>, headers: &HeaderMap) -> Option<Reading> {
        if headers.contains_key(INTEGRATION_POSITION) {
            return None;
        }
        let snapshot = self.views.integrations.held(&caller.principal.tenant)?;
        Some(Reading::of(caller, snapshot))
    }

    /// Likewise, with what its principals reach: two views, of which either may be further than the other.
    pub(crate) async fn read_access(
        &self,
        incoming: &Incoming,
    ) -> Result<(Reading, Arc<Snapshot<AccessByPrincipal>>), Problem> {
        let (integrations, access) = (&*self.views.integrations, &*self.views.access_by_principal);
        let (caller, (applied, fault)) = (incoming.caller()?, self.freshen(incoming, &[integrations, access]).await?);
        let tenant = &caller.principal.tenant;
        // How far each is at least: a snapshot that is taken later is no older.
        let through = [*integrations.checkpoint().borrow(), *access.checkpoint().borrow()];
        let (snapshot, reachable) = (snapshot(integrations, tenant).await?, snapshot(access, tenant).await?);
        let position = shown([snapshot.position(), reachable.position()], through);
        Ok((Reading { caller, snapshot, position, applied, fault }, reachable))
    }

    /// Waits until views have reached the position that is asked for, if one is; which preference that followed, and what
    /// is wrong with the position.
    async fn freshen(
        &self,
        incoming: &Incoming,
        views: &[&dyn Views],
    ) -> Result<(Option<u64>, Option<Problem>), Problem> {
        match Freshness::of(&incoming.headers) {
            // Only a read waits for a position.
            _ if !incoming.is_read() => Ok((None, None)),
            Ok(None) => Ok((None, None)),
            Ok(Some(freshness)) => {
                wait(incoming, freshness, views).await?;
                Ok((freshness.applied, None))
            }
            Err(problem) => Ok((None, Some(problem))),
        }
    }

    /// All that the caller may see and that is not embedded, by name.
    pub(crate) fn visible(&self, reading: &Reading) -> Arc<[Arc<Integration>]> {
        let shape = reading.collection("visible", "").digest(Coding::Identity);
        let key = Key { state: reading.snapshot.hash(), shape };
        self.cache.visible(key, || list::visible(&reading.snapshot, reading.principal()))
    }

    /// All that a principal reaches, by name: what both views know of. One that is further may know that it is gone.
    pub(crate) fn reachable(
        &self,
        reading: &Reading,
        reachable: &Snapshot<AccessByPrincipal>,
        principal: &PrincipalId,
        shape: Shape<'_>,
    ) -> Arc<[Arc<Integration>]> {
        let key = Key { state: reading.snapshot.hash(), shape: shape.digest(Coding::Identity) };
        self.cache.visible(key, || list::reachable(&reading.snapshot, reachable, principal))
    }

    /// The bytes of an integration's icon, and the icon that they are of. The reading goes on to a newer state when the
    /// bytes of the one that it has are gone.
    pub(crate) async fn icon(
        &self,
        reading: &mut Reading,
        reference: &IntegrationRef,
    ) -> Result<Option<(IconSet, Bytes)>, Problem> {
        let deadline = Instant::now() + ICON_WAIT;
        let mut checkpoint = self.views.integrations.checkpoint();
        loop {
            checkpoint.mark_unchanged();
            let integration = reading.visible(reference)?;
            let Some(icon) = integration.icon.clone() else {
                return Ok(None);
            };
            if let Some(bytes) = self.blob(reading.principal(), integration, &icon).await? {
                return Ok(Some((icon, bytes)));
            }
            // Its bytes are gone: a newer event of the integration, which the view has not seen yet, tells why.
            let moved = timeout_at(deadline, checkpoint.changed()).await;
            if !matches!(moved, Ok(Ok(()))) {
                return Err(Problem::retry_after(Kind::Unavailable, "The icon is being replaced.", 1));
            }
            reading.snapshot = snapshot(&*self.views.integrations, &reading.principal().tenant).await?;
            reading.position = reading.snapshot.position();
        }
    }

    async fn blob(
        &self,
        principal: &Principal,
        integration: &Integration,
        icon: &IconSet,
    ) -> Result<Option<Bytes>, Problem> {
        if let Some(bytes) = self.icons.get(&icon.sha256) {
            return Ok(Some(bytes));
        }
        let stream = StreamName::icon(&principal.tenant, integration.id, icon.blob);
        match self.events.read_stream(&stream, Direction::BackwardsFromEnd, 1).await {
            Ok(events) => {
                let bytes = events.into_iter().next().map(|event| event.data);
                if let Some(bytes) = &bytes {
                    self.icons.insert(icon.sha256, bytes.clone());
                }
                Ok(bytes)
            }
            Err(StoreError::Tombstoned { .. }) => Ok(None),
            Err(error) => {
                let detail = "The event store is not available.";
                Err(Problem::retry_after(Kind::Unavailable, detail, 1).with_cause(error))
            }
        }
    }
}

async fn snapshot<V: View>(views: &dyn ReadViews<V>, tenant: &TenantId) -> Result<Arc<Snapshot<V>>, Problem> {
    if let Some(held) = views.held(tenant) {
        return Ok(held);
    }
    views.snapshot(tenant).await.map_err(|error| {
        Problem::retry_after(Kind::Unavailable, "The view store is not available.", 1).with_cause(error)
    })
}

async fn wait(incoming: &Incoming, freshness: Freshness, views: &[&dyn Views]) -> Result<(), Problem> {
    let reached = |views: &&dyn Views| *views.checkpoint().borrow() >= freshness.position;
    if views.iter().all(reached) {
        return Ok(());
    }
    let _waiting = incoming.in_flight().map(|in_flight| in_flight.wait()).transpose()?;
    let reached = async {
        for views in views {
            // One that is gone will never be there.
            if views.checkpoint().wait_for(|checkpoint| *checkpoint >= freshness.position).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::time::timeout(freshness.wait, reached)
        .await
        .map_err(|_| Problem::retry_after(Kind::NotYetVisible, "The position was not reached while you waited.", 1))
}

/// Where in the log a state is that two views show together, by the last event that each shows of a tenant, and how far
/// each is at least: the last event, unless one of them may lack it.
fn shown(last: [Position; 2], through: [Position; 2]) -> Position {
    let complete = last[0].max(through[0]).min(last[1].max(through[1]));
    last[0].max(last[1]).min(complete)
}

impl Reading {
    fn of(caller: Arc<Caller>, snapshot: Arc<Snapshot<Integrations>>) -> Self {
        let position = snapshot.position();
        Self { caller, snapshot, position, applied: None, fault: None }
    }

    /// Who asks.
    pub(crate) fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    /// The shape of a collection.
    pub(crate) fn collection<'a>(&'a self, resource: &'a str, query: &'a str) -> Shape<'a> {
        let audience = Audience { of: self.caller.audience, parked: &self.snapshot.parked };
        Shape { resource, version: FOLD_VERSION, query, audience: Some(audience) }
    }

    /// The integration that a path names, if the caller may see it.
    pub(crate) fn visible(&self, reference: &IntegrationRef) -> Result<&Arc<Integration>, Problem> {
        let id = match reference {
            IntegrationRef::Id(id) => Some(*id),
            IntegrationRef::Slug(slug) => self.snapshot.index.by_slug(slug),
        };
        let found = id.and_then(|id| self.snapshot.documents.get(&id));
        found.filter(|integration| integration.level_of(self.principal()).is_some()).ok_or_else(Problem::not_found)
    }

    /// Tells what was wrong with the position asked for.
    pub(crate) fn check(&mut self) -> Result<(), Problem> {
        self.fault.take().map_or(Ok(()), Err)
    }

    /// Adds to an answer's headers where in the log its state is, and which preference was followed.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        headers.insert(INTEGRATION_POSITION, header_value(self.position));
        if let Some(seconds) = self.applied {
            let applied = HeaderValue::from_str(&format!("wait={seconds}")).expect("digits are visible ASCII");
            headers.insert(PREFERENCE_APPLIED, applied);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_views_show_together_is_where_both_are() {
        let check = |last: [u64; 2], through: [u64; 2], expected: u64, what: &str| {
            assert_eq!(shown(last.map(Position::new), through.map(Position::new)), Position::new(expected), "{what}");
        };
        check([0, 0], [0, 0], 0, "nothing yet");
        check([7, 7], [7, 7], 7, "both at the tenant's last event");
        check([7, 3], [9, 9], 7, "an event that the second view has no interest in");
        check([7, 3], [9, 5], 5, "the second view is behind, and may lack something");
        check([3, 7], [5, 9], 5, "the first view is behind");
        check([7, 7], [6, 6], 7, "the checkpoints were looked at before both moved");
        check([7, 3], [6, 6], 6, "only the first is known to have moved");
    }
}
