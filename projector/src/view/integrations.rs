//! The view `integrations`: detail, HAL list and flat list show the same document, the integration's public state.

use std::sync::Arc;

use events::{
    ids::{IntegrationId, LibraryId, PrincipalId, Slug},
    integration::{FOLD_VERSION, Fact, Integration, evolve_shared},
};
use imbl::OrdMap;

use super::{Index, View};

pub mod by_name;

use by_name::{ByName, Place};

/// The view.
#[derive(Debug)]
pub struct Integrations;

impl View for Integrations {
    type Key = IntegrationId;
    type Document = Arc<Integration>;
    type Index = Lookup;

    const NAME: &'static str = "integrations";
    const VERSION: u32 = FOLD_VERSION;

    fn keys(fact: &Fact) -> Vec<IntegrationId> {
        vec![fact.integration]
    }

    fn apply(_key: &IntegrationId, document: Option<Arc<Integration>>, fact: &Fact) -> Option<Arc<Integration>> {
        evolve_shared(document, fact)
    }
}

/// Other ways to find a tenant's integrations.
#[derive(Debug, Clone, Default)]
pub struct Lookup {
    slugs: OrdMap<Slug, IntegrationId>,
    /// Those that are not embedded.
    all: ByName,
    /// Of those: what each principal owns or is shared.
    reachable: OrdMap<PrincipalId, ByName>,
    libraries: OrdMap<LibraryId, ByName>,
}

impl Lookup {
    /// The integration that a slug stands for.
    #[must_use]
    pub fn by_slug(&self, slug: &Slug) -> Option<IntegrationId> {
        self.slugs.get(slug).copied()
    }

    /// All that are not embedded.
    #[must_use]
    pub fn all(&self) -> &ByName {
        &self.all
    }

    /// All that are not embedded and that a principal owns or is shared; `None` when there is none.
    #[must_use]
    pub fn reachable(&self, principal: &PrincipalId) -> Option<&ByName> {
        self.reachable.get(principal)
    }

    /// All that are embedded in a library; `None` when there is none.
    #[must_use]
    pub fn embedded(&self, library: &LibraryId) -> Option<&ByName> {
        self.libraries.get(library)
    }

    fn add(&mut self, integration: &Integration) {
        let place = Place::of(integration);
        if let Some(library) = &integration.library {
            self.libraries.entry(library.clone()).or_default().insert(place);
            return;
        }
        for principal in principals(integration) {
            self.reachable.entry(principal.clone()).or_default().insert(place.clone());
        }
        self.all.insert(place);
    }

    fn take(&mut self, integration: &Integration) {
        let place = Place::of(integration);
        if let Some(library) = &integration.library {
            take_from(&mut self.libraries, library, &place);
            return;
        }
        for principal in principals(integration) {
            take_from(&mut self.reachable, principal, &place);
        }
        self.all.remove(&place);
    }
}

fn take_from<K: Ord + Clone>(sets: &mut OrdMap<K, ByName>, key: &K, place: &Place) {
    let Some(set) = sets.get_mut(key) else { return };
    set.remove(place);
    if set.is_empty() {
        sets.remove(key);
    }
}

/// Everybody who owns it or is shared it.
fn principals(integration: &Integration) -> impl Iterator<Item = &PrincipalId> {
    std::iter::once(&integration.owner).chain(integration.shares.keys())
}

/// Whether two states of an integration stand in the same places of the same sets. A library never changes.
fn stand_alike(one: &Integration, other: &Integration) -> bool {
    one.settings.name == other.settings.name && principals(one).eq(principals(other))
}

impl Index<IntegrationId, Arc<Integration>> for Lookup {
    fn update(&mut self, id: &IntegrationId, before: Option<&Arc<Integration>>, after: Option<&Arc<Integration>>) {
        if let (Some(before), Some(after)) = (before, after)
            && stand_alike(before, after)
        {
            return;
        }
        if let Some(before) = before {
            self.take(before);
        }
        if let Some(after) = after {
            self.add(after);
        }
        match (before, after) {
            (None, Some(new)) => {
                self.slugs.insert(new.slug.clone(), *id);
            }
            // A new holder may have taken the slug already in the order of keys: it is not his that goes.
            (Some(old), None) if self.slugs.get(&old.slug) == Some(id) => {
                self.slugs.remove(&old.slug);
            }
            // A slug never changes.
            (Some(_), Some(_) | None) | (None, None) => {}
        }
    }
}
