//! The read side: lists, details, sharing, tags, icons and drivers, served from the views' snapshots.

mod hal;
mod list;
mod not_built;
mod read;
mod routes;
mod search;

pub use read::Queries;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

/// The read routes, and those of the contract that come with a later release.
pub fn router(queries: Arc<Queries>) -> OpenApiRouter {
    routes::router(Arc::clone(&queries)).merge(not_built::router(queries))
}
