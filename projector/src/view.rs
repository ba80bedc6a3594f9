//! What a view is: a name, a version, and a pure fold from events to documents. And the list of the built-in ones: what
//! stands in it is fed, listed, rebuilt, measured and can be read.

use std::{fmt::Display, str::FromStr, sync::Arc};

use events::integration::Fact;
use serde::{Serialize, de::DeserializeOwned};

use crate::store::ReadViews;

pub mod access_by_principal;
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

/// For views that are read by key alone, or in the order of keys.
impl<K, D> Index<K, D> for () {
    fn update(&mut self, _key: &K, _before: Option<&D>, _after: Option<&D>) {}
}

/// Makes of a list of views what needs to know all of them.
macro_rules! built_in {
    ($($(#[$doc:meta])* $name:ident: $view:ty,)*) => {
        /// The names of the built-in views.
        pub const NAMES: &[&str] = &[$(<$view>::NAME),*];

        /// A reader of each built-in view.
        #[derive(Debug, Clone)]
        pub struct Readers {
            $($(#[$doc])* pub $name: Arc<dyn ReadViews<$view>>,)*
        }

        impl Readers {
            /// Makes one for each.
            pub fn make(maker: &mut impl MakeReader) -> Self {
                Self { $($name: maker.make::<$view>(),)* }
            }
        }

        /// Does something with the view of this name; `None` when there is no such view.
        pub fn with_view<W: WithView>(name: &str, what: W) -> Option<W::Output> {
            $(if name == <$view>::NAME {
                return Some(what.with::<$view>());
            })*
            None
        }
    };
}

built_in! {
    /// Detail, HAL list and flat list.
    integrations: integrations::Integrations,
    /// What each user and team owns or is shared.
    access_by_principal: access_by_principal::AccessByPrincipal,
}

/// Something that makes a reader of any view.
pub trait MakeReader {
    /// Makes it.
    fn make<V: View>(&mut self) -> Arc<dyn ReadViews<V>>;
}

/// Something that can be done with any view.
pub trait WithView {
    /// What comes of it.
    type Output;

    /// Does it.
    fn with<V: View>(self) -> Self::Output;
}
