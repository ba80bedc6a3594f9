//! The past, folded where nobody looks yet: documents change in place, and the ways to find them are made once, at the
//! end. Several times as fast as batch by batch, and nothing of what was is kept.

use std::collections::{BTreeMap, HashMap};

use events::{
    ids::{Position, TenantId},
    integration::{Fact, LastEvent},
};

use foldhash::fast::RandomState;

use crate::{
    store::{Parked, Replayed, Snapshot},
    view::View,
};

/// A view that is being made from its beginning.
pub(crate) struct Replay<V: View>(HashMap<TenantId, Folded<V>, RandomState>);

struct Folded<V: View> {
    last: Option<LastEvent>,
    documents: BTreeMap<V::Key, Option<V::Document>>,
}

impl<V: View> Default for Replay<V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<V: View> Replay<V> {
    /// Takes the next fact.
    pub(crate) fn fold(&mut self, fact: &Fact) {
        if !self.0.contains_key(&fact.tenant) {
            self.0.insert(fact.tenant.clone(), Folded { last: None, documents: BTreeMap::new() });
        }
        if let Some(folded) = self.0.get_mut(&fact.tenant) {
            folded.fold(fact);
        }
    }

    /// What is to be shown now that everything `through` a position was taken.
    pub(crate) fn finish(self, through: Position, parked: Vec<Parked>) -> Replayed<V> {
        let changed = self.0.into_iter().filter_map(|(tenant, Folded { last, documents })| {
            let documents = documents.into_iter().filter_map(|(key, document)| Some((key, document?)));
            Some((tenant, Snapshot::of(last?, documents)))
        });
        Replayed { through, tenants: changed.collect(), parked }
    }
}

impl<V: View> Folded<V> {
    fn fold(&mut self, fact: &Fact) {
        for key in V::keys(fact) {
            self.last = Some(LastEvent { revision: fact.revision, position: fact.position, hash: fact.hash });
            let document = self.documents.entry(key.clone()).or_default();
            *document = V::apply(&key, document.take(), fact);
        }
    }
}
