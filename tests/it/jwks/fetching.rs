//! How the provider's keys are fetched, and what happens while they cannot be.

use std::net::TcpListener;

use super::{
    Endpoint, Key, Service, claims, claims_with,
    identity::{Reply, encode},
    set, write,
};
use crate::{
    metrics::Metrics,
    process::{eventually, with_token},
};

/// The metric of fetches with this outcome.
async fn fetches(service: &Service, outcome: &str) -> u64 {
    let metrics = Metrics(with_token(&service.url, "").get("/metrics").await.text());
    metrics.value(&format!("token_key_fetches_total{{outcome=\"{outcome}\"}}")).unwrap_or(0)
}

#[tokio::test]
async fn an_unknown_kid_fetches_the_keys_again_and_another_one_does_not() {
    let (old, new, third) = (Key::p256("old"), Key::p256("new"), Key::p256("third"));
    let endpoint = Endpoint::start(&set(&[&old]));
    let service = Service::ready(&endpoint.url).await;
    endpoint.set(Reply::Text(set(&[&old, &new])));
    service.ask(&new.token(&claims())).await.expect(200);
    assert_eq!(endpoint.count(), 2);
    endpoint.set(Reply::Text(set(&[&old, &new, &third])));
    for _ in 0..3 {
        service.ask(&third.token(&claims())).await.expect_problem(401, "unauthenticated");
    }
    assert_eq!(endpoint.count(), 2, "the last fetch is not 30 s ago");
    for key in [&old, &new] {
        service.ask(&key.token(&claims())).await.expect(200);
    }
    assert_eq!((fetches(&service, "changed").await, fetches(&service, "failed").await), (2, 0));
}

#[tokio::test]
async fn many_requests_with_an_unknown_kid_share_one_fetch() {
    let (old, new) = (Key::p256("old"), Key::p256("new"));
    let endpoint = Endpoint::start(&set(&[&old]));
    let service = Service::ready(&endpoint.url).await;
    endpoint.set(Reply::Text(set(&[&new])));
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (url, token) = (service.url.clone(), new.token(&claims_with("name", number.to_string())));
        requests.spawn(async move { with_token(&url, &token).get(super::ME).await.status });
    }
    assert_eq!(requests.join_all().await, [200; 40]);
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn the_tokens_of_a_withdrawn_key_end_with_the_next_fetch() {
    let (old, new) = (Key::p256("old"), Key::rsa("new"));
    let endpoint = Endpoint::start(&set(&[&old]));
    let service = Service::ready(&endpoint.url).await;
    let token = old.token(&claims());
    for _ in 0..3 {
        service.ask(&token).await.expect(200);
    }
    endpoint.set(Reply::Text(set(&[&new])));
    service.ask(&token).await.expect(200);
    service.ask(&new.token(&claims())).await.expect(200);
    service.ask(&token).await.expect_problem(401, "unauthenticated");
    service.ask(&old.token(&claims_with("name", "Alice"))).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_key_of_the_same_name_with_another_value_ends_the_tokens_of_the_first() {
    let (old, new, other) = (Key::p256("k"), Key::p256("k"), Key::p256("other"));
    let endpoint = Endpoint::start(&set(&[&old]));
    let service = Service::ready(&endpoint.url).await;
    let token = old.token(&claims());
    service.ask(&token).await.expect(200);
    endpoint.set(Reply::Text(set(&[&new, &other])));
    service.ask(&other.token(&claims())).await.expect(200);
    service.ask(&token).await.expect_problem(401, "unauthenticated");
    service.ask(&new.token(&claims())).await.expect(200);
}

#[tokio::test]
async fn while_there_are_no_keys_yet_the_service_is_up_and_not_ready() {
    let key = Key::p256("e");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let service = Service::start(&format!("http://{address}/keys"));
    with_token(&service.url, "").get("/livez").await.expect(200);
    let token = key.token(&claims());
    let names_it = async || {
        let answer = with_token(&service.url, "").get("/readyz").await.expect_problem(503, "not-ready");
        answer.text().contains("the token keys cannot be fetched")
    };
    // The views are replayed first.
    eventually("what it waits for is named", names_it).await;
    let refused = service.ask(&token).await.expect_problem(503, "not-ready");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    let anonymous = crate::harness::Client { token: None, ..with_token(&service.url, "") };
    anonymous.get(super::ME).await.expect_problem(401, "unauthenticated");
    eventually("several tries have failed", async || fetches(&service, "failed").await >= 3).await;
    assert_eq!(service.warnings(), 1, "{}", service.process.stderr());
    let _endpoint = Endpoint::on(TcpListener::bind(address).unwrap(), Reply::Text(set(&[&key])));
    service.wait_until_ready().await;
    service.ask(&token).await.expect(200);
}

#[tokio::test]
async fn the_last_good_set_stays_while_the_endpoint_is_away_or_answers_nonsense() {
    let (key, unknown) = (Key::p256("e"), Key::p256("x"));
    let large = format!(r#"{{"keys":[{}],"more":"{}"}}"#, unknown.jwk(), "x".repeat(1_048_576));
    let rows = [
        Reply::Nothing,
        Reply::Other(500, "x: y".to_owned()),
        Reply::Other(404, "x: y".to_owned()),
        Reply::Other(204, "x: y".to_owned()),
        Reply::Text("<html>evil</html>".to_owned()),
        Reply::Text(r#"{"keys":[]}"#.to_owned()),
        Reply::Text(format!(r#"{{"keys":[{{"kty":"oct","k":"{}"}}]}}"#, encode(b"evil"))),
        Reply::Text(large),
        Reply::Text(String::new()),
    ];
    for (at, reply) in rows.into_iter().enumerate() {
        let endpoint = Endpoint::start(&set(&[&key]));
        let service = Service::ready(&endpoint.url).await;
        let token = key.token(&claims());
        service.ask(&token).await.expect(200);
        endpoint.set(reply);
        for _ in 0..3 {
            service.ask(&unknown.token(&claims())).await.expect_problem(401, "unauthenticated");
        }
        service.ask(&token).await.expect(200);
        service.ask(&key.token(&claims_with("name", "Alice"))).await.expect(200);
        with_token(&service.url, "").get("/readyz").await.expect(200);
        assert_eq!(fetches(&service, "failed").await, 1, "{at}");
        assert_eq!(service.warnings(), 1, "{at}: {}", service.process.stderr());
        assert!(!service.process.stderr().contains("evil"), "{at}");
    }
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_three_times() {
    let key = Key::p256("e");
    let mut urls = vec![Endpoint::start(&set(&[&key]))];
    for _ in 0..4 {
        let location = format!("location: {}", urls.last().unwrap().url);
        urls.push(Endpoint::on(TcpListener::bind("127.0.0.1:0").unwrap(), Reply::Other(302, location)));
    }
    let service = Service::ready(&urls[3].url).await;
    service.ask(&key.token(&claims())).await.expect(200);
    for elsewhere in [urls[3].url.clone(), "http://192.0.2.1/keys".to_owned(), "https://192.0.2.1/keys".to_owned()] {
        let endpoint = &urls[4];
        endpoint.set(Reply::Other(302, format!("location: {elsewhere}")));
        let service = Service::start(&endpoint.url);
        eventually("the fetch has failed", async || fetches(&service, "failed").await >= 1).await;
        with_token(&service.url, "").get("/readyz").await.expect_problem(503, "not-ready");
    }
}

#[tokio::test]
async fn a_file_is_read_again_when_a_kid_is_unknown() {
    let (old, new) = (Key::p256("old"), Key::rsa("new"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    write(&path, &set(&[&old]));
    let service = Service::ready(path.to_str().unwrap()).await;
    let token = old.token(&claims());
    service.ask(&token).await.expect(200);
    write(&path, &set(&[&new]));
    service.ask(&new.token(&claims())).await.expect(200);
    service.ask(&token).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_file_that_goes_away_or_bad_leaves_the_last_good_set() {
    let (key, unknown) = (Key::p256("e"), Key::p256("x"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    for text in [None, Some("{"), Some("{}")] {
        write(&path, &set(&[&key]));
        let service = Service::ready(path.to_str().unwrap()).await;
        match text {
            Some(text) => write(&path, text),
            None => std::fs::remove_file(&path).unwrap(),
        }
        service.ask(&unknown.token(&claims())).await.expect_problem(401, "unauthenticated");
        assert_eq!(fetches(&service, "failed").await, 1);
        service.ask(&key.token(&claims())).await.expect(200);
    }
}
