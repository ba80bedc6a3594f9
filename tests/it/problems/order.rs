//! The order of the checks: of a request that is wrong in two ways, only the first is told.

use serde_json::json;

use super::super::harness::{Answer, CREATE, Client, Created, Server};
use super::{
    INVALID, INVALID_PARAMETER, Kind, MALFORMED_BODY, METHOD_NOT_ALLOWED, NOT_FOUND, NOT_PERMITTED, STALE, STALE_TAG,
    TOO_LARGE, UNAUTHENTICATED, UNSUPPORTED_MEDIA_TYPE, check_kind, check_status, create,
};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nimage";
const SCRIPT: &[u8] = br#"<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>"#;
const JSON_BYTES_MAX: usize = 256 * 1_024;
/// More than an icon and the form around it may have.
const FORM_BYTES_MAX: usize = 640 * 1_024;

/// What can be wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    NoToken,
    NoSuchMethod,
    Stranger,
    TooLowLevel,
    TooLarge,
    OtherType,
    Coded,
    MalformedBody,
    UnknownQuery,
    MalformedIfMatch,
    MalformedIdempotencyKey,
    TwoReasons,
    StaleTag,
    FaultyBody,
    FaultyPath,
}

impl Wrong {
    const ALL: [Self; 15] = [
        Self::NoToken,
        Self::NoSuchMethod,
        Self::Stranger,
        Self::TooLowLevel,
        Self::TooLarge,
        Self::OtherType,
        Self::Coded,
        Self::MalformedBody,
        Self::UnknownQuery,
        Self::MalformedIfMatch,
        Self::MalformedIdempotencyKey,
        Self::TwoReasons,
        Self::StaleTag,
        Self::FaultyBody,
        Self::FaultyPath,
    ];

    fn kind(self) -> Kind {
        match self {
            Self::NoToken => UNAUTHENTICATED,
            Self::NoSuchMethod => METHOD_NOT_ALLOWED,
            Self::Stranger => NOT_FOUND,
            Self::TooLowLevel => NOT_PERMITTED,
            Self::TooLarge => TOO_LARGE,
            Self::OtherType | Self::Coded => UNSUPPORTED_MEDIA_TYPE,
            Self::MalformedBody => MALFORMED_BODY,
            Self::UnknownQuery | Self::MalformedIfMatch | Self::MalformedIdempotencyKey | Self::TwoReasons => {
                INVALID_PARAMETER
            }
            Self::StaleTag => STALE,
            Self::FaultyBody | Self::FaultyPath => INVALID,
        }
    }

    /// Whether two things can be wrong at once, this one being told.
    fn hides(self, other: Self) -> bool {
        let is_shared =
            matches!((self, other), (Self::MalformedBody, Self::FaultyBody) | (Self::MalformedIfMatch, Self::StaleTag));
        self.rank() < other.rank() && !is_shared
    }

    /// Its place in the order of checks; things of the same place are never combined.
    fn rank(self) -> usize {
        const ORDER: [u16; 9] = [401, 405, 404, 403, 413, 415, 400, 412, 422];
        ORDER.iter().position(|status| *status == self.kind().0).unwrap()
    }

    fn apply(self, attempt: &mut Attempt, route: &Route) {
        match self {
            Self::NoToken => attempt.who = "nobody",
            Self::NoSuchMethod => attempt.method = "PATCH",
            Self::Stranger => attempt.who = "stranger",
            Self::TooLowLevel => attempt.who = route.too_low,
            Self::TooLarge => {
                let length = if route.is_icon() { FORM_BYTES_MAX } else { JSON_BYTES_MAX } + 1;
                attempt.body.resize(length, b' ');
            }
            // What an icon is, its content tells.
            Self::OtherType if route.is_icon() => attempt.body = b"neither".to_vec(),
            Self::OtherType => attempt.content_type = "text/plain",
            Self::Coded => attempt.headers.push(("content-encoding", "gzip")),
            Self::MalformedBody if route.is_icon() => attempt.content_type = "multipart/form-data",
            Self::MalformedBody => attempt.body = b"{".to_vec(),
            Self::UnknownQuery => attempt.path.push_str("?nope=1"),
            Self::MalformedIfMatch => attempt.headers.push(("if-match", "nope")),
            Self::MalformedIdempotencyKey => attempt.headers.push(("idempotency-key", "a b")),
            Self::TwoReasons => attempt.headers.extend([("audit-reason", "one"), ("audit-reason", "two")]),
            Self::StaleTag => attempt.headers.push(("if-match", STALE_TAG)),
            Self::FaultyBody => attempt.body = route.faulty.to_vec(),
            Self::FaultyPath => attempt.path = attempt.path.replace(route.last(), "%07"),
        }
    }
}

/// A write route with a request that succeeds, and one body that breaks a rule.
#[derive(Debug)]
struct Route {
    method: &'static str,
    rest: &'static str,
    /// Who may see it but not do this.
    too_low: &'static str,
    content_type: &'static str,
    body: &'static [u8],
    faulty: &'static [u8],
    has_faulty_path: bool,
}

impl Route {
    const fn new(method: &'static str, rest: &'static str, too_low: &'static str) -> Self {
        Self { method, rest, too_low, content_type: "", body: b"", faulty: b"", has_faulty_path: false }
    }

    const fn json(self, body: &'static [u8], faulty: &'static [u8]) -> Self {
        Self { content_type: "application/json", body, faulty, ..self }
    }

    const fn image(self, body: &'static [u8], faulty: &'static [u8]) -> Self {
        Self { content_type: "image/png", body, faulty, ..self }
    }

    const fn faulty_path(self) -> Self {
        Self { has_faulty_path: true, ..self }
    }

    fn is_icon(&self) -> bool {
        self.rest == "/icon"
    }

    fn is_create(&self) -> bool {
        self.method == "POST"
    }

    /// The last part of its path.
    fn last(&self) -> &str {
        self.rest.rsplit('/').next().unwrap()
    }

    fn attempt(&self, created: &Created) -> Attempt {
        let path = if self.is_create() { "/api/integrations".to_owned() } else { created.path(self.rest) };
        Attempt {
            who: "owner",
            method: self.method,
            path,
            content_type: self.content_type,
            headers: Vec::new(),
            body: self.body.to_vec(),
        }
    }

    /// Whether a request to it can be wrong in this way.
    fn can_be(&self, wrong: Wrong) -> bool {
        match wrong {
            Wrong::NoToken | Wrong::NoSuchMethod | Wrong::TooLowLevel | Wrong::UnknownQuery | Wrong::TwoReasons => true,
            Wrong::Stranger | Wrong::MalformedIfMatch | Wrong::StaleTag => !self.is_create(),
            Wrong::TooLarge | Wrong::OtherType | Wrong::Coded | Wrong::MalformedBody => !self.content_type.is_empty(),
            Wrong::MalformedIdempotencyKey => self.is_create(),
            Wrong::FaultyBody => !self.faulty.is_empty(),
            Wrong::FaultyPath => self.has_faulty_path,
        }
    }
}

/// The write routes; the delete comes last.
const ROUTES: [Route; 10] = [
    Route::new("POST", "", "reader").json(br#"{"name":"New","type":"custom"}"#, br#"{"name":5}"#),
    Route::new("PUT", "", "reader").json(br#"{"description":"new"}"#, br#"{"description":5}"#),
    Route::new("PUT", "/icon", "reader").image(PNG, SCRIPT),
    Route::new("DELETE", "/icon", "reader"),
    Route::new("PUT", "/shares/carol", "writer").json(br#"{"accessLevel":1}"#, br#"{"accessLevel":4}"#).faulty_path(),
    Route::new("DELETE", "/shares/carol", "writer"),
    Route::new("PUT", "/tags", "reader").json(br#"{"tags":["red"]}"#, br#"{"tags":[5]}"#),
    Route::new("PUT", "/tags/blue", "reader").faulty_path(),
    Route::new("DELETE", "/tags/blue", "reader"),
    Route::new("PUT", "/owner", "writer").json(br#"{"ownerId":"owner"}"#, br#"{"ownerId":5}"#),
];

/// A request that is being made wrong.
#[derive(Debug, Clone)]
struct Attempt {
    who: &'static str,
    method: &'static str,
    path: String,
    content_type: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

impl Attempt {
    async fn send(self, server: &Server) -> Answer {
        let mut request = client(server, self.who).request(self.method, &self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if !self.content_type.is_empty() {
            request = request.body(self.content_type, self.body);
        }
        request.send().await
    }
}

fn client(server: &Server, who: &str) -> Client {
    match who {
        "nobody" => server.anonymous(),
        "owner" => server.user_with("owner", &[CREATE]),
        who => server.user(who),
    }
}

/// An integration of the owner's, with a reader, a writer, and what the routes want to find.
async fn shared(server: &Server) -> Created {
    let owner = client(server, "owner");
    let created = create(&owner).await;
    for (who, level) in [("reader", 1), ("writer", 2), ("carol", 1)] {
        owner.put(&created.path(&format!("/shares/{who}")), json!({ "accessLevel": level })).await.expect(200);
    }
    owner.put(&created.path("/tags"), json!({ "tags": ["red", "blue"] })).await.expect(200);
    owner.request("PUT", &created.path("/icon")).body("image/png", PNG).send().await.expect(200);
    created
}

#[tokio::test]
async fn of_two_things_that_are_wrong_with_a_command_the_first_is_told() {
    if !crate::topology::IS_ONE_PROCESS {
        // A proxy cuts an upload that was answered before its end.
        return;
    }
    let server = Server::start().await;
    let created = shared(&server).await;
    let delete = Route::new("DELETE", "", "writer");
    let mut pairs = 0;
    for route in ROUTES.iter().chain([&delete]) {
        let possible: Vec<_> = Wrong::ALL.into_iter().filter(|wrong| route.can_be(*wrong)).collect();
        for first in &possible {
            let mut attempt = route.attempt(&created);
            first.apply(&mut attempt, route);
            check_kind(
                &format!("{first:?}: {} {}", route.method, route.rest),
                &attempt.send(&server).await,
                first.kind(),
            );
            for second in possible.iter().filter(|second| first.hides(**second)) {
                // An icon of another type cannot have a fault of its own, nor be in a malformed form.
                if route.is_icon() && *first == Wrong::OtherType && second.kind().0 != 412 && !second.is_parameter() {
                    continue;
                }
                let mut attempt = route.attempt(&created);
                second.apply(&mut attempt, route);
                first.apply(&mut attempt, route);
                let what = format!("{first:?} before {second:?}: {} {}", route.method, route.rest);
                check_kind(&what, &attempt.send(&server).await, first.kind());
                pairs += 1;
            }
        }
    }
    assert!(pairs > 300, "only {pairs} pairs");
    // None of the attempts was wrong in another way, and none did anything.
    for route in ROUTES.iter().chain([&delete]) {
        let answer = route.attempt(&created).send(&server).await;
        assert!(matches!(answer.status, 200 | 201 | 204), "{} {}: {}", route.method, route.rest, answer.text());
    }
}

impl Wrong {
    fn is_parameter(self) -> bool {
        self.kind() == INVALID_PARAMETER
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_before_a_stale_tag() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for rest in ["/shares/nobody", "/shares/%07", "/tags/none", "/tags/a%20b", "/icon"] {
        let path = created.path(rest);
        let answer = alice.request("DELETE", &path).header("if-match", STALE_TAG).send().await;
        check_kind(rest, &answer, NOT_FOUND);
    }
    let absent = created.path("").replace(&created.id, "absent");
    for (method, rest) in [("PUT", ""), ("DELETE", ""), ("PUT", "/tags/red"), ("PUT", "/owner")] {
        let request = alice.request(method, &format!("{absent}{rest}")).header("if-match", STALE_TAG);
        check_kind(&format!("{method} {rest}"), &request.json(&json!([])).send().await, NOT_FOUND);
    }
}

#[tokio::test]
async fn a_stale_tag_is_told_before_the_rules_that_only_the_state_can_break() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "x", "type": "custom", "apiKey": "k" })).await;
    let rows = [
        ("/shares/alice", json!({ "accessLevel": 1 })),
        ("", json!({ "apiBaseUri": "https://elsewhere.example/" })),
        ("", json!({ "slug": "another" })),
        ("", json!([])),
        ("/tags", json!({ "tags": (0..101).map(|at| format!("t{at}")).collect::<Vec<_>>() })),
    ];
    for (rest, body) in rows {
        let request = alice.request("PUT", &created.path(rest)).json(&body);
        check_kind(rest, &request.clone().header("if-match", STALE_TAG).send().await, STALE);
        check_kind(rest, &request.clone().header("if-match", "*").send().await, INVALID);
        check_kind(rest, &request.send().await, INVALID);
    }
}

#[tokio::test]
async fn a_read_tells_a_missing_token_then_the_method_then_what_is_hidden_then_a_bad_query() {
    let server = Server::start().await;
    let created = shared(&server).await;
    let reader = client(&server, "reader");
    reader.get_at(&created.path("/icon"), &create(&client(&server, "owner")).await.position).await.expect(200);
    for rest in ["", "/icon", "/shares", "/shares/carol", "/owner", "/tags", "/access"] {
        let path = created.path(rest);
        let bad = format!("{path}?nope=1");
        check_kind(rest, &server.anonymous().request("TRACE", &bad).send().await, UNAUTHENTICATED);
        check_kind(rest, &server.anonymous().get(&bad).await, UNAUTHENTICATED);
        check_kind(rest, &server.user("stranger").request("TRACE", &bad).send().await, METHOD_NOT_ALLOWED);
        check_kind(rest, &server.user("stranger").get(&bad).await, NOT_FOUND);
        let position = server.user("stranger").request("GET", &path).header("integration-position", "nope");
        check_kind(rest, &position.send().await, NOT_FOUND);
        check_kind(rest, &reader.get(&bad).await, INVALID_PARAMETER);
        check_status(rest, &reader.get(&path).await, 200);
    }
}

#[tokio::test]
async fn what_is_hidden_and_what_is_not_there_have_the_same_answer() {
    let server = Server::start().await;
    let created = shared(&server).await;
    let owner = client(&server, "owner");
    owner.get_at(&created.path(""), &create(&owner).await.position).await.expect(200);
    let absent = created.path("").replace(&created.id, "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b");
    let reads = ["", "/icon", "/shares", "/shares/carol", "/owner", "/tags", "/access", "/connect", "/history"];
    let writes = ["", "/icon", "/shares/carol", "/owner", "/tags", "/tags/red"];
    let deletes = ["", "/icon", "/shares/carol", "/tags/red", "/connection"];
    let requests = reads.map(|rest| ("GET", rest)).into_iter();
    let requests = requests.chain(writes.map(|rest| ("PUT", rest))).chain(deletes.map(|rest| ("DELETE", rest)));
    for (method, rest) in requests {
        let what = format!("{method} {rest}");
        let hidden = server.user("stranger").request(method, &created.path(rest)).send().await;
        check_kind(&what, &hidden, NOT_FOUND);
        for (client, path) in [
            (server.user("stranger"), absent.clone()),
            (owner.clone(), absent.clone()),
            (server.other_tenant(), created.path("")),
            (server.other_tenant(), format!("/api/integrations/{}", created.slug)),
        ] {
            let answer = client.request(method, &format!("{path}{rest}")).send().await;
            assert_eq!(answer.text(), hidden.text(), "{what}");
            let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(names(&answer), names(&hidden), "{what}");
        }
    }
}
