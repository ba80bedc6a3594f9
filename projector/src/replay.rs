//! The past, folded where nobody looks yet: documents change in place, and whoever shows them makes the ways to find them
//! once, at the end. Several times as fast as batch by batch, and nothing of what was is kept.

use std::collections::{BTreeMap, HashMap};

use events::{
    ids::{Position, TenantId},
    integration::Fact,
};

use foldhash::fast::RandomState;

use crate::{
    store::{Batch, Parked, TenantChanges},
    view::View,
};

/// A view that is being made from its beginning.
pub(crate) struct Replay<V: View>(HashMap<TenantId, TenantChanges<V>, RandomState>);

impl<V: View> Default for Replay<V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<V: View> Replay<V> {
    /// Takes the next fact.
    pub(crate) fn fold(&mut self, fact: &Fact) {
        for key in V::keys(fact) {
            let changes = match self.0.get_mut(&fact.tenant) {
                Some(changes) => changes,
                None => {
                    let changes = TenantChanges { last: fact.into(), documents: BTreeMap::new() };
                    self.0.entry(fact.tenant.clone()).or_insert(changes)
                }
            };
            changes.last = fact.into();
            let document = changes.documents.entry(key.clone()).or_default();
            *document = V::apply(&key, document.take(), fact);
        }
    }

    /// What is to be shown now that everything `through` a position was taken.
    pub(crate) fn finish(self, through: Position, parked: Vec<Parked>) -> Batch<V> {
        Batch { tenants: self.0.into_iter().collect(), parked, ..Batch::empty(Position::START, through) }
    }
}
