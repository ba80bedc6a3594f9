//! The roles that a production runs apart: `command`, `projector`, `query`.

use axum::routing::{MethodFilter, on};
use utoipa::openapi::{OpenApi, PathItem};
use utoipa_axum::router::OpenApiRouter;
use web::{
    incoming::Incoming,
    problem::{Kind, Problem},
};

pub(crate) mod command;
pub(crate) mod projector;
pub(crate) mod query;

/// The routes of another role: described like one's own, so that each process knows every method of a path, and answered
/// with where they are not.
fn elsewhere(description: OpenApi, detail: &'static str) -> OpenApiRouter {
    let paths = description.paths.paths.clone();
    let mut router = OpenApiRouter::with_openapi(description);
    for (path, item) in paths {
        let misdirected = async move |_: Incoming| Problem::new(Kind::Misdirected, detail);
        if let Some(filter) = methods(&item).reduce(MethodFilter::or) {
            router = router.route(&path, on(filter, misdirected));
        }
    }
    router
}

fn methods(item: &PathItem) -> impl Iterator<Item = MethodFilter> {
    let all = [
        (&item.get, MethodFilter::GET),
        (&item.put, MethodFilter::PUT),
        (&item.post, MethodFilter::POST),
        (&item.delete, MethodFilter::DELETE),
        (&item.patch, MethodFilter::PATCH),
    ];
    all.into_iter().filter_map(|(operation, filter)| operation.as_ref().map(|_| filter))
}
