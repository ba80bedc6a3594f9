//! The read side: lists, details, sharing, tags, icons and drivers, served from the views' snapshots.

mod cache;
mod hal;
mod list;
mod read;
mod routes;
mod search;

pub use read::{Queries, Settings};
pub use routes::{description, router};
