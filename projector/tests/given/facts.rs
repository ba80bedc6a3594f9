//! Events as the log has them, for views that are fed by hand.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};
use events::{
    envelope::Digest,
    event::IntegrationEvent,
    ids::{IntegrationId, Position, Revision, TenantId},
    integration::Fact,
    time::Timestamp,
};

use super::history::{integration, tenant};

/// A log that grows: positions over all, revisions by integration.
#[derive(Default)]
pub(crate) struct Facts {
    position: u64,
    revisions: BTreeMap<(TenantId, IntegrationId), Revision>,
}

impl Facts {
    pub(crate) fn next(&mut self, of: &str, number: usize, event: IntegrationEvent) -> Fact {
        let (tenant, integration) = (tenant(of), integration(number));
        self.position += 1;
        let revision = match self.revisions.get(&(tenant.clone(), integration)) {
            Some(last) => last.next(),
            None => Revision::FIRST,
        };
        self.revisions.insert((tenant.clone(), integration), revision);
        let hash = Digest::of(&self.position.to_be_bytes());
        let at = Timestamp::new(DateTime::UNIX_EPOCH + TimeDelta::seconds(self.position.cast_signed()));
        Fact { tenant, integration, position: Position::new(self.position), revision, at, hash, event }
    }

    /// Where the log ends.
    pub(crate) fn end(&self) -> Position {
        Position::new(self.position)
    }
}
