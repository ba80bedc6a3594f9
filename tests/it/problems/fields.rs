//! The fields of POST and PUT one by one: their types, their lengths, the characters that they may have.

use serde_json::{Value, json};

use super::super::harness::{Client, Created, Server};
use super::{INVALID, body_with, check, check_status, create, only};

/// Fields that are texts, with the most characters that each may have.
const TEXTS: [(&str, usize); 5] =
    [("name", 200), ("type", 64), ("category", 64), ("description", 4_000), ("clientId", 512)];

/// Somebody with an integration to try fields on.
struct Trial {
    _server: Server,
    alice: Client,
    created: Created,
}

impl Trial {
    async fn start() -> Self {
        let server = Server::start().await;
        let alice = server.alice();
        let created = create(&alice).await;
        Self { _server: server, alice, created }
    }

    /// Checks that a field may have a value, in a POST and in a PUT.
    async fn accepts(&self, field: &str, value: Value) {
        let what = abbreviated(field, &value);
        let posted = self.alice.post("/api/integrations", body_with(field, value.clone())).await;
        check_status(&format!("POST {what}"), &posted, 201);
        check_status(&format!("PUT {what}"), &self.put(field, value).await, 200);
    }

    /// Checks that a value breaks a rule at the field and no other, in a POST and in a PUT.
    async fn refuses(&self, field: &str, value: Value) {
        let (what, pointer) = (abbreviated(field, &value), format!("/{field}"));
        let posted = self.alice.post("/api/integrations", body_with(field, value.clone())).await;
        check(&format!("POST {what}"), &posted, INVALID, &[&pointer]);
        check(&format!("PUT {what}"), &self.put(field, value).await, INVALID, &[&pointer]);
    }

    async fn put(&self, field: &str, value: Value) -> super::super::harness::Answer {
        self.alice.put(&self.created.path(""), only(field, value)).await
    }
}

fn abbreviated(field: &str, value: &Value) -> String {
    let text: String = value.to_string().chars().take(60).collect();
    format!("{field}: {text}")
}

#[tokio::test]
async fn a_field_of_another_type_is_refused() {
    let trial = Trial::start().await;
    let texts = [
        "name",
        "type",
        "category",
        "description",
        "mode",
        "authType",
        "scope",
        "authUri",
        "tokenUri",
        "revocationUri",
        "apiBaseUri",
        "clientId",
        "clientSecret",
        "apiKey",
        "apiKeyLocation",
        "apiKeyName",
        "imageUrl",
    ];
    for field in texts {
        for value in [json!(5), json!(true), json!(["x"]), json!({ "x": 1 }), json!([])] {
            trial.refuses(field, value).await;
        }
    }
    for value in [json!("true"), json!(0), json!(1), json!([true]), json!({})] {
        trial.refuses("basicTokenAuth", value).await;
    }
    for field in ["headers", "data"] {
        for value in [json!("x"), json!(5), json!(false), json!([]), json!([{}])] {
            trial.refuses(field, value).await;
        }
    }
}

#[tokio::test]
async fn a_text_may_have_as_many_unicode_scalar_values_as_its_limit_and_no_more() {
    let trial = Trial::start().await;
    for (field, max) in TEXTS {
        for char in ["a", "é", "😀", "e\u{301}"] {
            let scalars = char.chars().count();
            trial.accepts(field, json!(char.repeat(max / scalars))).await;
            trial.refuses(field, json!(format!("{}x", char.repeat(max / scalars)))).await;
        }
        trial.accepts(field, json!(format!("  {} \n", "a".repeat(max)))).await;
    }
    trial.accepts("scope", json!("a".repeat(4_000))).await;
    trial.refuses("scope", json!("a".repeat(4_001))).await;
    trial.refuses("scope", json!("ab ".repeat(1_334) + "ab")).await;
}

#[tokio::test]
async fn a_secret_may_have_8_kib_and_no_more() {
    let trial = Trial::start().await;
    for field in ["clientSecret", "apiKey"] {
        trial.accepts(field, json!("a".repeat(8_192))).await;
        trial.accepts(field, json!("é".repeat(4_096))).await;
        trial.refuses(field, json!("a".repeat(8_193))).await;
        trial.refuses(field, json!("é".repeat(4_097))).await;
    }
}

#[tokio::test]
async fn a_text_has_no_control_characters_but_a_description_has_tabs_and_line_ends() {
    let trial = Trial::start().await;
    let controls =
        ['\0', '\u{1}', '\u{8}', '\u{b}', '\u{c}', '\u{1b}', '\u{1f}', '\u{7f}', '\u{80}', '\u{85}', '\u{9f}'];
    let line = ['\t', '\r', '\n'];
    let fields = ["name", "type", "category", "clientId", "clientSecret", "apiKey", "scope", "apiKeyName"];
    for char in controls.into_iter().chain(line) {
        for field in fields {
            trial.refuses(field, json!(format!("a{char}b"))).await;
        }
    }
    for char in controls {
        trial.refuses("description", json!(format!("a{char}b"))).await;
    }
    for char in line {
        trial.accepts("description", json!(format!("a{char}b"))).await;
    }
    // Neither is one of them.
    for char in ['\u{a0}', '\u{ad}', '\u{200d}', '\u{202e}', '\u{feff}', '\u{10ffff}'] {
        trial.accepts("name", json!(format!("a{char}b"))).await;
    }
}

#[tokio::test]
async fn a_text_is_trimmed_before_it_is_looked_at() {
    let trial = Trial::start().await;
    for (field, max) in TEXTS {
        let posted = trial.alice.post("/api/integrations", body_with(field, " \t\r\n a  b \n")).await.expect(201);
        let detail = trial.alice.get_at(posted.header("location"), posted.header("integration-position")).await;
        assert_eq!(detail.json()[field], "a  b", "{field}");
        let padded = format!("{}{}", "a".repeat(max), " ".repeat(50));
        let updated = trial.put(field, json!(padded)).await.expect(200);
        assert_eq!(updated.json()[field], "a".repeat(max), "{field}");
    }
}

#[tokio::test]
async fn mode_auth_type_and_api_key_location_have_the_values_of_the_contract() {
    let trial = Trial::start().await;
    for value in ["per-user", "shared"] {
        trial.accepts("mode", json!(value)).await;
    }
    for value in ["Shared", "PER-USER", "per_user", "peruser", "global", "team"] {
        trial.refuses("mode", json!(value)).await;
    }
    for value in ["oauth2", "apikey", "basic", "bearer", "apiKey", "OAuth2", "APIKEY", "Basic", "BEARER"] {
        trial.accepts("authType", json!(value)).await;
    }
    for value in ["oauth", "oauth1", "api-key", "api_key", "none", "digest", "ＯAuth2"] {
        trial.refuses("authType", json!(value)).await;
    }
    for value in ["header", "query"] {
        trial.accepts("apiKeyLocation", json!(value)).await;
    }
    for value in ["cookie", "body", "path"] {
        trial.refuses("apiKeyLocation", json!(value)).await;
    }
    for value in [true, false] {
        trial.accepts("basicTokenAuth", json!(value)).await;
    }
}

#[tokio::test]
async fn a_scope_is_scope_tokens_separated_by_spaces() {
    let trial = Trial::start().await;
    for value in ["openid", "a b c", "https://www.googleapis.com/auth/drive.readonly a:b", "!#$%&'()*+,-./[]^_`{|}~"] {
        trial.accepts("scope", json!(value)).await;
    }
    for value in ["a\"b", "a\\b", "é", "a\u{a0}b", "😀", "a\tb", "a\nb"] {
        trial.refuses("scope", json!(value)).await;
    }
}

#[tokio::test]
async fn data_is_an_object_of_at_most_64_kib_as_sent() {
    let trial = Trial::start().await;
    let sized = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
    let spaced = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
    let escaped = |length: usize| format!(r#"{{"a":"{}{}"}}"#, r"\u0041".repeat(10_000), "x".repeat(length - 60_008));
    let max = 64 * 1_024;
    for data in [sized(max), spaced(max), escaped(max)] {
        assert_eq!(data.len(), max);
        check_status("64 KiB", &send_data(&trial, "POST", &data).await, 201);
        check_status("64 KiB", &send_data(&trial, "PUT", &data).await, 200);
    }
    for data in [sized(max + 1), spaced(max + 1), escaped(max + 1)] {
        for method in ["POST", "PUT"] {
            check(method, &send_data(&trial, method, &data).await, INVALID, &["/data"]);
        }
    }
}

async fn send_data(trial: &Trial, method: &str, data: &str) -> super::super::harness::Answer {
    let path = if method == "POST" { "/api/integrations".to_owned() } else { trial.created.path("") };
    let body = format!(r#"{{"name":"x","type":"custom","data": {data} }}"#);
    trial.alice.request(method, &path).body("application/json", body).send().await
}

#[tokio::test]
async fn data_may_be_32_deep_and_no_deeper() {
    let trial = Trial::start().await;
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let arrays = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    let mixed =
        |depth: usize| format!(r#"{{"b":[],"a":{}1{},"c":1}}"#, r#"[{"a":"#.repeat(depth / 2), "}]".repeat(depth / 2));
    for data in [objects(32), arrays(32), mixed(31), "{}".to_owned()] {
        check_status("POST", &send_data(&trial, "POST", &data).await, 201);
        check_status("PUT", &send_data(&trial, "PUT", &data).await, 200);
    }
    for data in [objects(33), arrays(33), mixed(32), objects(63), objects(64), objects(65), arrays(30_000)] {
        for method in ["POST", "PUT"] {
            check(method, &send_data(&trial, method, &data).await, INVALID, &["/data"]);
        }
    }
}

#[tokio::test]
async fn texts_inside_data_are_not_looked_at() {
    let trial = Trial::start().await;
    let data = json!({ "control": "\u{0}\u{7f}\u{9f}\r\n", "": null, "a/b": "${env.HOME}", "uri": "ftp://u:p@h/#f" });
    let posted = trial.alice.post("/api/integrations", body_with("data", data.clone())).await.expect(201);
    let detail = trial.alice.get_at(posted.header("location"), posted.header("integration-position")).await;
    assert_eq!(detail.json()["data"], data);
}

#[tokio::test]
async fn an_api_keys_name_is_visible_ascii_and_a_headers_name_where_the_key_goes_into_a_header() {
    let trial = Trial::start().await;
    for name in ["key", "X-API-Key", "api_key", "a[b]=c", &"a".repeat(200)] {
        trial.accepts("apiKeyName", json!(name)).await;
    }
    for name in ["a b", "é", "a\u{a0}b", "😀", &"a".repeat(201)] {
        trial.refuses("apiKeyName", json!(name)).await;
    }
    let body = |location: &str, name: &str| json!({ "apiKeyLocation": location, "apiKeyName": name });
    let put = async |body: Value| trial.alice.put(&trial.created.path(""), body).await;
    for name in ["a[b]", "X:Y", "a/b", "a,b"] {
        check(name, &put(body("header", name)).await, INVALID, &["/apiKeyName"]);
        check_status(name, &put(body("query", name)).await, 200);
        // The name that it has would be no header's.
        check(name, &put(json!({ "apiKeyLocation": "header" })).await, INVALID, &["/apiKeyName"]);
    }
    let posted = json!({ "name": "x", "type": "custom", "authType": "apikey", "apiKeyName": "a/b" });
    check("POST", &trial.alice.post("/api/integrations", posted).await, INVALID, &["/apiKeyName"]);
}
