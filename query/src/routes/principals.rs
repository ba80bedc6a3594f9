//! What a user or team reaches: told to those who are that principal, and to admins of the tenant.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use events::{
    envelope::Digest,
    ids::PrincipalId,
    integration::{FOLD_VERSION, Integration},
};
use projector::{
    store::Snapshot,
    view::{
        View as _,
        access_by_principal::{AccessByPrincipal, Reach},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{conditional::HAL, incoming::Incoming, params::encode_segment, problem::Problem, representation::to_json};

use super::{Read, Shown};
use crate::{
    hal::{PAGE_PARAMS, Page, PageLinks, PageQuery, ReachableCollection, ReachableItem},
    list::{SORT_PARAM, Sort},
    read::Queries,
};

pub(super) fn routes() -> OpenApiRouter<Arc<Queries>> {
    OpenApiRouter::new().routes(routes!(reachable))
}

/// List what a user or team reaches
///
/// Everything that the principal owns or is shared, embedded integrations too, with what he may do with each. Told to the
/// user himself, to members of the team, and to admins of the tenant; for everybody else nothing is there.
#[utoipa::path(
    get, path = "/api/principals/{id}/integrations", tag = "Sharing",
    params(
        ("id" = String, Path, description = "A user or team"),
        PageQuery,
    ),
    responses((status = 200, description = "A page", body = ReachableCollection<'static>, content_type = "application/hal+json"))
)]
async fn reachable(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    let principal = PrincipalId::parse(incoming.path("id")).map_err(|_| Problem::not_found())?;
    let caller = incoming.caller()?;
    // Whether anybody has heard of the principal makes no difference: nobody learns that here.
    if !(caller.principal.permissions.admin || caller.principal.is(&principal)) {
        return Err(Problem::not_found());
    }
    let (mut reading, access) = queries.read_access(&incoming).await?;
    let mut params = incoming.query(&[PAGE_PARAMS[0], PAGE_PARAMS[1], SORT_PARAM]);
    let (page, sort) = (Page::of(&mut params), Sort::of(&mut params));
    let query = params.check()?;
    reading.check()?;
    let (canonical, resource) = (query.string(&[]), resource(&access, &principal));
    let shape = reading.collection(&resource, &canonical);
    Ok(Shown { queries: &queries, reading: &reading, headers: &incoming.headers, shape, media_type: HAL }.collection(
        || {
            let all = queries.reachable(&reading, &access, &principal, reading.collection(&resource, "all"));
            let mut found: Vec<&Arc<Integration>> = all.iter().collect();
            if let Some(sort) = sort.filter(|sort| !sort.is_by_name()) {
                sort.sort(&mut found);
            }
            let path = format!("/api/principals/{}/integrations", encode_segment(principal.as_str()));
            let links = PageLinks::of(&path, &query, page, found.len());
            let items = found.iter().skip(page.start).take(page.limit).filter_map(|integration| {
                let reach = Reach { principal: principal.clone(), integration: integration.id };
                access.documents.get(&reach).map(|access| ReachableItem::of(integration, *access))
            });
            let items = items.collect();
            to_json(&ReachableCollection::new(links, items, page.start, found.len()))
        },
    ))
}

/// Names the resource and the state of the second view that it is made of: the tag's change is of the first one alone.
fn resource(access: &Snapshot<AccessByPrincipal>, principal: &PrincipalId) -> String {
    let parked = access.parked.iter().map(|(stream, revision)| format!("{stream} {revision}\n")).collect::<String>();
    let state = Digest::of(format!("{} {}\n{parked}", access.position(), access.hash()).as_bytes());
    format!("principal {} {FOLD_VERSION} {state} {principal}", AccessByPrincipal::VERSION)
}
