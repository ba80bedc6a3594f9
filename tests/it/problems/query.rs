//! Queries: unknown names, names given twice, bad values.

use serde_json::json;

use super::super::harness::{Client, Created, Server};
use super::{INVALID_PARAMETER, check, check_status, create};

/// Every route that is built, with a method that it has.
const ROUTES: [(&str, &str); 26] = [
    ("GET", "/api/integrations"),
    ("HEAD", "/api/integrations"),
    ("POST", "/api/integrations"),
    ("GET", "/api/integrations-list"),
    ("GET", "/api/integrations/ID"),
    ("PUT", "/api/integrations/ID"),
    ("DELETE", "/api/integrations/ID"),
    ("GET", "/api/integrations/ID/icon"),
    ("PUT", "/api/integrations/ID/icon"),
    ("DELETE", "/api/integrations/ID/icon"),
    ("GET", "/api/integrations/ID/shares"),
    ("GET", "/api/integrations/ID/shares/bob"),
    ("PUT", "/api/integrations/ID/shares/bob"),
    ("DELETE", "/api/integrations/ID/shares/bob"),
    ("GET", "/api/integrations/ID/owner"),
    ("PUT", "/api/integrations/ID/owner"),
    ("GET", "/api/integrations/ID/tags"),
    ("PUT", "/api/integrations/ID/tags"),
    ("PUT", "/api/integrations/ID/tags/red"),
    ("DELETE", "/api/integrations/ID/tags/red"),
    ("GET", "/api/integrations/ID/access"),
    ("GET", "/api/integration-drivers"),
    ("GET", "/api/libraries/books/integrations"),
    ("GET", "/api/principals/alice/integrations"),
    ("GET", "/api/me"),
    ("HEAD", "/api/me"),
];

/// A body that a route takes.
fn body(method: &str, path: &str) -> Option<(&'static str, &'static [u8])> {
    const JSON: &str = "application/json";
    match (method, path.rsplit('/').next().unwrap()) {
        ("POST", _) => Some((JSON, br#"{"name":"x","type":"custom"}"#)),
        ("PUT", "ID") => Some((JSON, br#"{"name":"x"}"#)),
        ("PUT", "icon") => Some(("image/png", b"\x89PNG\r\n\x1a\n")),
        ("PUT", "owner") => Some((JSON, br#"{"ownerId":"alice"}"#)),
        ("PUT", "tags") => Some((JSON, br#"{"tags":["red"]}"#)),
        _ => None,
    }
}

/// An integration with a share, a tag and an icon, as the view shows it.
async fn complete(alice: &Client) -> Created {
    let created = create(alice).await;
    alice.put(&created.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    alice.put(&created.path("/tags"), json!({ "tags": ["red"] })).await.expect(200);
    let (content_type, icon) = body("PUT", "icon").unwrap();
    let icon = alice.request("PUT", &created.path("/icon")).body(content_type, icon).send().await.expect(200);
    alice.get_at(&created.path(""), icon.header("integration-position")).await.expect(200);
    created
}

#[tokio::test]
async fn an_unknown_query_name_is_400_on_every_route() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = complete(&alice).await;
    for (method, path) in ROUTES {
        for (query, pointer) in [
            ("nope=1", "query:nope"),
            ("nope=1&nope=2", "query:nope"),
            ("Limit=5", "query:Limit"),
            ("limit%20=5", "query:limit "),
            ("access_token=x", "query:access_token"),
            ("%C3%A9=1", "query:é"),
            ("a%2Fb=1", "query:a/b"),
            ("=1", "query:"),
            ("q%00=1", "query:q\u{0}"),
        ] {
            let what = format!("{method} {path}?{query}");
            let mut request = alice.request(method, &format!("{}?{query}", path.replace("ID", &created.id)));
            if let Some((content_type, body)) = body(method, path) {
                request = request.body(content_type, body);
            }
            let answer = request.send().await;
            if method == "HEAD" {
                check_status(&what, &answer, 400);
            } else {
                check(&what, &answer, INVALID_PARAMETER, &[pointer]);
            }
        }
    }
    let detail = alice.get(&created.path("")).await.expect(200).json();
    assert_eq!(detail["name"], "Plain", "a refused request did something");
}

#[tokio::test]
async fn every_known_name_is_unknown_to_the_routes_that_have_it_not() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = complete(&alice).await;
    for name in ["q", "supportsUpload", "type", "category", "tag", "ownerId", "start", "limit", "sort", "at"] {
        for (method, path) in ROUTES.into_iter().filter(|(method, _)| *method == "GET") {
            let has = match path {
                "/api/integrations" => name != "at",
                "/api/integrations/ID" => name == "at",
                "/api/libraries/books/integrations" | "/api/principals/alice/integrations" => {
                    matches!(name, "start" | "limit" | "sort")
                }
                _ => false,
            };
            let path = format!("{}?{name}=1", path.replace("ID", &created.id));
            let answer = alice.request(method, &path).send().await;
            let is_unknown = answer.text().contains("is not a parameter of this route");
            assert_eq!(is_unknown, !has, "{path}: {}", answer.text());
            if !has {
                check(&path, &answer, INVALID_PARAMETER, &[&format!("query:{name}")]);
            }
        }
    }
}

/// Checks that a query of the list is refused at a parameter.
async fn refuses(alice: &Client, query: &str, name: &str) {
    let pointer = format!("query:{name}");
    let answer = alice.get(&format!("/api/integrations?{query}")).await;
    check(query, &answer, INVALID_PARAMETER, &[&pointer]);
    if matches!(name, "start" | "limit" | "sort") {
        for path in ["/api/libraries/books/integrations", "/api/principals/alice/integrations"] {
            let answer = alice.get(&format!("{path}?{query}")).await;
            check(query, &answer, INVALID_PARAMETER, &[&pointer]);
        }
    }
}

async fn accepts(alice: &Client, query: &str) {
    check_status(query, &alice.get(&format!("/api/integrations?{query}")).await, 200);
}

#[tokio::test]
async fn a_name_may_be_given_twice_only_where_a_repetition_means_or() {
    let server = Server::start().await;
    let alice = server.alice();
    for (name, value) in [("q", "a"), ("supportsUpload", "true"), ("start", "0"), ("limit", "5"), ("sort", "name")] {
        refuses(&alice, &format!("{name}={value}&{name}={value}"), name).await;
        refuses(&alice, &format!("{name}=&{name}={value}&&{name}={value}"), name).await;
    }
    for name in ["type", "category", "tag", "ownerId"] {
        accepts(&alice, &format!("{name}=a&{name}=b&{name}=a")).await;
    }
}

#[tokio::test]
async fn a_boolean_is_true_or_false_and_nothing_else() {
    let server = Server::start().await;
    let alice = server.alice();
    for value in ["1", "0", "yes", "no", "TRUE", "True", "t", "on", "null", "%20true", "true%00", "truefalse"] {
        refuses(&alice, &format!("supportsUpload={value}"), "supportsUpload").await;
    }
    for value in ["true", "false", "%74rue"] {
        accepts(&alice, &format!("supportsUpload={value}")).await;
    }
}

#[tokio::test]
async fn start_and_limit_are_whole_numbers_within_their_bounds() {
    let server = Server::start().await;
    let alice = server.alice();
    let numbers = ["-1", "%2B1", "1.0", "1e2", "0x10", "abc", "%201", "1%20", "١", "NaN", "1,2"];
    for value in numbers {
        refuses(&alice, &format!("start={value}"), "start").await;
        refuses(&alice, &format!("limit={value}"), "limit").await;
    }
    for value in ["0", "501", "1000000", "99999999999999999999999999"] {
        refuses(&alice, &format!("limit={value}"), "limit").await;
    }
    for query in [
        "limit=1",
        "limit=500",
        "start=0",
        "start=4294967296",
        "start=18446744073709551615&limit=500",
        "start=99999999999999999999999999",
    ] {
        accepts(&alice, query).await;
    }
}

#[tokio::test]
async fn sort_is_one_of_four_with_or_without_a_minus() {
    let server = Server::start().await;
    let alice = server.alice();
    for value in [
        "Name",
        "created",
        "created_at",
        "+name",
        "%2Bname",
        "--name",
        "-",
        "name,type",
        "name%20",
        "slug",
        "relevance",
        "id",
    ] {
        refuses(&alice, &format!("sort={value}"), "sort").await;
    }
    for name in ["name", "createdAt", "updatedAt", "type"] {
        accepts(&alice, &format!("sort={name}")).await;
        accepts(&alice, &format!("sort=-{name}")).await;
    }
}

#[tokio::test]
async fn a_search_has_at_most_8_words_of_64_characters() {
    let server = Server::start().await;
    let alice = server.alice();
    let long = "a".repeat(65);
    for q in ["a+b+c+d+e+f+g+h+i", "a-b-c-d-e-f-g-h-i", "a_b_c_d_e_f_g_h_i", long.as_str(), &format!("a+{long}")] {
        refuses(&alice, &format!("q={q}"), "q").await;
    }
    for q in ["a+b+c+d+e+f+g+h", &"a".repeat(64), "---", "%00", "%F0%9F%92%A5", "'+OR+1=1--", "a+b+c+d+e+f+g+h+!+-+."] {
        accepts(&alice, &format!("q={q}")).await;
    }
}

#[tokio::test]
async fn what_is_not_percent_encoded_utf_8_is_400() {
    let server = Server::start().await;
    let alice = server.alice();
    for value in ["%FF", "%C3", "%C3%28", "%ED%A0%80", "%F5%80%80%80", "a%80b", "%", "%1", "%zz", "100%", "%C3%A"] {
        for name in ["q", "type", "ownerId"] {
            refuses(&alice, &format!("{name}={value}"), name).await;
        }
    }
    let answer = alice.get("/api/integrations?%FF=1").await;
    check("a name", &answer, INVALID_PARAMETER, &["query:%FF"]);
}

#[tokio::test]
async fn every_broken_rule_of_a_query_is_told_at_once() {
    let server = Server::start().await;
    let query = "sort=slug&nope=1&limit=0&nope=2&q=%FF&supportsUpload=yes&limit=9&Q=a&start=-1";
    let answer = server.alice().get(&format!("/api/integrations?{query}")).await;
    let expected = ["nope", "q", "limit", "Q", "start", "limit", "sort", "supportsUpload"];
    let expected = expected.map(|name| format!("query:{name}"));
    check(query, &answer, INVALID_PARAMETER, &expected.each_ref().map(String::as_str));
    let many: String = (0..1_000).map(|number| format!("n{number}&")).collect();
    let answer = server.alice().get(&format!("/api/integrations?{many}")).await;
    let expected: Vec<_> = (0..100).map(|number| format!("query:n{number}")).collect();
    check("many", &answer, INVALID_PARAMETER, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_empty_value_counts_as_not_given() {
    let server = Server::start().await;
    let alice = server.alice();
    let plain = alice.get("/api/integrations").await.expect(200);
    let names = ["q", "supportsUpload", "type", "category", "tag", "ownerId", "start", "limit", "sort"];
    for query in names.iter().flat_map(|name| [format!("{name}="), (*name).to_owned(), format!("{name}=&{name}=")]) {
        let answer = alice.get(&format!("/api/integrations?{query}")).await.expect(200);
        assert_eq!((answer.json(), answer.header("etag")), (plain.json(), plain.header("etag")), "{query}");
    }
    accepts(&alice, "limit=&limit=5&limit=").await;
    for query in ["", "&", "&&", "q=&&"] {
        accepts(&alice, query).await;
    }
}
