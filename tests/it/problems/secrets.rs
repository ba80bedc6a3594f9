//! No answer and no log line has a secret or token that was sent, whatever else was wrong with the request.

use serde_json::{Value, json};

use super::super::harness::{Answer, Client, Created, Request, Server, now_seconds, sign};

/// Secrets that are looked for afterwards, each of its own.
#[derive(Default)]
struct Canaries(Vec<String>);

impl Canaries {
    fn fresh(&mut self) -> String {
        let canary = format!("canary{}bird", self.0.len() + 1_000);
        self.0.push(canary.clone());
        canary
    }

    /// Checks that a text has none of them.
    #[track_caller]
    fn check(&self, what: &str, text: &str) {
        let found = self.0.iter().find(|canary| text.contains(*canary));
        assert!(found.is_none(), "{what} has {found:?}: {text}");
    }
}

/// Everything that an answer says.
fn all_of(answer: &Answer) -> String {
    format!("{:?} {}", answer.headers, answer.text())
}

/// Fields with a secret where one may stand, and where one may end up by mistake.
fn fields(canaries: &mut Canaries) -> Vec<Value> {
    let mut next = || canaries.fresh();
    vec![
        json!({ "clientSecret": next(), "apiKey": next() }),
        json!({ "headers": { "Authorization": next(), "X-Token": next(), "Cookie": next(), "X-Signature": next() } }),
        json!({ "headers": { "X-API-Key": format!("{} ${{user.email}}", "x"), "X-Secret": next() } }),
        json!({ "clientSecret": [next()] }),
        json!({ "clientSecret": { "value": next() } }),
        json!({ "clientSecret": format!("{}{}", next(), "x".repeat(8_192)) }),
        json!({ "apiKey": format!("{}\u{0}", next()) + "x" }),
        json!({ "apiKey": [[next()]] }),
        json!({ "clientsecret": next(), "api_key": next(), "password": next(), "token": [next()] }),
        json!({ "headers": next() }),
        json!({ "headers": [next()] }),
        json!({ "headers": { "X-Token": [next()], "Authorization": { "x": next() } } }),
        json!({ "headers": { "X-Token": format!("a\u{0}{}", next()) } }),
        json!({ "headers": { "X-Token": format!("{}${{nope}}", next()), "Host": next(), "a b": next() } }),
        json!({ "headers": { "X-Token": next(), "x-token": next() } }),
        json!({ "authUri": format!("https://user:{}@example.com/", next()) }),
        json!({ "imageUrl": format!("https://{}@example.com/", next()) }),
        json!({ "apiBaseUri": format!("https://user:{} @example.com/", next()), "mode": "nope" }),
        json!({ "clientSecret": next(), "mode": 5, "nope": next() }),
        json!({ "basicTokenAuth": next(), "apiKeyLocation": next(), "mode": next(), "authType": next(), "id": next() }),
        json!({ "embedded": next(), "libraryId": format!("{} x", next()) }),
        json!({ "scope": format!("\"{}", next()) }),
    ]
}

/// Bodies that are no JSON, with a secret in them.
fn malformed(canaries: &mut Canaries) -> Vec<String> {
    let mut next = || canaries.fresh();
    vec![
        format!(r#"{{"clientSecret":"{}""#, next()),
        format!(r#"{{"clientSecret":"{}","clientSecret":"{}"}}"#, next(), next()),
        format!(r#"{{"clientSecret":{}}}"#, next()),
        format!(r#"{{"clientSecret":"{}\x"}}"#, next()),
        format!(r#"{{"clientSecret":"{}"}} {}"#, next(), next()),
        format!(r#"{{"a":1,"a":"{}"}} "#, next()),
        format!("clientSecret={}", next()),
        format!(r#""{}""#, next()),
        format!(r#"["{}"]"#, next()),
        format!(r#"{{"apiKey":"{}\ud800"}}"#, next()),
        format!("{{\"apiKey\":\"{}\n\"}}", next()),
    ]
}

/// Every request of these that has a body with a secret.
fn with_bodies(alice: &Client, created: &Created, canaries: &mut Canaries) -> Vec<Request> {
    let post = || alice.request("POST", "/api/integrations");
    let mut requests = Vec::new();
    for fields in fields(canaries) {
        let mut whole = json!({ "name": "x", "type": "custom" });
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        requests.push(post().json(&whole));
        requests.push(post().header("idempotency-key", "one").json(&whole));
        for rest in ["", "/shares/carol", "/owner", "/tags"] {
            requests.push(alice.request("PUT", &created.path(rest)).json(&fields));
        }
        requests.push(alice.request("PUT", &created.path("")).header("if-match", "\"x\"").json(&fields));
    }
    for text in malformed(canaries) {
        for content_type in ["application/json", "text/plain", "multipart/form-data; boundary=x", "image/svg+xml"] {
            requests.push(post().body(content_type, text.clone()));
            for rest in ["", "/shares/carol", "/owner", "/tags", "/icon"] {
                requests.push(alice.request("PUT", &created.path(rest)).body(content_type, text.clone()));
            }
        }
        let padded = format!("{text}{}", " ".repeat(300_000));
        requests.push(post().body("application/json", padded));
    }
    for method in ["GET", "PATCH"] {
        let body = format!(r#"{{"apiKey":"{}"}}"#, canaries.fresh());
        requests.push(alice.request(method, &created.path("")).body("application/json", body));
    }
    let connection = format!(r#"{{"accessToken":"{}"}}"#, canaries.fresh());
    requests.push(alice.request("POST", &created.path("/connect")).body("application/json", connection));
    requests
}

/// Requests with a secret in a header that carries one, or in a token that is none.
fn with_headers(server: &Server, canaries: &mut Canaries) -> Vec<Request> {
    let claims = |name: &str, value: Value| {
        let mut claims = json!({ "sub": "alice", "tenant": "acme", "exp": now_seconds() + 600 });
        claims[name] = value;
        claims
    };
    let key = std::fs::read(server.data_dir().join("jwt.key")).unwrap();
    let mut tokens: Vec<String> = (0..4).map(|_| canaries.fresh()).collect();
    tokens[1] = format!("{}.{}.x", tokens[1], canaries.fresh());
    tokens[2] = format!("{} {}", tokens[2], canaries.fresh());
    let wrong_key = canaries.fresh();
    tokens.push(sign(claims("name", json!("x")), wrong_key.as_bytes()));
    for claims in [
        claims("tenant", json!(format!("{} x", canaries.fresh()))),
        claims("sub", json!(format!("team:{}", canaries.fresh()))),
        claims("groups", json!(canaries.fresh())),
        claims("exp", json!(canaries.fresh())),
    ] {
        tokens.push(sign(claims, key.trim_ascii()));
    }
    canaries.0.extend(tokens.iter().cloned());
    let get = |path: &str| server.anonymous().request("GET", path);
    let mut requests = Vec::new();
    for token in &tokens {
        for path in ["/api/me", "/api/nope", "/livez", "/api/integrations?nope=1"] {
            requests.push(get(path).header("authorization", &format!("Bearer {token}")));
            requests.push(get(path).header("authorization", token));
            requests.push(get(path).header("authorization", &format!("Basic {token}")));
        }
    }
    for name in ["cookie", "proxy-authorization", "x-api-key", "if-match", "if-none-match", "prefer", "traceparent"] {
        let request = server.alice().request("GET", "/api/integrations");
        requests.push(request.header(name, &canaries.fresh()));
    }
    for name in ["access_token", "token", "nope"] {
        requests.push(server.alice().request("GET", &format!("/api/integrations?{name}={}", canaries.fresh())));
        requests.push(get(&format!("/api/integrations?{name}={}", canaries.fresh())));
        requests.push(get(&format!("/oauth2/callback?{name}={}", canaries.fresh())));
    }
    for name in ["limit", "start", "sort", "supportsUpload"] {
        requests.push(server.alice().request("GET", &format!("/api/integrations?{name}={}", canaries.fresh())));
    }
    requests
}

#[tokio::test]
async fn no_answer_and_no_log_line_has_a_secret_or_token_that_was_sent() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = super::create(&alice).await;
    let mut canaries = Canaries::default();
    let mut requests = with_bodies(&alice, &created, &mut canaries);
    requests.extend(with_headers(&server, &mut canaries));
    let (mut accepted, mut refused, mut position) = (0, 0, created.position.clone());
    for request in requests {
        let answer = request.send().await;
        canaries.check("an answer", &all_of(&answer));
        match answer.status {
            200..300 => accepted += 1,
            _ => refused += 1,
        }
        if let Some(newer) = answer.try_header("integration-position") {
            newer.clone_into(&mut position);
        }
    }
    // Secrets went both ways: into integrations, and nowhere.
    assert!(accepted > 10 && refused > 200, "{accepted} accepted, {refused} refused");
    for path in ["/api/integrations?limit=500", "/api/integrations-list", &created.path(""), &created.path("/shares")] {
        canaries.check(path, &all_of(&alice.get_at(path, &position).await.expect(200)));
    }
    canaries.check("the metrics", &server.anonymous().get("/metrics").await.text());
    let log = server.log();
    assert!(log.lines().count() > accepted + refused, "each request is logged");
    canaries.check("the log", &log);
    assert!(!log.contains(alice.token.as_ref().unwrap().as_str()), "the log has a good token");
    let stored = |name: std::fs::DirEntry| String::from_utf8_lossy(&std::fs::read(name.path()).unwrap()).into_owned();
    for file in std::fs::read_dir(server.data_dir()).unwrap() {
        canaries.check("a file", &stored(file.unwrap()));
    }
}
