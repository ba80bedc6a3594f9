//! Log to views: pure folds ([`view`]), the [`runner`] that feeds them, the [`store`] that holds what they show.

mod replay;
pub mod runner;
pub mod store;
pub mod view;
