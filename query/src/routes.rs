//! The read routes.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use events::{
    driver::Catalogue,
    envelope::Digest,
    event::IconType,
    ids::{LibraryId, PrincipalId},
    integration::{FOLD_VERSION, Integration},
    principal::Level,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::{ToSchema, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{
    bearer::Caller,
    conditional::{Coding, Conditional, HAL, JSON, Shape, add_cache_headers},
    incoming::Incoming,
    layers::AtHand,
    params::encode_segment,
    problem::{Kind, Problem},
    representation::{
        DETAIL_SHAPE, FlatIntegration, IntegrationDetail, IntegrationItem, ShareDetail, TagList, integration_href,
        to_flat_json, to_json,
    },
};

use crate::{
    cache::Key,
    hal::{
        DriverCollection, DriverItem, IntegrationCollection, PAGE_PARAMS, Page, PageLinks, PageQuery, ShareCollection,
        ShareItem, principal_type,
    },
    list::{self, FILTER_PARAMS, Filter, SORT_PARAM, Sort},
    read::{Queries, Reading},
};

mod not_built;
mod principals;

type Read = State<Arc<Queries>>;

const FLAT_LIST: &str = "/api/integrations-list";

/// The read routes, and those of the contract that come with a later release.
pub fn router(queries: Arc<Queries>) -> OpenApiRouter {
    routes().with_state(queries)
}

/// What the read routes are, for a process that does not serve them.
#[must_use]
pub fn description() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<Queries>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(flat_list))
        .routes(routes!(library))
        .merge(principals::routes())
        .routes(routes!(detail))
        .routes(routes!(icon))
        .routes(routes!(shares))
        .routes(routes!(share))
        .routes(routes!(owner))
        .routes(routes!(tags))
        .routes(routes!(access))
        .routes(routes!(drivers))
        .routes(routes!(me))
        .merge(not_built::routes())
}

/// What an answer is about to show.
struct Shown<'a> {
    queries: &'a Queries,
    reading: &'a Reading,
    headers: &'a HeaderMap,
    shape: Shape<'a>,
    media_type: HeaderValue,
}

impl Shown<'_> {
    /// Answers with a collection of the tenant: 304, what is kept of it, or what `render` gives.
    fn collection(self, render: impl FnOnce() -> Vec<u8>) -> Response {
        let snapshot = &self.reading.snapshot;
        let (change, state) = (snapshot.change(), snapshot.hash());
        self.answer(&change, state, render)
    }

    /// Answers with a collection of the tenant where that needs nothing made: 304, or what is kept of it.
    fn at_hand(self) -> Option<Response> {
        let (queries, snapshot) = (self.queries, &self.reading.snapshot);
        let held = |key, _| queries.cache.held(&key).ok_or(());
        self.try_answer(&snapshot.change(), snapshot.hash(), held).ok()
    }

    /// Answers with one integration or a part of it, likewise.
    fn integration(self, integration: &Integration, render: impl FnOnce() -> Vec<u8>) -> Response {
        self.answer(&integration.last.change(), integration.last.hash, render)
    }

    fn answer(self, change: &str, state: Digest, render: impl FnOnce() -> Vec<u8>) -> Response {
        let queries = self.queries;
        let made = |key, coding: Coding| Ok::<_, Infallible>(queries.cache.body(key, || coding.encode(render())));
        let Ok(response) = self.try_answer(change, state, made);
        response
    }

    fn try_answer<E>(
        self,
        change: &str,
        state: Digest,
        body: impl FnOnce(Key, Coding) -> Result<Bytes, E>,
    ) -> Result<Response, E> {
        let conditional = Conditional::of(self.headers);
        let coding = conditional.coding();
        let shape = self.shape.digest(coding);
        let body = || body(Key { state, shape }, coding);
        let response = conditional.try_answer(change, shape, self.media_type, body)?;
        Ok(finish(self.reading, response))
    }
}

/// Adds to an answer what it says of the state that it shows.
fn finish(reading: &Reading, mut response: Response) -> Response {
    reading.add_headers(response.headers_mut());
    response
}

/// List integrations
///
/// All that the caller may see and that are not embedded, as a page.
#[utoipa::path(
    get, path = "/api/integrations", tag = "Integrations",
    params(
        ("q" = Option<String>, Query, description = "Words that must occur in name or description, as a word's prefix"),
        ("supportsUpload" = Option<bool>, Query, description = "Whether files can be uploaded"),
        ("type" = Option<Vec<String>>, Query, description = "Type; repeated: or"),
        ("category" = Option<Vec<String>>, Query, description = "Category; repeated: or"),
        ("tag" = Option<Vec<String>>, Query, description = "Tag; repeated: or"),
        ("ownerId" = Option<Vec<String>>, Query, description = "Owner; repeated: or"),
        PageQuery,
    ),
    responses((status = 200, description = "A page", body = IntegrationCollection<'static>, content_type = "application/hal+json"))
)]
async fn list(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    let mut reading = queries.read(&incoming).await?;
    let known: Vec<_> = FILTER_PARAMS.into_iter().chain(PAGE_PARAMS).chain([SORT_PARAM]).collect();
    let mut params = incoming.query(&known);
    let (page, sort, filter) = (Page::of(&mut params), Sort::of(&mut params), Filter::of(&mut params));
    let query = params.check()?;
    reading.check()?;
    let canonical = query.string(&[]);
    let shape = reading.collection("integrations", &canonical);
    Ok(Shown { queries: &queries, reading: &reading, headers: &incoming.headers, shape, media_type: HAL }.collection(
        || {
            let visible = queries.visible(&reading);
            let found = filter.find(&visible, sort);
            let links = PageLinks::of("/api/integrations", &query, page, found.len());
            to_json(&page_of(&found, page, links))
        },
    ))
}

/// List integrations flat, with tags and sharing
///
/// All that the caller may see and that are not embedded, sorted by name: for galleries and pickers.
#[utoipa::path(
    get, path = FLAT_LIST, tag = "Integrations",
    responses((status = 200, description = "The list", body = Vec<FlatIntegration<'static>>, content_type = "application/json"))
)]
async fn flat_list(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    let mut reading = queries.read(&incoming).await?;
    incoming.expect_no_query()?;
    reading.check()?;
    Ok(flat(&queries, &reading, &incoming.headers).collection(|| to_flat_json(&queries.visible(&reading))))
}

fn flat<'a>(queries: &'a Queries, reading: &'a Reading, headers: &'a HeaderMap) -> Shown<'a> {
    let shape = reading.collection("integrations-list", "");
    Shown { queries, reading, headers, shape, media_type: JSON }
}

/// The flat list, which galleries ask for all the time.
impl AtHand for Queries {
    fn route(&self) -> &'static str {
        FLAT_LIST
    }

    fn answer(&self, caller: Arc<Caller>, headers: &HeaderMap) -> Option<Response> {
        let reading = Queries::at_hand(self, caller, headers)?;
        flat(self, &reading, headers).at_hand()
    }
}

/// List the embedded integrations of a library
#[utoipa::path(
    get, path = "/api/libraries/{libraryId}/integrations", tag = "Integrations",
    params(
        ("libraryId" = String, Path, description = "The library"),
        PageQuery,
    ),
    responses((status = 200, description = "A page", body = IntegrationCollection<'static>, content_type = "application/hal+json"))
)]
async fn library(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    let library = LibraryId::parse(incoming.path("libraryId")).map_err(|_| Problem::not_found())?;
    let mut reading = queries.read(&incoming).await?;
    let mut params = incoming.query(&[PAGE_PARAMS[0], PAGE_PARAMS[1], SORT_PARAM]);
    let (page, sort) = (Page::of(&mut params), Sort::of(&mut params));
    let query = params.check()?;
    reading.check()?;
    let (canonical, resource) = (query.string(&[]), format!("library/{library}"));
    let shape = reading.collection(&resource, &canonical);
    Ok(Shown { queries: &queries, reading: &reading, headers: &incoming.headers, shape, media_type: HAL }.collection(
        || {
            let found = list::embedded(&reading.snapshot, reading.principal(), &library, sort);
            let path = format!("/api/libraries/{}/integrations", encode_segment(library.as_str()));
            let links = PageLinks::of(&path, &query, page, found.len());
            to_json(&page_of(&found, page, links))
        },
    ))
}

/// Get an integration with full details
#[utoipa::path(
    get, path = "/api/integrations/{id}", tag = "Integrations",
    params(("id" = String, Path, description = "Id or slug"), ("at" = Option<String>, Query, description = "A revision or a timestamp: comes with a later release")),
    responses(
        (status = 200, description = "The integration", body = IntegrationDetail<'static>, content_type = "application/hal+json"),
        (status = 501, description = "`at` comes with a later release", content_type = "application/problem+json"),
    )
)]
async fn detail(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    let reference = incoming.reference()?;
    let mut reading = queries.read(&incoming).await?;
    let integration = Arc::clone(reading.visible(&reference)?);
    if incoming.query_names("at") {
        return Err(Problem::new(Kind::NotBuilt, "Time travel comes with a later release."));
    }
    incoming.query(&[("at", web::params::Times::Once)]).check()?;
    reading.check()?;
    let render = || to_json(&IntegrationDetail::of(&integration));
    Ok(Shown { queries: &queries, reading: &reading, headers: &incoming.headers, shape: DETAIL_SHAPE, media_type: HAL }
        .integration(&integration, render))
}

/// Get the icon
///
/// The uploaded image; without one, a redirect to `imageUrl` if that is set.
#[utoipa::path(
    get, path = "/api/integrations/{id}/icon", tag = "Icons",
    params(("id" = String, Path, description = "Id or slug")),
    responses(
        (status = 200, description = "The image", content(("image/png"), ("image/jpeg"), ("image/gif"), ("image/webp"), ("image/svg+xml"))),
        (status = 302, description = "The image is elsewhere"),
    )
)]
async fn icon(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    let reference = incoming.reference()?;
    let mut reading = queries.read(&incoming).await?;
    let known = reading.visible(&reference)?.icon.clone();
    incoming.expect_no_query()?;
    reading.check()?;
    let conditional = Conditional::of(&incoming.headers);
    let found = match known.filter(|icon| conditional.has_bytes(icon.sha256)) {
        Some(icon) => Some((icon, Bytes::new())),
        None => queries.icon(&mut reading, &reference).await?,
    };
    let Some((icon, bytes)) = found else {
        return image_elsewhere(reading.visible(&reference)?).map(|response| finish(&reading, response));
    };
    let media_type = HeaderValue::from_static(icon.media_type.as_str());
    let mut response = conditional.answer_bytes(icon.sha256, media_type, bytes);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if icon.media_type == IconType::Svg {
        // An image that somebody uploaded must not act when it is opened as a page.
        let policy = HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(finish(&reading, response))
}

fn image_elsewhere(integration: &Integration) -> Result<Response, Problem> {
    let url = integration.settings.image_url.as_ref().ok_or_else(Problem::not_found)?;
    let location = HeaderValue::from_str(url.as_str()).map_err(|_| Problem::not_found())?;
    let mut response = (StatusCode::FOUND, [(header::LOCATION, location)]).into_response();
    add_cache_headers(response.headers_mut());
    Ok(response)
}

/// List the shares of an integration
#[utoipa::path(
    get, path = "/api/integrations/{id}/shares", tag = "Sharing",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "All shares", body = ShareCollection<'static>, content_type = "application/hal+json"))
)]
async fn shares(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    show(&queries, &incoming, "shares", HAL, |integration| {
        let item = |(principal, share)| ShareItem::of(integration.id, principal, share);
        let items: Vec<_> = integration.shares.iter().map(item).collect();
        let links = PageLinks::unpaged(&format!("{}/shares", integration_href(integration.id)));
        let total = items.len();
        to_json(&ShareCollection::new(links, items, 0, total))
    })
    .await
}

/// Get a share
#[utoipa::path(
    get, path = "/api/integrations/{id}/shares/{principalId}", tag = "Sharing",
    params(("id" = String, Path, description = "Id or slug"), ("principalId" = String, Path, description = "A user or team")),
    responses((status = 200, description = "The share", body = ShareDetail<'static>, content_type = "application/json"))
)]
async fn share(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    let reference = incoming.reference()?;
    let mut reading = queries.read(&incoming).await?;
    let integration = Arc::clone(reading.visible(&reference)?);
    let principal = PrincipalId::parse(incoming.path("principalId")).map_err(|_| Problem::not_found())?;
    let share = integration.shares.get(&principal).ok_or_else(Problem::not_found)?;
    incoming.expect_no_query()?;
    reading.check()?;
    let resource = format!("share/{principal}");
    let shape = Shape { resource: &resource, version: FOLD_VERSION, query: "", audience: None };
    let render = || to_json(&ShareDetail::of(integration.id, &principal, share));
    Ok(Shown { queries: &queries, reading: &reading, headers: &incoming.headers, shape, media_type: JSON }
        .integration(&integration, render))
}

/// Who owns an integration.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Owner<'a> {
    /// A user or team.
    owner_id: &'a str,
    /// `user` or `team`.
    owner_type: &'a str,
}

/// Get the owner of an integration
#[utoipa::path(
    get, path = "/api/integrations/{id}/owner", tag = "Sharing",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The owner", body = Owner<'static>, content_type = "application/json"))
)]
async fn owner(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    show(&queries, &incoming, "owner", JSON, |integration| {
        let owner = &integration.owner;
        to_json(&Owner { owner_id: owner.as_str(), owner_type: principal_type(owner) })
    })
    .await
}

/// List the tags of an integration
#[utoipa::path(
    get, path = "/api/integrations/{id}/tags", tag = "Tags",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "All tags", body = TagList<'static>, content_type = "application/json"))
)]
async fn tags(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    show(&queries, &incoming, "tags", JSON, |integration| to_json(&TagList { tags: &integration.tags })).await
}

/// What the caller may do with an integration.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Access {
    /// 1 read, 2 write, 3 admin.
    #[schema(minimum = 1, maximum = 3)]
    level: u8,
}

/// Get one's own level on an integration
#[utoipa::path(
    get, path = "/api/integrations/{id}/access", tag = "Sharing",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The level", body = Access, content_type = "application/json"))
)]
async fn access(State(queries): Read, incoming: Incoming) -> Result<Response, Problem> {
    let reference = incoming.reference()?;
    let mut reading = queries.read(&incoming).await?;
    let level: Option<Level> = reading.visible(&reference)?.level_of(reading.principal());
    let level = level.ok_or_else(Problem::not_found)?;
    incoming.expect_no_query()?;
    reading.check()?;
    let shape = Shape { resource: "access", version: FOLD_VERSION, query: "", audience: None };
    let body = to_json(&Access { level: level.into() });
    Ok(finish(&reading, Conditional::of(&incoming.headers).answer_body(shape, JSON, body)))
}

/// List the driver catalogue
#[utoipa::path(
    get, path = "/api/integration-drivers", tag = "Drivers",
    responses((status = 200, description = "All drivers", body = DriverCollection<'static>, content_type = "application/hal+json"))
)]
async fn drivers(incoming: Incoming) -> Result<Response, Problem> {
    incoming.expect_no_query()?;
    let items: Vec<_> = Catalogue::built_in().iter().map(DriverItem::of).collect();
    let (links, total) = (PageLinks::unpaged("/api/integration-drivers"), items.len());
    let body = to_json(&DriverCollection::new(links, items, 0, total));
    let shape = Shape { resource: "integration-drivers", version: 1, query: "", audience: None };
    Ok(Conditional::of(&incoming.headers).answer_body(shape, HAL, body))
}

/// Who asks, as the token says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Me<'a> {
    /// The user name.
    user: &'a str,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    /// The e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    /// The tenant.
    tenant: &'a str,
    /// The teams.
    #[schema(value_type = Vec<String>)]
    groups: &'a [PrincipalId],
    /// What the token allows in the whole tenant.
    permissions: &'a [String],
}

/// Get what the token says
#[utoipa::path(
    get, path = "/api/me", tag = "Caller",
    responses((status = 200, description = "The caller", body = Me<'static>, content_type = "application/json"))
)]
async fn me(incoming: Incoming) -> Result<Response, Problem> {
    incoming.expect_no_query()?;
    let caller = incoming.caller()?;
    let claims = &caller.claims;
    let body = to_json(&Me {
        user: claims.sub.as_str(),
        display_name: claims.name.as_deref(),
        email: claims.email.as_deref(),
        tenant: claims.tenant.as_str(),
        groups: &claims.groups,
        permissions: &claims.permissions,
    });
    let shape = Shape { resource: "me", version: 1, query: "", audience: None };
    Ok(Conditional::of(&incoming.headers).answer_body(shape, JSON, body))
}

/// Shows a part of one integration.
async fn show(
    queries: &Queries,
    incoming: &Incoming,
    resource: &str,
    media_type: HeaderValue,
    render: impl FnOnce(&Integration) -> Vec<u8>,
) -> Result<Response, Problem> {
    let reference = incoming.reference()?;
    let mut reading = queries.read(incoming).await?;
    let integration = Arc::clone(reading.visible(&reference)?);
    incoming.expect_no_query()?;
    reading.check()?;
    let shape = Shape { resource, version: FOLD_VERSION, query: "", audience: None };
    let render = || render(&integration);
    Ok(Shown { queries, reading: &reading, headers: &incoming.headers, shape, media_type }
        .integration(&integration, render))
}

fn page_of<'a>(found: &[&'a Arc<Integration>], page: Page, links: PageLinks) -> IntegrationCollection<'a> {
    let shown = found.iter().skip(page.start).take(page.limit);
    let items = shown.map(|integration| IntegrationItem::of(integration)).collect();
    IntegrationCollection::new(links, items, page.start, found.len())
}

#[cfg(test)]
mod tests;
