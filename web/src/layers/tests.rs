use axum::{body::to_bytes, routing::get};

use super::*;
use crate::{
    bearer::{Claims, TokenKey},
    readiness::Part,
};

const ROUTE: &str = "/api/things";
const EXP: u64 = 1_000_000;

/// Has something at hand, unless the caller has it already or wants a panic.
#[derive(Debug)]
struct Things;

impl AtHand for Things {
    fn route(&self) -> &'static str {
        ROUTE
    }

    fn answer(&self, caller: Arc<Caller>, headers: &HeaderMap) -> Option<Response> {
        assert!(!headers.contains_key("x-panic"), "as was asked for");
        let is_new = !headers.contains_key(header::IF_NONE_MATCH);
        is_new.then(|| format!("at hand for {}", caller.principal.id).into_response())
    }
}

struct World {
    door: Door,
    bearer: String,
    readiness: Arc<Readiness>,
    load: Arc<Load>,
}

fn world(cors_origins: Vec<HeaderValue>) -> World {
    let key = Arc::new(TokenKey::new(&[7; 32]).unwrap());
    let claims: Claims =
        serde_json::from_value(serde_json::json!({ "sub": "alice", "tenant": "acme", "exp": EXP })).unwrap();
    let bearer = format!("Bearer {}", key.mint(&claims).unwrap());
    let (readiness, load) = (Arc::new(Readiness::waiting_for(&[Part::Views])), Load::new(1, 1));
    let stack = Stack {
        tokens: Some(Arc::new(Tokens::signed_with(key, || EXP - 1))),
        load: Arc::clone(&load),
        readiness: Arc::clone(&readiness),
        cors_origins,
        ..Stack::default()
    };
    let routes = Router::new().route(ROUTE, get(async |_: Incoming| "by the route"));
    let door = stack.wrap(routes, Some(Arc::new(Things)));
    World { door, bearer, readiness, load }
}

impl World {
    async fn ask(&self, method: Method, uri: &str, more: &[(&'static str, &'static str)]) -> (u16, String) {
        self.send(method, uri, more, Body::empty()).await
    }

    async fn send(
        &self,
        method: Method,
        uri: &str,
        more: &[(&'static str, &'static str)],
        body: Body,
    ) -> (u16, String) {
        let mut request = http::Request::builder().method(method).uri(uri).header(header::AUTHORIZATION, &self.bearer);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let answer = self.door.answer(request.body(body).unwrap(), peer).await;
        assert!(answer.headers().contains_key(REQUEST_ID));
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self) -> (u16, String) {
        self.ask(Method::GET, ROUTE, &[]).await
    }
}

fn at_hand() -> (u16, String) {
    (200, "at hand for alice".to_owned())
}

fn by_route() -> (u16, String) {
    (200, "by the route".to_owned())
}

#[tokio::test]
async fn what_is_at_hand_is_for_callers_who_are_known_once_the_service_is_ready() {
    let world = world(Vec::new());
    assert_eq!(world.get().await.0, 503);
    assert_eq!(world.get().await.0, 503, "the caller is known, and nothing is ready");
    world.readiness.set_ready(Part::Views);
    assert_eq!(world.get().await, at_hand());
    let stranger = [(header::AUTHORIZATION.as_str(), "Bearer of nothing")];
    assert_eq!(world.ask(Method::GET, ROUTE, &stranger).await.0, 401, "one token is not enough when there are two");
}

#[tokio::test]
async fn everything_but_a_plain_get_of_its_route_goes_by_the_routes() {
    let world = world(Vec::new());
    world.readiness.set_ready(Part::Views);
    assert_eq!(world.get().await, by_route(), "nobody knows the caller yet");
    assert_eq!(world.get().await, at_hand());
    assert_eq!(world.ask(Method::GET, "/api/things?", &[]).await, by_route());
    assert_eq!(world.ask(Method::GET, ROUTE, &[("if-none-match", "*")]).await, by_route(), "what is not at hand");
    assert_eq!(world.send(Method::GET, ROUTE, &[], Body::from("what for")).await, by_route());
    assert_eq!(world.ask(Method::HEAD, ROUTE, &[]).await, (200, String::new()));
    assert_eq!(world.ask(Method::POST, ROUTE, &[]).await.0, 405);
    assert_eq!(world.ask(Method::GET, "/api/things/", &[]).await.0, 404);
    assert_eq!(world.get().await, at_hand());
}

#[tokio::test]
async fn what_is_at_hand_counts_as_in_flight_and_is_observed_whatever_becomes_of_it() {
    let world = world(Vec::new());
    world.readiness.set_ready(Part::Views);
    world.get().await;
    let in_flight = world.load.enter().unwrap();
    assert_eq!(world.get().await.0, 429);
    drop(in_flight);
    assert_eq!(world.get().await, at_hand());
    assert_eq!(world.load.in_flight(), 0);
    assert_eq!(world.ask(Method::GET, ROUTE, &[("x-panic", "now")]).await.0, 500);
    assert_eq!(world.load.in_flight(), 0);
    let text = world.door.0.stack.metrics.render();
    for (status, count) in [(200, 2), (429, 1), (500, 1)] {
        let line = format!(
            r#"integrations_request_seconds_count{{method="GET",route="/api/things",status="{status}"}} {count}"#
        );
        assert!(text.contains(&line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn a_browser_elsewhere_is_answered_by_the_route_with_what_it_must_be_told() {
    let world = world(vec![HeaderValue::from_static("https://app.example")]);
    world.readiness.set_ready(Part::Views);
    world.get().await;
    assert_eq!(world.get().await, by_route());
}
