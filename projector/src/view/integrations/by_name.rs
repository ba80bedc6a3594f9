//! Integrations in the order of their names: a set that shares what it can with the set before a change.

use std::{iter, sync::Arc};

use events::{ids::IntegrationId, integration::Integration};
use imbl::OrdSet;

/// Up to here a set is one small block: most users reach few integrations, and a tree's nodes would take more.
const FEW_MAX: usize = 32;

/// An integration's place in the order: lower-case name by code points, then id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    name: Arc<str>,
    /// The integration.
    pub id: IntegrationId,
}

impl Place {
    /// The place of an integration.
    #[must_use]
    pub fn of(integration: &Integration) -> Self {
        Self { name: integration.settings.name.to_lowercase().into(), id: integration.id }
    }
}

/// A set of places.
#[derive(Debug, Clone)]
pub enum ByName {
    /// Sorted.
    Few(Arc<[Place]>),
    /// More than a small block holds.
    Many(OrdSet<Place>),
}

impl Default for ByName {
    fn default() -> Self {
        Self::Few(Arc::default())
    }
}

impl ByName {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few.iter()), None),
            Self::Many(many) => (None, Some(many.iter())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    pub(super) fn insert(&mut self, place: Place) {
        match self {
            Self::Many(many) => {
                many.insert(place);
            }
            Self::Few(few) => {
                let Err(at) = few.binary_search(&place) else { return };
                let (before, after) = few.split_at(at);
                let all = before.iter().cloned().chain(iter::once(place)).chain(after.iter().cloned());
                *self = if few.len() < FEW_MAX { Self::Few(all.collect()) } else { Self::Many(all.collect()) };
            }
        }
    }

    pub(super) fn remove(&mut self, place: &Place) {
        match self {
            Self::Few(few) => *few = few.iter().filter(|other| *other != place).cloned().collect(),
            Self::Many(many) => {
                many.remove(place);
                // Not at once below the bound: a set must not change its form with every other change.
                if many.len() <= FEW_MAX / 2 {
                    *self = Self::Few(many.iter().cloned().collect());
                }
            }
        }
    }
}
