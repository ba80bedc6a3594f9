//! What stands at the root: the API's description, health, metrics.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use events::{
    ids::Position,
    store::{EventStore, Health},
};
use http::header;
use projector::store::{ParkedStreams, ViewState, Views};
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{
    conditional::JSON,
    docs,
    incoming::Incoming,
    load::Load,
    metrics::{CONTENT_TYPE, Metrics, ViewLabels},
    problem::{Kind, Problem},
    readiness::Readiness,
};

use crate::service::Service;

/// What becomes of the log on Kafka.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub(crate) state: &'static str,
    /// Unknown to a process whose turn it is not.
    pub(crate) reached: Option<Reached>,
}

/// How far the log is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) position: Position,
    pub(crate) held_back: usize,
}

/// The state of a publisher with which all is well.
const PUBLISHING: &str = "publishing";
/// The state of one that would take over.
pub(crate) const STANDING_BY: &str = "standing by";

/// Tells how far the log is published, where it is.
pub(crate) type Publishing = Option<Arc<dyn Fn() -> Published + Send + Sync>>;

/// What health and metrics are told from.
#[derive(Clone)]
pub(crate) struct Root {
    pub(crate) store: Arc<dyn EventStore>,
    /// The views that it feeds or shows.
    pub(crate) views: Vec<Arc<dyn Views>>,
    /// Whether it is of no use without the log.
    pub(crate) writes_log: bool,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) load: Arc<Load>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) publishing: Publishing,
}

impl Root {
    /// What a process is told from that needs the log.
    pub(crate) fn of(service: &Service, store: &Arc<dyn EventStore>, views: Vec<Arc<dyn Views>>) -> Self {
        Self {
            store: Arc::clone(store),
            views,
            writes_log: true,
            readiness: Arc::clone(&service.readiness),
            load: Arc::clone(&service.load),
            metrics: Arc::clone(&service.metrics),
            publishing: None,
        }
    }

    /// How many streams are parked in any view.
    fn parked(&self) -> usize {
        let parked: Vec<Arc<ParkedStreams>> = self.views.iter().map(|views| views.parked()).collect();
        parked.iter().flat_map(|parked| parked.keys()).collect::<BTreeSet<_>>().len()
    }
}

/// Health and the page of the documentation.
pub(crate) fn router(root: Root) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz)).routes(routes!(docs_page)).with_state(root)
}

/// The metrics, by themselves or beside the rest.
pub(crate) fn metrics_router(root: Root) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(metrics)).with_state(root)
}

/// The description of all routes, which describes itself too.
pub(crate) fn openapi_routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(openapi_placeholder))
}

/// Serves the description.
pub(crate) fn openapi_router(description: String) -> Router {
    let description: Arc<str> = description.into();
    let answer = move |_: Incoming| {
        let description = Arc::clone(&description);
        async move { ([(header::CONTENT_TYPE, JSON)], description.to_string()) }
    };
    Router::new().route("/openapi.json", get(answer))
}

/// The API's description (OpenAPI 3.1)
#[utoipa::path(
    get, path = "/openapi.json", tag = "Service",
    responses((status = 200, description = "This description", content_type = "application/json", body = Object))
)]
async fn openapi_placeholder() {}

/// The API's documentation, for people
#[utoipa::path(
    get, path = "/docs", tag = "Service",
    responses((status = 200, description = "A page", content_type = "text/html", headers(("Content-Security-Policy", description = "Lets the page run its own script and nothing else"))))
)]
async fn docs_page(_: Incoming) -> Response {
    docs::page()
}

/// Whether the process is alive
#[utoipa::path(
    get, path = "/livez", tag = "Service",
    responses((status = 200, description = "It is", content_type = "text/plain", body = String))
)]
async fn livez(_: Incoming) -> &'static str {
    "live\n"
}

/// Whether the service can serve
#[utoipa::path(
    get, path = "/readyz", tag = "Service",
    responses((status = 200, description = "It can", content_type = "text/plain", body = String))
)]
async fn readyz(State(root): State<Root>, _: Incoming) -> Result<String, Problem> {
    root.readiness.check()?;
    // Not held while the text is made: whoever tells that it changed would wait for that, and that for him.
    let is_log_well = *root.store.health().borrow() == Health::Ready;
    if root.writes_log && !is_log_well {
        return Err(Problem::retry_after(Kind::NotReady, "Not ready: the event log cannot be written.", 1));
    }
    Ok(ready(&root, is_log_well))
}

/// It is: parked streams, and the log that others write, views or Kafka away, are for an operator to know, and no reason to
/// take the service away from everybody else.
fn ready(root: &Root, is_log_well: bool) -> String {
    let mut text = "ready".to_owned();
    if !is_log_well {
        text.push_str(", event log: away");
    }
    let parked = root.parked();
    if parked > 0 {
        text.push_str(&format!(", parked streams: {parked}"));
    }
    for views in &root.views {
        let state = match views.state() {
            ViewState::Kept => continue,
            ViewState::StandingBy => STANDING_BY,
            ViewState::Stopped => "stopped",
        };
        text.push_str(&format!(", view {}: {state}", views.view()));
    }
    if let Some(published) = root.publishing.as_ref().map(|published| published()) {
        if published.state != PUBLISHING {
            text.push_str(&format!(", Kafka: {}", published.state));
            if let Some(reached) = published.reached {
                let behind = root.store.head().borrow().get().saturating_sub(reached.position.get());
                text.push_str(&format!(", {behind} positions behind"));
            }
        }
        if let Some(reached) = published.reached.filter(|reached| reached.held_back > 0) {
            text.push_str(&format!(", streams held back from Kafka: {}", reached.held_back));
        }
    }
    text + "\n"
}

/// What the service measures of itself (OpenMetrics)
#[utoipa::path(
    get, path = "/metrics", tag = "Service",
    responses((status = 200, description = "The metrics", content_type = "application/openmetrics-text", body = String))
)]
async fn metrics(State(root): State<Root>, _: Incoming) -> Response {
    let head = root.store.head().borrow().get();
    root.metrics.log_position.set(head);
    let mut checkpoints = Vec::new();
    // How far a view is, the process knows that feeds it.
    for views in &root.views {
        let (labels, checkpoint) = (ViewLabels { view: views.view() }, views.checkpoint().borrow().get());
        if views.state() == ViewState::StandingBy {
            root.metrics.view_checkpoint.remove(&labels);
            root.metrics.view_parked_streams.remove(&labels);
            continue;
        }
        root.metrics.view_checkpoint.get_or_create(&labels).set(checkpoint);
        root.metrics.view_parked_streams.get_or_create(&labels).set(views.parked().len() as u64);
        checkpoints.push(checkpoint);
    }
    // Of the view that is furthest behind.
    let lag = checkpoints.into_iter().min().map_or(0, |checkpoint| head.saturating_sub(checkpoint));
    root.metrics.projection_lag.set(lag);
    if let Some(published) = root.publishing.as_ref().map(|published| published()) {
        let lag = published.reached.map(|reached| head.saturating_sub(reached.position.get()));
        let held_back = published.reached.map(|reached| reached.held_back as u64);
        root.metrics.kafka.tell(published.state == PUBLISHING, published.state == STANDING_BY, lag, held_back);
    }
    root.metrics.parked_streams.set(root.parked() as u64);
    root.metrics.requests_in_flight.set(i64::try_from(root.load.in_flight()).unwrap_or(i64::MAX));
    root.metrics.requests_waiting.set(i64::try_from(root.load.waiting()).unwrap_or(i64::MAX));
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], root.metrics.render()).into_response()
}
