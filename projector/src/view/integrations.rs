//! The view `integrations`: detail, HAL list and flat list show the same document, the integration's public state.

use std::sync::Arc;

use events::{
    ids::{IntegrationId, Slug},
    integration::{FOLD_VERSION, Fact, Integration, evolve},
};

use super::{Index, View};

/// The view.
#[derive(Debug)]
pub struct Integrations;

impl View for Integrations {
    type Key = IntegrationId;
    type Document = Arc<Integration>;
    type Index = BySlug;

    const NAME: &'static str = "integrations";
    const VERSION: u32 = FOLD_VERSION;

    fn keys(fact: &Fact) -> Vec<IntegrationId> {
        vec![fact.integration]
    }

    fn apply(_key: &IntegrationId, document: Option<Arc<Integration>>, fact: &Fact) -> Option<Arc<Integration>> {
        evolve(document.map(Arc::unwrap_or_clone), fact).map(Arc::new)
    }
}

/// A tenant's integrations by slug.
#[derive(Debug, Clone, Default)]
pub struct BySlug(imbl::OrdMap<Slug, IntegrationId>);

impl BySlug {
    /// The integration that a slug stands for.
    #[must_use]
    pub fn get(&self, slug: &Slug) -> Option<IntegrationId> {
        self.0.get(slug).copied()
    }
}

impl Index<IntegrationId, Arc<Integration>> for BySlug {
    fn update(&mut self, id: &IntegrationId, before: Option<&Arc<Integration>>, after: Option<&Arc<Integration>>) {
        match (before, after) {
            (None, Some(new)) => {
                self.0.insert(new.slug.clone(), *id);
            }
            // A new holder may have taken the slug already in the order of keys: it is not his that goes.
            (Some(old), None) if self.0.get(&old.slug) == Some(id) => {
                self.0.remove(&old.slug);
            }
            // A slug never changes.
            (Some(_), Some(_) | None) | (None, None) => {}
        }
    }
}
