//! Bodies that are no JSON, too large, or of another type.

use super::super::harness::{Answer, Client, Created, Server};
use super::{
    INVALID, MALFORMED_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, check, check_kind, check_status, create,
    raw::{chunked, exchange},
};

const BODY_BYTES_MAX: usize = 256 * 1_024;

/// The routes that take a JSON body, with one that they accept.
const ROUTES: [(&str, &str, &str); 5] = [
    ("POST", "/api/integrations", r#"{"name":"x","type":"custom"}"#),
    ("PUT", "/api/integrations/ID", r#"{"name":"x"}"#),
    ("PUT", "/api/integrations/ID/shares/carol", r#"{"accessLevel":1}"#),
    ("PUT", "/api/integrations/ID/tags", r#"{"tags":["a"]}"#),
    ("PUT", "/api/integrations/ID/owner", r#"{"ownerId":"alice"}"#),
];

/// Sends a body to every route that takes JSON.
async fn send_to_all(alice: &Client, created: &Created, content_type: &str, body: &[u8]) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for (method, path, _) in ROUTES {
        let request = alice.request(method, &path.replace("ID", &created.id));
        answers.push((format!("{method} {path}"), request.body(content_type, body).send().await));
    }
    answers
}

#[tokio::test]
async fn a_body_that_is_no_json_is_400_on_every_route() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let rows: [&[u8]; 25] = [
        b"{",
        b"}",
        b"nope",
        b"{'name':'x','type':'custom'}",
        br#"{"name":"x","type":"custom"}}"#,
        br#"{"name":"x","type":"custom"} {}"#,
        br#"{"name":"x","type":"custom"}x"#,
        br#"{"name":"x","type":"custom",}"#,
        br#"{"name":"x" "type":"custom"}"#,
        br#"{"name":"x",/**/"type":"custom"}"#,
        br#"{name:"x"}"#,
        b"{\"name\":\"a\nb\",\"type\":\"custom\"}",
        b"{\"name\":\"\x00\",\"type\":\"custom\"}",
        br#"{"name":"\x41","type":"custom"}"#,
        br#"{"name":"\u12","type":"custom"}"#,
        br#"{"name":01,"type":"custom"}"#,
        br#"{"name":NaN,"type":"custom"}"#,
        br#"{"name":+1,"type":"custom"}"#,
        b"\xef\xbb\xbf{\"name\":\"x\",\"type\":\"custom\"}",
        b"{\"name\":\"\xff\",\"type\":\"custom\"}",
        b"{\"name\":\"\xed\xa0\x80\",\"type\":\"custom\"}",
        br#"{"name":"\ud800","type":"custom"}"#,
        br#"{"name":"\udc00\ud800","type":"custom"}"#,
        br#"{"\ud800":"x"}"#,
        b"\xff\xfe{\x00}\x00",
    ];
    for body in rows {
        for (what, answer) in send_to_all(&alice, &created, "application/json", body).await {
            check(&format!("{what}: {}", String::from_utf8_lossy(body)), &answer, MALFORMED_BODY, &[]);
        }
    }
}

#[tokio::test]
async fn a_member_given_twice_at_any_depth_is_400() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let nested = |depth: usize, text: &str| format!("{}{text}{}", r#"{"a":["#.repeat(depth), "]}".repeat(depth));
    let rows = [
        r#"{"name":"x","type":"custom","name":"x"}"#.to_owned(),
        r#"{"name":"x","type":"custom","n\u0061me":"y"}"#.to_owned(),
        r#"{"name":"x","type":"custom","\u006e\u0061\u006d\u0065":"y"}"#.to_owned(),
        r#"{"accessLevel":1,"accessLevel":1}"#.to_owned(),
        r#"{"tags":[],"tags":[]}"#.to_owned(),
        r#"{"ownerId":"bob","ownerId":"bob"}"#.to_owned(),
        r#"{"name":"x","type":"custom","nope":1,"nope":2}"#.to_owned(),
        r#"{"name":"x","type":"custom","data":{"a":1,"a":1}}"#.to_owned(),
        r#"{"name":"x","type":"custom","data":{"/":1,"\/":1}}"#.to_owned(),
        r#"{"name":"x","type":"custom","data":{"\ud83d\ude00":1,"😀":1}}"#.to_owned(),
        r#"{"name":"x","type":"custom","data":{"":1,"":2}}"#.to_owned(),
        r#"{"name":"x","type":"custom","data":{"a":[[{"b":{"c":1,"c":2}}]]}}"#.to_owned(),
        r#"{"name":"x","type":"custom","headers":{"X-A":"1","X-A":"2"}}"#.to_owned(),
        r#"{"name":"x","type":"custom","headers":{"X-A":null,"X-A":null}}"#.to_owned(),
        format!(r#"{{"name":"x","type":"custom","data":{}}}"#, nested(15, r#"{"c":1,"c":2}"#)),
        format!(r#"{{"name":"x","type":"custom","data":{}}}"#, nested(60, r#"{"c":1,"\u0063":2}"#)),
        format!(r#"{{"nope":{}}}"#, nested(5_000, r#"{"c":1,"c":2}"#)),
    ];
    for body in rows {
        for (what, answer) in send_to_all(&alice, &created, "application/json", body.as_bytes()).await {
            let body: String = body.chars().take(200).collect();
            check(&format!("{what}: {body}"), &answer, MALFORMED_BODY, &[]);
        }
    }
    let same_name_elsewhere = r#"{"name":"x","type":"custom","data":{"a":{"a":1},"b":{"a":1},"A":2}}"#;
    let answer = alice.request("POST", "/api/integrations").body("application/json", same_name_elsewhere).send().await;
    check_status("the same name in other objects", &answer, 201);
}

#[tokio::test]
async fn a_lone_surrogate_is_400_at_any_depth() {
    let server = Server::start().await;
    let alice = server.alice();
    let nested = |depth: usize, text: &str| format!("{}{text}{}", "[".repeat(depth), "]".repeat(depth));
    for (depth, text) in [(1, r#""\udfff""#), (20, r#""\ud800x""#), (100, r#""\ud800""#), (100, r#"{"\ud800":1}"#)] {
        let body = format!(r#"{{"name":"x","type":"custom","data":{{"a":{}}}}}"#, nested(depth, text));
        let answer = alice.request("POST", "/api/integrations").body("application/json", body).send().await;
        check(&format!("{text}, {depth} deep"), &answer, MALFORMED_BODY, &[]);
    }
    let pair = r#"{"name":"\ud83d\ude00","type":"custom"}"#;
    let answer = alice.request("POST", "/api/integrations").body("application/json", pair).send().await.expect(201);
    assert_eq!(answer.json()["name"], "😀");
}

#[tokio::test]
async fn a_body_that_is_no_object_breaks_one_rule_at_the_root() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for body in ["[]", "null", "true", "5", "-1.5e400", "\"x\"", "[{\"name\":\"x\",\"type\":\"custom\"}]", " [ ] "] {
        for (what, answer) in send_to_all(&alice, &created, "application/json", body.as_bytes()).await {
            check(&format!("{what}: {body}"), &answer, INVALID, &[""]);
        }
    }
}

#[tokio::test]
async fn a_route_that_needs_a_body_is_400_without_one() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for (method, path, _) in ROUTES.into_iter().filter(|(_, path, _)| !path.contains("shares")) {
        let request = alice.request(method, &path.replace("ID", &created.id));
        check(path, &request.clone().send().await, MALFORMED_BODY, &[]);
        check(path, &request.clone().body("application/json", "").send().await, MALFORMED_BODY, &[]);
        check(path, &request.body("application/json", " \n").send().await, MALFORMED_BODY, &[]);
    }
    let share = alice.request("PUT", &created.path("/shares/carol")).send().await.expect(200);
    assert_eq!(share.json()["accessLevel"], 1);
}

#[tokio::test]
async fn no_nesting_is_too_deep_for_an_answer() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let depth = if open == "[" { 100_000 } else { 40_000 };
        let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for field in ["nope", "data", "headers", "name", "_links", "id"] {
            let body = format!(r#"{{"x":1,"{field}":{deep}}}"#);
            for (method, path, _) in ROUTES.into_iter().take(2) {
                let request = alice.request(method, &path.replace("ID", &created.id));
                let answer = request.body("application/json", body.as_bytes()).send().await;
                check_kind(&format!("{method} {path}: {field}"), &answer, INVALID);
            }
        }
        for (what, answer) in send_to_all(&alice, &created, "application/json", deep.as_bytes()).await {
            check_kind(&what, &answer, INVALID);
        }
        for (what, answer) in send_to_all(&alice, &created, "application/json", open.repeat(depth).as_bytes()).await {
            check(&what, &answer, MALFORMED_BODY, &[]);
        }
    }
}

/// A body padded with white space to a length.
fn padded(body: &str, length: usize) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    bytes.resize(length, b' ');
    bytes
}

#[tokio::test]
async fn a_body_may_have_256_kib_and_not_a_byte_more() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for (method, path, body) in ROUTES {
        let request = alice.request(method, &path.replace("ID", &created.id));
        let whole = request.clone().body("application/json", padded(body, BODY_BYTES_MAX)).send().await;
        assert!(matches!(whole.status, 200 | 201), "{path}: {}", whole.text());
        for length in [BODY_BYTES_MAX + 1, 3 * 1_024 * 1_024] {
            let answer = request.clone().body("application/json", padded(body, length)).send().await;
            check(&format!("{path}, {length} bytes"), &answer, TOO_LARGE, &[]);
        }
    }
}

#[tokio::test]
async fn a_body_in_chunks_is_measured_as_it_comes() {
    let server = Server::start().await;
    let alice = server.alice();
    let token = alice.token.clone().unwrap();
    let head = format!(
        "POST /api/integrations HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked"
    );
    let body = r#"{"name":"x","type":"custom"}"#;
    let rows = [
        (BODY_BYTES_MAX, 1_000, 201),
        (BODY_BYTES_MAX + 1, 1_000, 413),
        (BODY_BYTES_MAX + 1, 300_000, 413),
        (28, 1, 201),
    ];
    for (length, chunk, expected) in rows {
        let (status, text) = exchange(&server.url, &head, &chunked(&padded(body, length), chunk));
        assert_eq!(status, expected, "{length} bytes in chunks of {chunk}: {text}");
    }
    let (status, text) = exchange(&server.url, &head, b"0\r\n\r\n");
    assert!(status == 400 && text.contains("malformed-body"), "an empty body in chunks: {text}");
    let mut broken = chunked(&padded(body, 100), 50);
    broken.splice(56..58, *b"zz");
    let (status, text) = exchange(&server.url, &head, &broken);
    assert_eq!(status, 400, "a broken chunk: {text}");
    let endless = head.replace("Transfer-Encoding: chunked", "Content-Length: 100000000000");
    let (status, text) = exchange(&server.url, &endless, &vec![b' '; 6 * 1_024 * 1_024]);
    // Who sends on while nobody reads may lose the answer, but never the service.
    assert!(matches!(status, 0 | 413), "an endless body: {text}");
    check_status("afterwards", &alice.get("/api/me").await, 200);
}

#[tokio::test]
async fn json_is_taken_by_its_media_types_in_utf_8_only() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let accepted = [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json ; charset=utf-8",
        "application/merge-patch+json",
        "application/vnd.acme.v2+json; charset=UTF-8",
        "application/hal+json",
    ];
    let refused = [
        "",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/x-json-x",
        "application",
        "json",
        "application/xml",
        "application/json/x",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-16",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "image/svg+xml",
        "text/plain, application/json",
    ];
    for (method, path, body) in ROUTES {
        let request = alice.request(method, &path.replace("ID", &created.id));
        for content_type in accepted {
            let answer = request.clone().body(content_type, body).send().await;
            assert!(matches!(answer.status, 200 | 201), "{path}, {content_type:?}: {}", answer.text());
        }
        for content_type in refused {
            let what = format!("{path}, {content_type:?}");
            check(&what, &request.clone().body(content_type, body).send().await, UNSUPPORTED_MEDIA_TYPE, &[]);
        }
        check(path, &request.clone().untyped_body(body).send().await, UNSUPPORTED_MEDIA_TYPE, &[]);
        let twice = request.clone().body("application/json", body).header("content-type", "application/json");
        check(path, &twice.send().await, UNSUPPORTED_MEDIA_TYPE, &[]);
        let typed_emptiness = request.body("text/plain", "").send().await;
        check(path, &typed_emptiness, UNSUPPORTED_MEDIA_TYPE, &[]);
    }
}

#[tokio::test]
async fn a_body_with_a_content_coding_is_415() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for (method, path, body) in ROUTES {
        let request = alice.request(method, &path.replace("ID", &created.id)).body("application/json", body);
        for coding in ["gzip", "br", "deflate", "nope", "identity, gzip"] {
            let answer = request.clone().header("content-encoding", coding).send().await;
            check(&format!("{path}, {coding}"), &answer, UNSUPPORTED_MEDIA_TYPE, &[]);
        }
        let plain = request.header("content-encoding", "identity").send().await;
        assert!(matches!(plain.status, 200 | 201), "{path}: {}", plain.text());
    }
}
