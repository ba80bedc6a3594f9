//! The URIs of an integration.

use serde_json::json;

use super::super::harness::{Client, Created, Server};
use super::{INVALID, body_with, check, check_status, create, only};

const URIS: [&str; 4] = ["authUri", "tokenUri", "revocationUri", "apiBaseUri"];

/// What neither an endpoint nor an image may be.
const BAD: [&str; 37] = [
    "https://",
    "https:///",
    "https:///path",
    "https://?q",
    "https:/example.com/",
    "https:example.com",
    "http:",
    "example.com",
    "example.com/a.png",
    "//example.com/",
    "///example.com/",
    "?q",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
    "ws://example.com/",
    "httpss://example.com/",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://:password@example.com/",
    "https://@example.com/",
    "https://example.com/#fragment",
    "https://example.com/#",
    "https://example.com#fragment",
    "https://example.com\\path",
    "https://example.com\\@evil.example/",
    "https:\\\\example.com/",
    "https://example.com/a b",
    "https://exa mple.com/",
    "https://example.com/\u{e9}",
    "https://b\u{fc}cher.example/",
    "https://example.com/%",
    "https://example.com/%zz",
    "https://example.com:99999/",
    "https://[::1/",
    "https://example.com/<script>",
];

const GOOD: [&str; 11] = [
    "https://example.com",
    "https://example.com/",
    "http://localhost:8080/v1",
    "HTTPS://EXAMPLE.com/A",
    "https://127.0.0.1/",
    "https://[::1]:8443/a?b=c&d",
    "https://example.com/a@b:c",
    "https://example.com/%E9%20?q=a%2Fb",
    "https://xn--bcher-kva.example/",
    "https://example.com/~a/(b)/!$&'*+,;=",
    "https://example.com?q=/",
];

async fn check_good(alice: &Client, created: &Created, field: &str, uri: &str) {
    let posted = alice.post("/api/integrations", body_with(field, uri)).await;
    check_status(&format!("POST {field}: {uri}"), &posted, 201);
    let updated = alice.put(&created.path(""), only(field, uri)).await;
    check_status(&format!("PUT {field}: {uri}"), &updated, 200);
    assert_eq!(updated.json()[field], uri, "kept as it was given");
}

async fn check_bad(alice: &Client, created: &Created, field: &str, uri: &str) {
    let pointer = format!("/{field}");
    let posted = alice.post("/api/integrations", body_with(field, uri)).await;
    check(&format!("POST {field}: {uri}"), &posted, INVALID, &[&pointer]);
    let updated = alice.put(&created.path(""), only(field, uri)).await;
    check(&format!("PUT {field}: {uri}"), &updated, INVALID, &[&pointer]);
}

#[tokio::test]
async fn an_endpoint_is_an_absolute_http_uri_without_credentials_or_fragment() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for field in URIS {
        for uri in BAD.into_iter().chain(["/path", "/", "/images/a.png"]) {
            check_bad(&alice, &created, field, uri).await;
        }
        for uri in GOOD {
            check_good(&alice, &created, field, uri).await;
        }
    }
}

#[tokio::test]
async fn an_image_url_is_such_a_uri_or_a_path_that_begins_with_one_slash() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for uri in BAD.into_iter().chain(["/\\example.com/a.png", "/a b.png", "/\u{e9}.png", "/%zz", "images/a.png", "./a"])
    {
        check_bad(&alice, &created, "imageUrl", uri).await;
    }
    for uri in GOOD.into_iter().chain(["/images/google-drive.png", "/", "/a/../b?c=d", "/%C3%A9.png"]) {
        check_good(&alice, &created, "imageUrl", uri).await;
    }
}

#[tokio::test]
async fn a_uri_may_have_2048_characters_and_no_more() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let sized = |start: &str, length: usize| format!("{start}{}", "a".repeat(length - start.len()));
    for field in URIS.into_iter().chain(["imageUrl"]) {
        check_good(&alice, &created, field, &sized("https://example.com/", 2_048)).await;
        check_bad(&alice, &created, field, &sized("https://example.com/", 2_049)).await;
    }
    check_good(&alice, &created, "imageUrl", &sized("/", 2_048)).await;
    check_bad(&alice, &created, "imageUrl", &sized("/", 2_049)).await;
}

#[tokio::test]
async fn every_bad_uri_of_a_body_is_told() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let body = json!({
        "authUri": "ftp://example.com/", "tokenUri": "https://u@example.com/", "revocationUri": "https://example.com/#",
        "apiBaseUri": "/", "imageUrl": "//example.com/",
    });
    let pointers = ["/authUri", "/tokenUri", "/revocationUri", "/apiBaseUri", "/imageUrl"];
    check("PUT", &alice.put(&created.path(""), body).await, INVALID, &pointers);
}
