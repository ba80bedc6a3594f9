//! The write routes: admit, read, decide, answer; and the one place where a rejection becomes a problem.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use events::{
    ids::{PrincipalId, TagId},
    integration::{Integration, LastEvent},
    principal::Level,
    store::Error as StoreError,
};
use http::{HeaderValue, StatusCode, header};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{
    body::parse_json,
    client::audit_reason,
    conditional::{self, HAL, IfMatch, JSON},
    incoming::Incoming,
    position,
    problem::{Fault, Kind, Problem},
    representation::{CreatedIntegration, IntegrationDetail, ShareDetail, TagList, integration_href, to_json},
};

use crate::{
    aggregate::{Aggregate, Live},
    decide::{Command, Need, Precondition, Rejection},
    handler::{Admitted, Asking, Error, Handler, Intent, last_of},
    keys, request,
};

mod icon;

type Commands = State<Arc<Handler>>;

/// The write routes.
pub fn router(handler: Arc<Handler>) -> OpenApiRouter {
    routes().with_state(handler)
}

/// What the write routes are, for a process that does not serve them.
#[must_use]
pub fn description() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<Handler>> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(update, delete))
        .routes(routes!(share, unshare))
        .routes(routes!(transfer_ownership))
        .routes(routes!(set_tags))
        .routes(routes!(add_tag, remove_tag))
        .routes(routes!(icon::set, icon::remove))
}

/// Create an integration
///
/// Needs `permission.integrations.create`. Name and type are required; a known type fills what the body leaves out.
/// With an `id` in the body, or an `Idempotency-Key`, the same request again gets the first answer again.
#[utoipa::path(
    post, path = "/api/integrations", tag = "Integrations",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters: the same key and request get the first answer again")),
    request_body(content = request::schema::CreateBody, content_type = "application/json"),
    responses((status = 201, description = "Created, now or by the same request before", body = CreatedIntegration<'static>, content_type = "application/json"))
)]
async fn create(State(handler): Commands, mut incoming: Incoming) -> Result<Response, Problem> {
    let caller = incoming.principal()?;
    if !caller.may_create() {
        return Err(Error::from(Rejection::NotPermitted).into());
    }
    let body = incoming.read_json().await?;
    incoming.expect_no_query()?;
    let asking = asking(&incoming)?;
    let key = idempotency_key(&incoming)?;
    let request = request::create(parse_json(&body)?, &caller).map_err(Problem::invalid)?;
    let created = handler.create(asking, key, request).await?;
    let integration = &created.integration;
    let mut response = (StatusCode::CREATED, to_json(&CreatedIntegration::of(integration))).into_response();
    let headers = response.headers_mut();
    let location = HeaderValue::from_str(&integration_href(integration.id)).expect("a path of a UUID is visible ASCII");
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::LOCATION, location);
    headers.insert(header::ETAG, conditional::detail_tag(&integration.last));
    headers.insert(position::INTEGRATION_POSITION, position::header_value(created.position));
    Ok(response)
}

/// Update an integration
///
/// Needs level 2. Only fields given change; null clears an optional one; `data` is replaced whole. Secrets belong to the
/// origins that they were given for: who changes an origin gives the secrets again.
#[utoipa::path(
    put, path = "/api/integrations/{id}", tag = "Integrations",
    params(("id" = String, Path, description = "Id or slug")),
    request_body(content = request::schema::UpdateBody, content_type = "application/json"),
    responses((status = 200, description = "The updated integration", body = IntegrationDetail<'static>, content_type = "application/hal+json"))
)]
async fn update(State(handler): Commands, mut incoming: Incoming) -> Result<Response, Problem> {
    let admitted = admit(&handler, &incoming, Need::Level(Level::Write)).await?;
    let body = incoming.read_json().await?;
    let (asking, precondition) = parameters(&incoming)?;
    let request = request::update(parse_json(&body)?);
    let state = handler.execute(asking, admitted, precondition, Intent::Update(Box::new(request))).await?;
    Ok(detail(live(&state)?))
}

/// Delete an integration
///
/// Needs level 3. Its data key is destroyed before this answers: its secrets cannot be read any more, whatever keeps
/// the log.
#[utoipa::path(
    delete, path = "/api/integrations/{id}", tag = "Integrations",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 204, description = "Deleted"))
)]
async fn delete(State(handler): Commands, incoming: Incoming) -> Result<Response, Problem> {
    let admitted = admit(&handler, &incoming, Need::Level(Level::Admin)).await?;
    let (asking, precondition) = parameters(&incoming)?;
    let state = handler.execute(asking, admitted, precondition, Intent::Plain(Command::DeleteIntegration)).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(last) = last_of(&state) {
        conditional::add_position(&mut response, last.position);
    }
    Ok(response)
}

/// Share an integration
///
/// Needs level 3. Gives a user or team a level, or another level; no body is level 1.
#[utoipa::path(
    put, path = "/api/integrations/{id}/shares/{principalId}", tag = "Sharing",
    params(("id" = String, Path, description = "Id or slug"), ("principalId" = String, Path, description = "A user or team")),
    request_body(content = Option<request::schema::ShareBody>, content_type = "application/json"),
    responses((status = 200, description = "The share", body = ShareDetail<'static>, content_type = "application/json"))
)]
async fn share(State(handler): Commands, mut incoming: Incoming) -> Result<Response, Problem> {
    let admitted = admit(&handler, &incoming, Need::Level(Level::Admin)).await?;
    let body = incoming.read_json().await?;
    let (asking, precondition) = parameters(&incoming)?;
    let principal = PrincipalId::parse(incoming.path("principalId"));
    let level = request::share(if body.is_empty() { None } else { Some(parse_json(&body)?) });
    let (principal, level) = match (principal, level) {
        (Ok(principal), Ok(level)) => (principal, level),
        (principal, level) => {
            let path = principal.err().map(|error| Fault::new("path:principalId", error.rule()));
            let faults = path.into_iter().chain(level.err().into_iter().flatten()).collect();
            return Err(handler.refuse(&asking, admitted, &precondition, faults).await.into());
        }
    };
    let command = Command::ShareIntegration { principal: principal.clone(), level };
    let state = handler.execute(asking, admitted, precondition, Intent::Plain(command)).await?;
    let integration = &live(&state)?.integration;
    let share = integration.shares.get(&principal).ok_or_else(Problem::not_found)?;
    let body = to_json(&ShareDetail::of(integration.id, &principal, share));
    Ok(with_state((StatusCode::OK, [(header::CONTENT_TYPE, JSON)], body).into_response(), &integration.last))
}

/// End a share
///
/// Needs level 3; the share of one's own user name may always be dropped.
#[utoipa::path(
    delete, path = "/api/integrations/{id}/shares/{principalId}", tag = "Sharing",
    params(("id" = String, Path, description = "Id or slug"), ("principalId" = String, Path, description = "A user or team")),
    responses((status = 204, description = "Ended"))
)]
async fn unshare(State(handler): Commands, incoming: Incoming) -> Result<Response, Problem> {
    let principal = PrincipalId::parse(incoming.path("principalId"));
    let need = principal.as_ref().map_or(Need::Level(Level::Admin), |id| Need::AdminOr(id.clone()));
    let admitted = admit(&handler, &incoming, need).await?;
    let (asking, precondition) = parameters(&incoming)?;
    let principal = principal.map_err(|_| Problem::not_found())?;
    let command = Command::UnshareIntegration { principal };
    let state = handler.execute(asking, admitted, precondition, Intent::Plain(command)).await?;
    Ok(no_content(live(&state)?))
}

/// Give an integration to another owner
///
/// Needs level 3. The old owner keeps nothing unless it is shared with him; a share of the new owner ends.
#[utoipa::path(
    put, path = "/api/integrations/{id}/owner", tag = "Sharing",
    params(("id" = String, Path, description = "Id or slug")),
    request_body(content = request::schema::OwnerBody, content_type = "application/json"),
    responses((status = 200, description = "The integration", body = IntegrationDetail<'static>, content_type = "application/hal+json"))
)]
async fn transfer_ownership(State(handler): Commands, mut incoming: Incoming) -> Result<Response, Problem> {
    let admitted = admit(&handler, &incoming, Need::Level(Level::Admin)).await?;
    let body = incoming.read_json().await?;
    let (asking, precondition) = parameters(&incoming)?;
    let to = match request::owner(parse_json(&body)?) {
        Ok(to) => to,
        Err(faults) => return Err(handler.refuse(&asking, admitted, &precondition, faults).await.into()),
    };
    let state =
        handler.execute(asking, admitted, precondition, Intent::Plain(Command::TransferOwnership { to })).await?;
    Ok(detail(live(&state)?))
}

/// Replace the tags of an integration
///
/// Needs level 2. A tag twice counts once.
#[utoipa::path(
    put, path = "/api/integrations/{id}/tags", tag = "Tags",
    params(("id" = String, Path, description = "Id or slug")),
    request_body(content = request::schema::TagsBody, content_type = "application/json"),
    responses((status = 200, description = "All tags", body = TagList<'static>, content_type = "application/json"))
)]
async fn set_tags(State(handler): Commands, mut incoming: Incoming) -> Result<Response, Problem> {
    let admitted = admit(&handler, &incoming, Need::Level(Level::Write)).await?;
    let body = incoming.read_json().await?;
    let (asking, precondition) = parameters(&incoming)?;
    let tags = match request::tags(parse_json(&body)?) {
        Ok(tags) => tags,
        Err(faults) => return Err(handler.refuse(&asking, admitted, &precondition, faults).await.into()),
    };
    let state = handler.execute(asking, admitted, precondition, Intent::Plain(Command::SetTags { tags })).await?;
    Ok(tags_of(live(&state)?))
}

/// Add a tag to an integration
///
/// Needs level 2.
#[utoipa::path(
    put, path = "/api/integrations/{id}/tags/{tagId}", tag = "Tags",
    params(("id" = String, Path, description = "Id or slug"), ("tagId" = String, Path, description = "A tag's id")),
    responses((status = 200, description = "All tags", body = TagList<'static>, content_type = "application/json"))
)]
async fn add_tag(State(handler): Commands, incoming: Incoming) -> Result<Response, Problem> {
    let admitted = admit(&handler, &incoming, Need::Level(Level::Write)).await?;
    let (asking, precondition) = parameters(&incoming)?;
    let tag = match TagId::parse(incoming.path("tagId")) {
        Ok(tag) => tag,
        Err(error) => {
            let faults = vec![Fault::new("path:tagId", error.rule())];
            return Err(handler.refuse(&asking, admitted, &precondition, faults).await.into());
        }
    };
    let state = handler.execute(asking, admitted, precondition, Intent::Plain(Command::AddTag { tag })).await?;
    Ok(tags_of(live(&state)?))
}

/// Remove a tag from an integration
///
/// Needs level 2.
#[utoipa::path(
    delete, path = "/api/integrations/{id}/tags/{tagId}", tag = "Tags",
    params(("id" = String, Path, description = "Id or slug"), ("tagId" = String, Path, description = "A tag's id")),
    responses((status = 204, description = "Removed"))
)]
async fn remove_tag(State(handler): Commands, incoming: Incoming) -> Result<Response, Problem> {
    let admitted = admit(&handler, &incoming, Need::Level(Level::Write)).await?;
    let (asking, precondition) = parameters(&incoming)?;
    let tag = TagId::parse(incoming.path("tagId")).map_err(|_| Problem::not_found())?;
    let state = handler.execute(asking, admitted, precondition, Intent::Plain(Command::RemoveTag { tag })).await?;
    Ok(no_content(live(&state)?))
}

/// Lets the caller in, if he may see the integration and do what he needs to.
async fn admit(handler: &Handler, incoming: &Incoming, need: Need) -> Result<Admitted, Problem> {
    Ok(handler.admit(&incoming.principal()?, incoming.reference()?, need).await?)
}

/// What stands in query and headers of a command on one integration.
fn parameters(incoming: &Incoming) -> Result<(Asking, Precondition), Problem> {
    incoming.expect_no_query()?;
    let precondition = match IfMatch::of(&incoming.headers)? {
        IfMatch::Absent => Precondition::Nothing,
        IfMatch::Exists => Precondition::Exists,
        IfMatch::OneOf(changes) => Precondition::OneOf(changes),
    };
    Ok((asking(incoming)?, precondition))
}

fn asking(incoming: &Incoming) -> Result<Asking, Problem> {
    let context = incoming.context();
    Ok(Asking {
        caller: incoming.principal()?,
        correlation_id: context.map(|context| context.request_id.clone()).unwrap_or_default(),
        traceparent: context.and_then(|context| context.traceparent.clone()),
        client: context.map(|context| context.client.to_string()),
        reason: audit_reason(&incoming.headers)?,
    })
}

fn idempotency_key(incoming: &Incoming) -> Result<Option<String>, Problem> {
    let max = events::limits::IDEMPOTENCY_KEY_CHARS_MAX;
    let invalid =
        || Problem::parameter("header:Idempotency-Key", format!("must be given once, 1 to {max} visible characters"));
    let mut values = incoming.headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none()).ok_or_else(invalid)?;
    let is_valid = (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid { Ok(Some(text.to_owned())) } else { Err(invalid()) }
}

fn live(state: &Aggregate) -> Result<&Live, Problem> {
    match state {
        Aggregate::Live(live) => Ok(live),
        Aggregate::Absent | Aggregate::Deleted(_) => Err(Problem::not_found()),
    }
}

fn detail(live: &Live) -> Response {
    let integration: &Integration = &live.integration;
    let body = to_json(&IntegrationDetail::of(integration));
    with_state((StatusCode::OK, [(header::CONTENT_TYPE, HAL)], body).into_response(), &integration.last)
}

fn tags_of(live: &Live) -> Response {
    let body = to_json(&TagList { tags: &live.integration.tags });
    with_state((StatusCode::OK, [(header::CONTENT_TYPE, JSON)], body).into_response(), &live.integration.last)
}

fn no_content(live: &Live) -> Response {
    with_state(StatusCode::NO_CONTENT.into_response(), &live.integration.last)
}

fn with_state(mut response: Response, last: &LastEvent) -> Response {
    response.headers_mut().insert(header::ETAG, conditional::detail_tag(last));
    conditional::add_position(&mut response, last.position);
    response
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        const AWAY: &str = "The event store is not available. Nothing was done.";
        match error {
            Error::Rejected(rejection) => rejected(rejection),
            Error::KeyReused => {
                Self::new(Kind::KeyReused, "This Idempotency-Key was used for another request: choose a new one.")
            }
            Error::Contended => Self::retry_after(
                Kind::Unavailable,
                "Other changes of this integration came first. Nothing was done.",
                1,
            ),
            Error::Store(StoreError::OutcomeUnknown(cause)) => {
                let detail = "It may have been done: repeat it with the same id or key.";
                Self::retry_after(Kind::OutcomeUnknown, detail, 1).with_cause(StoreError::OutcomeUnknown(cause))
            }
            Error::Parked { .. } => {
                let detail = "It has an event that this release cannot read: a newer one wrote it, or it is damaged.";
                Self::retry_after(Kind::Unavailable, detail, 60).with_cause(error)
            }
            Error::Keys(keys::Error::Unreadable(_)) => {
                let detail = "Its data key cannot be read by this release: a newer one wrote it, or it is damaged.";
                Self::retry_after(Kind::Unavailable, detail, 60).with_cause(error)
            }
            Error::Store(_) | Error::Keys(_) | Error::Stored(_) => {
                Self::retry_after(Kind::Unavailable, AWAY, 1).with_cause(error)
            }
        }
    }
}

fn rejected(rejection: Rejection) -> Problem {
    match rejection {
        Rejection::NotFound => Problem::not_found(),
        Rejection::NotPermitted => Problem::new(Kind::NotPermitted, "Your rights do not allow this."),
        Rejection::Stale { current } => {
            Problem::new(Kind::Stale, "It is no longer in the state that If-Match names. Nothing was done.")
                .with_header(header::ETAG, conditional::detail_tag(&current))
        }
        Rejection::Invalid(faults) => Problem::invalid(faults),
        Rejection::IdTaken => Problem::new(Kind::IdTaken, "This id stands for another integration, or did."),
    }
}
