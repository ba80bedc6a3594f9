//! What every request goes through, outermost first: it is observed, browsers elsewhere are let in, it is admitted (a
//! place among those in flight, then who asks), routed. Plain calls around the router, not layers in it: a layer costs
//! every request some boxes.

use std::{
    any::Any,
    borrow::Cow,
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{MatchedPath, Request},
    handler::Handler as _,
    response::{IntoResponse, Response},
    routing::Route,
};
use bytes::Bytes;
use events::trace::{Collector, OTHER_METHOD, Outcome, Span, TraceParent, Work};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Either},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use tower::{Layer as _, ServiceExt as _, layer::layer_fn, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    bearer::{Caller, Tokens},
    client::{REQUEST_ID, RequestContext, TrustedProxies},
    incoming::Incoming,
    load::{InFlight, Load},
    metrics::{Metrics, RequestLabels},
    position::{INTEGRATION_POSITION, PREFERENCE_APPLIED},
    problem::{Kind, Problem, ProblemCause, chain},
    readiness::Readiness,
};

/// What the door needs; by default nobody is asked who he is, and there is nothing to wait for.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// Who may ask; `None` where there is nothing under `/api`.
    pub tokens: Option<Arc<Tokens>>,
    /// How many at once.
    pub load: Arc<Load>,
    /// Whether anything can be served yet.
    pub readiness: Arc<Readiness>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Who collects a span of each request, if anybody does.
    pub spans: Option<Arc<dyn Collector>>,
    /// Whose word on the client's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// Front ends elsewhere.
    pub cors_origins: Vec<HeaderValue>,
}

/// Answers a route that is asked for all the time with what is there already: no router, no wait, nothing made.
pub trait AtHand: fmt::Debug + Send + Sync {
    /// The route, which takes no parameters.
    fn route(&self) -> &'static str;

    /// What the route would answer to a GET without a query; `None` where it would have to wait or to make something.
    fn answer(&self, caller: Arc<Caller>, headers: &HeaderMap) -> Option<Response>;
}

/// A request on its way, as whatever handles it knows it.
#[derive(Debug)]
pub struct Asked {
    /// Its id, its trace, the client's address.
    pub context: RequestContext,
    /// Its place among those in flight; health and metrics have none.
    pub in_flight: OnceLock<InFlight>,
    /// Who asks; there is always somebody under `/api`.
    pub caller: OnceLock<Arc<Caller>>,
    /// The route that takes it.
    route: OnceLock<MatchedPath>,
    /// Why no route is to take it.
    pub(crate) refused: Mutex<Option<Problem>>,
}

/// The answer to a request, at once or later.
#[must_use = "nothing is answered before it is awaited"]
pub struct Answer(Either<Ready<Response>, BoxFuture<'static, Response>>);

impl Future for Answer {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        self.0.poll_unpin(context)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// What is seen of a request from its begin to its end.
#[derive(Debug)]
struct Observed {
    started: Instant,
    method: &'static str,
    span: Option<Box<dyn Span>>,
}

/// The routes, behind everything that a request goes through.
#[derive(Debug, Clone)]
pub struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stack: Stack,
    cors: Option<CorsLayer>,
    router: Router,
    /// What can be answered without the routes.
    at_hand: Option<Arc<dyn AtHand>>,
    /// The same routes, which answer why a request is refused.
    refusals: Router,
}

impl Stack {
    /// Puts the routes behind the door, with what of theirs may be at hand, and answers what no route does.
    #[must_use]
    pub fn wrap(self, routes: Router, at_hand: Option<Arc<dyn AtHand>>) -> Door {
        let refusals = routes.clone().layer(layer_fn(|_: Route| refuse.with_state(()))).fallback(refuse);
        let router = routes.fallback(async |_: Incoming| Problem::not_found()).method_not_allowed_fallback(
            async |_: Incoming| {
                Problem::new(Kind::MethodNotAllowed, "See the header Allow for the methods of this route.")
            },
        );
        let cors = cors(self.cors_origins.clone());
        Door(Arc::new(Inner { stack: self, cors, router, at_hand, refusals }))
    }
}

impl Asked {
    /// Tells which route took it, for its observer.
    pub(crate) fn take_route(&self, route: &MatchedPath) {
        // A request is routed once.
        let _ = self.route.set(route.clone());
    }
}

/// In the place of every route, for requests that none is to take: so that a refusal too is observed under its route.
async fn refuse(incoming: Incoming) -> Problem {
    incoming.refusal().unwrap_or_else(Problem::not_found)
}

impl Door {
    /// Answers a request; measures and logs it, whatever answers it, a panic of that too.
    pub fn answer<B>(&self, request: http::Request<B>, peer: SocketAddr) -> Answer
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let started = Instant::now();
        let method = method_name(request.method());
        let mut context = RequestContext::of(request.headers(), peer, &self.0.stack.trusted_proxies);
        let span = self.begin_span(method, request.uri().path(), &mut context);
        let observed = Observed { started, method, span };
        if let Some((route, response)) = self.0.answer_at_hand(&request) {
            let response = self.0.end(observed, &context, Some(Cow::Borrowed(route)), response);
            return Answer(Either::Left(ready(response)));
        }
        let (door, request) = (Arc::clone(&self.0), request.map(Body::new));
        Answer(Either::Right(Box::pin(async move { door.answer_by_route(request, context, observed).await })))
    }

    /// Begins the request's span, below which everything hangs that follows from it. Who looks after the service is not
    /// what anybody wants to see in traces.
    fn begin_span(&self, method: &'static str, path: &str, context: &mut RequestContext) -> Option<Box<dyn Span>> {
        let collector = self.0.stack.spans.as_ref().filter(|_| !is_probe(path))?;
        let parent = context.traceparent.as_deref().and_then(TraceParent::parse);
        let span = collector.begin(Work::Answer { method }, parent)?;
        context.traceparent = Some(span.place().to_string());
        Some(span)
    }
}

impl Inner {
    /// What is at hand for a request, and for which route. A body that nobody reads is the routes' matter, and so is what
    /// browsers elsewhere must be told.
    fn answer_at_hand<B: HttpBody>(&self, request: &http::Request<B>) -> Option<(&'static str, Response)> {
        let at_hand = self.at_hand.as_ref().filter(|_| self.cors.is_none())?;
        let (route, uri) = (at_hand.route(), request.uri());
        let is_plain = request.method() == Method::GET && uri.query().is_none() && request.body().is_end_stream();
        if uri.path() != route || !is_plain {
            return None;
        }
        let answer = || {
            let _in_flight = self.stack.load.enter().ok()?;
            let caller = self.stack.tokens.as_ref()?.recognise(request.headers())?;
            self.stack.readiness.check().ok()?;
            at_hand.answer(caller, request.headers())
        };
        let answered = catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|panic| Some(answer_panic(&*panic)));
        Some((route, answered?))
    }

    async fn answer_by_route(&self, mut request: Request, context: RequestContext, observed: Observed) -> Response {
        let asked = Arc::new(Asked {
            context,
            in_flight: OnceLock::new(),
            caller: OnceLock::new(),
            route: OnceLock::new(),
            refused: Mutex::new(None),
        });
        request.extensions_mut().insert(Arc::clone(&asked));
        let answered = AssertUnwindSafe(self.let_in(request, &asked)).catch_unwind().await;
        let response = answered.unwrap_or_else(|panic| answer_panic(&*panic));
        let route = asked.route.get().map(|route| Cow::Owned(route.as_str().to_owned()));
        self.end(observed, &asked.context, route, response)
    }

    fn end(
        &self,
        Observed { started, method, span }: Observed,
        context: &RequestContext,
        route: Option<Cow<'static, str>>,
        mut response: Response,
    ) -> Response {
        let (elapsed, status) = (started.elapsed(), response.status().as_u16());
        log(context, method, route.as_deref().unwrap_or("none"), status, elapsed, &response);
        if let Some(span) = span {
            span.end(Outcome::Answered { route: route.as_deref(), status });
        }
        let labels = RequestLabels { method, route: route.unwrap_or(Cow::Borrowed("none")), status };
        self.stack.metrics.request_seconds.get_or_create(&labels).observe(elapsed.as_secs_f64());
        let id = HeaderValue::from_str(&context.request_id).expect("a request's id is visible ASCII");
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    /// Browsers must be able to read every answer, refusals too.
    async fn let_in(&self, request: Request, asked: &Asked) -> Response {
        let Some(cors) = &self.cors else { return self.admit(request, asked).await };
        if *request.method() == Method::OPTIONS {
            let granted = granted(cors, request.headers()).await;
            let mut response = self.admit(request, asked).await;
            for (name, value) in &granted {
                response.headers_mut().append(name, value.clone());
            }
            return response;
        }
        let admitted = service_fn(async |request| Ok::<_, Infallible>(self.admit(request, asked).await));
        let Ok(response) = cors.layer(admitted).oneshot(request).await;
        response
    }

    async fn admit(&self, request: Request, asked: &Asked) -> Response {
        if let Err(problem) = self.check(request.method(), request.uri(), request.headers(), asked).await {
            *asked.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
            let Ok(refused) = self.refusals.clone().oneshot(request).await;
            return refused;
        }
        self.route(request).await
    }

    /// A place among those in flight, then who asks. A request that is refused for load costs nothing of the rest.
    async fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap, asked: &Asked) -> Result<(), Problem> {
        let path = uri.path();
        if is_probe(path) {
            return Ok(());
        }
        let in_flight = self.stack.load.enter()?;
        let is_guarded = path == "/api" || path.starts_with("/api/");
        if let Some(tokens) = self.stack.tokens.as_ref().filter(|_| is_guarded && *method != Method::OPTIONS) {
            let caller = tokens.authenticate(headers).await?;
            self.stack.readiness.check()?;
            // A request is admitted once, here and below.
            let _ = asked.caller.set(caller);
        }
        let _ = asked.in_flight.set(in_flight);
        Ok(())
    }

    /// No route has OPTIONS, so that the router refuses it with the list of methods: that is the answer.
    async fn route(&self, request: Request) -> Response {
        let is_options = request.method() == Method::OPTIONS;
        let Ok(refused) = self.router.clone().oneshot(request).await;
        if !is_options || refused.status() != StatusCode::METHOD_NOT_ALLOWED {
            return refused;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        if let Some(allow) = refused.headers().get(header::ALLOW) {
            response.headers_mut().insert(header::ALLOW, allow.clone());
        }
        response
    }
}

/// Whether it is for whoever looks after the service.
fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/metrics")
}

/// What a preflight (Fetch, CORS protocol), which names origin and method, is told beside the methods of its route. The layer
/// answers every OPTIONS by itself, whatever the route, so that it is asked apart.
async fn granted(cors: &CorsLayer, headers: &HeaderMap) -> HeaderMap {
    if !headers.contains_key(header::ORIGIN) || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return HeaderMap::new();
    }
    let mut preflight = http::Request::new(());
    *preflight.method_mut() = Method::OPTIONS;
    headers.clone_into(preflight.headers_mut());
    let nobody = service_fn(async |_: http::Request<()>| Ok::<_, Infallible>(http::Response::new(())));
    let Ok(response) = cors.layer(nobody).oneshot(preflight).await;
    response.into_parts().0.headers
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

fn answer_panic(panic: &(dyn Any + Send)) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = format!("a panic: {}", message.unwrap_or("without a message"));
    Problem::new(Kind::Internal, "The service failed. The operator's log has the cause under the request's id.")
        .with_cause(std::io::Error::other(message))
        .into_response()
}

/// One line a request; a failure of the service's own with its cause.
fn log(context: &RequestContext, method: &str, route: &str, status: u16, elapsed: Duration, response: &Response) {
    let duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let RequestContext { request_id: id, traceparent: trace, .. } = context;
    let Some(ProblemCause(cause)) = response.extensions().get::<ProblemCause>() else {
        tracing::info!(id, method, route, trace, status, duration_us, "answered");
        return;
    };
    tracing::error!(id, method, route, trace, status, duration_us, cause = chain(&**cause), "failed");
}

fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => OTHER_METHOD,
    }
}

#[cfg(test)]
mod tests;
