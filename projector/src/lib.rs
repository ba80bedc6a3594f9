//! Log to views: pure folds ([`view`]), the [`runner`] that feeds them, the [`store`] that holds what they show. Beside
//! them the publisher to Kafka ([`kafka`], with the feature of this name).

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod place;
mod replay;
pub mod runner;
pub mod store;
pub mod view;
