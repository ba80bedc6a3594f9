//! What a view is: a name, a version, and a pure fold from events to documents.

use std::{fmt::Display, str::FromStr};

use events::integration::Fact;
use serde::{Serialize, de::DeserializeOwned};

pub mod integrations;

/// A view: documents by key, each folded from the events that touch it.
pub trait View: Send + Sync + 'static {
    /// Names a document within its tenant.
    type Key: Clone + Ord + Display + FromStr + Send + Sync;
    /// What the view shows under a key.
    type Document: Clone + Serialize + DeserializeOwned + Send + Sync;
    /// Other ways to find documents, kept beside them.
    type Index: Index<Self::Key, Self::Document>;

    /// Its name, for operators.
    const NAME: &'static str;
    /// Raised whenever the fold gives other documents for the same events, or a document another stored form.
    const VERSION: u32;

    /// The keys whose documents an event touches, from the event alone.
    fn keys(fact: &Fact) -> Vec<Self::Key>;

    /// A key's document after an event that touches it; `None` when there is none.
    fn apply(key: &Self::Key, document: Option<Self::Document>, fact: &Fact) -> Option<Self::Document>;
}

/// Other ways to find a tenant's documents, kept up with every change of one.
pub trait Index<K, D>: Clone + Default + Send + Sync {
    /// A document changed.
    fn update(&mut self, key: &K, before: Option<&D>, after: Option<&D>);
}

/// For views that are only read by key.
impl<K, D> Index<K, D> for () {
    fn update(&mut self, _key: &K, _before: Option<&D>, _after: Option<&D>) {}
}
