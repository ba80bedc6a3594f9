//! The view `access-by-principal`: what each user and team owns or is shared. An event names whom it touches, so one of
//! them may change several documents; what it does not name (an integration's name, its slug) is not in here, and whoever
//! shows a document looks that up in the view `integrations`.

use std::sync::Arc;

use events::{
    event::IntegrationEvent,
    ids::{IntegrationId, PrincipalId},
    integration::Fact,
    principal::Level,
};
use imbl::OrdMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::View;

/// Up to here a document is one small block: most principals reach few integrations, and a tree's nodes would take more.
const FEW_MAX: usize = 128;

/// The view.
#[derive(Debug)]
pub struct AccessByPrincipal;

impl View for AccessByPrincipal {
    type Key = PrincipalId;
    type Document = Reachable;
    type Index = ();

    const NAME: &'static str = "access-by-principal";
    const VERSION: u32 = 1;

    fn keys(fact: &Fact) -> Vec<PrincipalId> {
        match &fact.event {
            IntegrationEvent::Created(created) => vec![created.owner.clone()],
            IntegrationEvent::Shared(shared) => vec![shared.principal.clone()],
            IntegrationEvent::Unshared(unshared) => vec![unshared.principal.clone()],
            IntegrationEvent::OwnershipTransferred(transfer) => vec![transfer.from.clone(), transfer.to.clone()],
            IntegrationEvent::Deleted(deleted) => {
                std::iter::once(&deleted.owner).chain(deleted.shares.keys()).cloned().collect()
            }
            IntegrationEvent::Updated(_)
            | IntegrationEvent::TagsSet(_)
            | IntegrationEvent::IconSet(_)
            | IntegrationEvent::IconRemoved(_) => Vec::new(),
        }
    }

    fn apply(principal: &PrincipalId, document: Option<Reachable>, fact: &Fact) -> Option<Reachable> {
        let mut reachable = document.unwrap_or_default();
        match access_after(principal, &fact.event) {
            Some(access) => reachable.insert(fact.integration, access),
            None => reachable.remove(fact.integration),
        }
        (!reachable.is_empty()).then_some(reachable)
    }
}

/// How a principal whom an event touches reaches the integration after it; `None` when he does not.
fn access_after(principal: &PrincipalId, event: &IntegrationEvent) -> Option<Access> {
    match event {
        IntegrationEvent::Created(_) => Some(Access::Owner),
        IntegrationEvent::Shared(shared) => Some(Access::Shared(shared.level)),
        IntegrationEvent::OwnershipTransferred(transfer) => (*principal == transfer.to).then_some(Access::Owner),
        IntegrationEvent::Unshared(_)
        | IntegrationEvent::Deleted(_)
        // These touch nobody.
        | IntegrationEvent::Updated(_)
        | IntegrationEvent::TagsSet(_)
        | IntegrationEvent::IconSet(_)
        | IntegrationEvent::IconRemoved(_) => None,
    }
}

/// How a principal reaches an integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// It is his.
    Owner,
    /// It is shared with him.
    Shared(Level),
}

impl Access {
    /// What he may do with it.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::Owner => Level::Admin,
            Self::Shared(level) => level,
        }
    }
}

/// What a principal reaches: integrations in the order of their ids, none when there is no document.
#[derive(Debug, Clone)]
pub struct Reachable(Entries);

#[derive(Debug, Clone)]
enum Entries {
    /// Sorted.
    Few(Arc<[(IntegrationId, Access)]>),
    /// More than a small block holds.
    Many(OrdMap<IntegrationId, Access>),
}

impl Default for Reachable {
    fn default() -> Self {
        Self(Entries::Few(Arc::default()))
    }
}

impl Reachable {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Entries::Few(few) => few.len(),
            Entries::Many(many) => many.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How it reaches an integration.
    #[must_use]
    pub fn get(&self, id: IntegrationId) -> Option<Access> {
        match &self.0 {
            Entries::Few(few) => few.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| few[at].1),
            Entries::Many(many) => many.get(&id).copied(),
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (IntegrationId, Access)> {
        let (few, many) = match &self.0 {
            Entries::Few(few) => (Some(few.iter().copied()), None),
            Entries::Many(many) => (None, Some(many.iter().map(|(id, access)| (*id, *access)))),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    fn insert(&mut self, id: IntegrationId, access: Access) {
        match &mut self.0 {
            Entries::Many(many) => {
                many.insert(id, access);
            }
            Entries::Few(few) => {
                let found = few.binary_search_by_key(&id, |(id, _)| *id);
                let (before, after) = match found {
                    Ok(at) => (&few[..at], &few[at + 1..]),
                    Err(at) => few.split_at(at),
                };
                let all = before.iter().copied().chain([(id, access)]).chain(after.iter().copied());
                let is_full = found.is_err() && few.len() == FEW_MAX;
                self.0 = if is_full { Entries::Many(all.collect()) } else { Entries::Few(all.collect()) };
            }
        }
    }

    fn remove(&mut self, id: IntegrationId) {
        match &mut self.0 {
            Entries::Few(few) => *few = few.iter().filter(|(other, _)| *other != id).copied().collect(),
            Entries::Many(many) => {
                many.remove(&id);
                // Not at once below the bound: a document must not change its form with every other event.
                if many.len() <= FEW_MAX / 2 {
                    self.0 = Entries::Few(many.iter().map(|(id, access)| (*id, *access)).collect());
                }
            }
        }
    }
}

impl PartialEq for Reachable {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Reachable {}

/// As it is stored: sorted, so that equal documents are equal texts.
#[derive(Serialize, Deserialize)]
struct Stored {
    owns: Vec<IntegrationId>,
    shared: Vec<(IntegrationId, Level)>,
}

impl Serialize for Reachable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stored = Stored { owns: Vec::new(), shared: Vec::new() };
        for (id, access) in self.iter() {
            match access {
                Access::Owner => stored.owns.push(id),
                Access::Shared(level) => stored.shared.push((id, level)),
            }
        }
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Reachable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { owns, shared } = Stored::deserialize(deserializer)?;
        let owned = owns.into_iter().map(|id| (id, Access::Owner));
        let all: OrdMap<_, _> =
            owned.chain(shared.into_iter().map(|(id, level)| (id, Access::Shared(level)))).collect();
        Ok(Self(if all.len() <= FEW_MAX { Entries::Few(all.into_iter().collect()) } else { Entries::Many(all) }))
    }
}
