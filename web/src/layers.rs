//! The middleware stack, outermost first, each with the reason for its place.

use std::{any::Any, net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};
use tracing::Instrument as _;

use crate::{
    bearer::{Authenticated, TokenKey},
    client::{REQUEST_ID, RequestContext, TrustedProxies},
    load::Load,
    metrics::{Metrics, RequestLabels},
    position::{INTEGRATION_POSITION, PREFERENCE_APPLIED},
    problem::{Kind, Problem, ProblemCause},
    readiness::Readiness,
};

/// What the stack needs.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Who may ask.
    pub token_key: Arc<TokenKey>,
    /// How many at once.
    pub load: Arc<Load>,
    /// Whether anything can be served yet.
    pub readiness: Arc<Readiness>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Whose word on the client's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// Front ends elsewhere.
    pub cors_origins: Vec<HeaderValue>,
}

impl Stack {
    /// Wraps the routes, and answers what no route does.
    pub fn wrap(self, routes: Router) -> Router {
        let cors = cors(self.cors_origins.clone());
        let stack = Arc::new(self);
        let router = routes
            .fallback(async || Problem::not_found())
            .method_not_allowed_fallback(async || {
                Problem::new(Kind::MethodNotAllowed, "See the header Allow for the methods of this route.")
            })
            // Innermost: every route, and every path under /api that is none, knows who asks.
            .layer(from_fn_with_state(Arc::clone(&stack), authenticate))
            // OPTIONS needs no token.
            .layer(axum::middleware::from_fn(options))
            // A request that is refused for load costs nothing of the above.
            .layer(from_fn_with_state(Arc::clone(&stack), bound_load));
        // Browsers must be able to read every answer, the refusals of the layers above too.
        let router = match cors {
            Some(cors) => router.layer(cors),
            None => router,
        };
        router
            // A panic anywhere below is an answer, and is seen by the observation around it.
            .layer(CatchPanicLayer::custom(answer_panic))
            // Outermost: everything is measured and logged, whatever answered it.
            .layer(from_fn_with_state(stack, observe))
    }
}

fn cors(origins: Vec<HeaderValue>) -> Option<CorsLayer> {
    const EXPOSED: [HeaderName; 5] =
        [header::ETAG, header::LOCATION, INTEGRATION_POSITION, PREFERENCE_APPLIED, REQUEST_ID];
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods(methods)
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_MATCH,
                header::IF_NONE_MATCH,
                INTEGRATION_POSITION,
                crate::position::PREFER,
                crate::client::AUDIT_REASON,
                REQUEST_ID,
                HeaderName::from_static("idempotency-key"),
                HeaderName::from_static("traceparent"),
            ])
            .expose_headers(EXPOSED)
    })
}

async fn authenticate(State(stack): State<Arc<Stack>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_guarded = path == "/api" || path.starts_with("/api/");
    if is_guarded && request.method() != Method::OPTIONS {
        let caller = stack.token_key.authenticate(request.headers());
        match caller.and_then(|caller| stack.readiness.check().map(|()| caller)) {
            Ok(caller) => request.extensions_mut().insert(Authenticated(Arc::new(caller))),
            Err(problem) => return problem.into_response(),
        };
    }
    next.run(request).await
}

/// No route has OPTIONS, so that the router refuses it with the list of methods: that is the answer.
async fn options(request: Request, next: Next) -> Response {
    let is_options = request.method() == Method::OPTIONS;
    let refused = next.run(request).await;
    if !is_options || refused.status() != StatusCode::METHOD_NOT_ALLOWED {
        return refused;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(allow) = refused.headers().get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

async fn bound_load(State(stack): State<Arc<Stack>>, mut request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/livez" | "/readyz" | "/metrics") {
        return next.run(request).await;
    }
    match stack.load.enter() {
        Ok(in_flight) => {
            request.extensions_mut().insert(Arc::new(in_flight));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
fn answer_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message.unwrap_or("a panic without a message"), "a request made the service panic");
    Problem::new(Kind::Internal, "The service failed. The operator's log has the cause under the request's id.")
        .into_response()
}

async fn observe(State(stack): State<Arc<Stack>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let context = RequestContext::of(request.headers(), peer, &stack.trusted_proxies);
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", id = %context.request_id, method, route, trace = context.traceparent);
    let request_id = HeaderValue::from_str(&context.request_id).expect("a request's id is visible ASCII");
    request.extensions_mut().insert(context);
    let mut response = next.run(request).instrument(span.clone()).await;
    response.headers_mut().insert(REQUEST_ID, request_id);
    let (status, elapsed) = (response.status(), started.elapsed());
    span.in_scope(|| log(&response, elapsed.as_secs_f64() * 1_000.0));
    let labels = RequestLabels { method, route, status: status.as_u16() };
    stack.metrics.request_seconds.get_or_create(&labels).observe(elapsed.as_secs_f64());
    response
}

/// One line a request; a failure of the service's own with its cause.
fn log(response: &Response, duration_ms: f64) {
    let status = response.status().as_u16();
    let Some(ProblemCause(cause)) = response.extensions().get::<ProblemCause>() else {
        tracing::info!(status, duration_ms, "answered");
        return;
    };
    let mut chain = cause.to_string();
    let mut source = cause.source();
    while let Some(error) = source {
        chain.push_str(": ");
        chain.push_str(&error.to_string());
        source = error.source();
    }
    tracing::error!(status, duration_ms, cause = chain, "failed");
}

fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
