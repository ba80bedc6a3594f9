//! Tokens of an identity provider: whose are taken, and how its keys are fetched.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    harness::{Answer, now_seconds},
    process::{Process, with_token},
};

mod fetching;
mod identity;
mod options;
mod refused;

use identity::{Endpoint, Key};

const ISSUER: &str = "https://id.example.com/realms/acme";
const AUDIENCE: &str = "api://Connectors";
const ME: &str = "/api/me";

/// A service that trusts the provider whose keys are there.
struct Service {
    process: Process,
    url: String,
    directory: TempDir,
}

impl Service {
    /// Starts it; it need not be ready.
    fn start(jwks: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = Process::serve(
            &directory.path().join("data"),
            &["--jwks", jwks, "--issuer", ISSUER, "--audience", AUDIENCE],
        );
        let url = process.url();
        Self { process, url, directory }
    }

    /// Starts it and waits until it is ready.
    async fn ready(jwks: &str) -> Self {
        let service = Self::start(jwks);
        service.wait_until_ready().await;
        service
    }

    async fn wait_until_ready(&self) {
        let is_ready = async || with_token(&self.url, "").get("/readyz").await.status == 200;
        crate::process::eventually("the service is ready", is_ready).await;
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    async fn ask(&self, token: &str) -> Answer {
        with_token(&self.url, token).get(ME).await
    }

    #[track_caller]
    fn warnings(&self) -> usize {
        self.process.stderr().lines().filter(|line| line.contains("\"WARN\"")).count()
    }
}

/// The claims of a good token.
fn claims() -> Value {
    json!({ "sub": "alice", "tenant": "acme", "exp": now_seconds() + 600, "iss": ISSUER, "aud": AUDIENCE })
}

/// The claims of a good token with another value for one.
fn claims_with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

/// The text of a set of these keys.
fn set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn rs256_and_es256_tokens_of_the_provider_are_taken() {
    let (rsa, p256) = (Key::rsa("r"), Key::p256("e"));
    let endpoint = Endpoint::start(&set(&[&rsa, &p256]));
    let mut service = Service::ready(&endpoint.url).await;
    for key in [&rsa, &p256] {
        for claims in [claims(), claims_with("aud", json!(["other", AUDIENCE])), claims_with("nbf", now_seconds() + 15)]
        {
            let me = service.ask(&key.token(&claims)).await.expect(200).json();
            assert_eq!((&me["user"], &me["tenant"]), (&json!("alice"), &json!("acme")));
        }
        let nameless = key.sign(&json!({ "alg": key.algorithm() }), &claims());
        service.ask(&nameless).await.expect(200);
    }
    assert_eq!(endpoint.count(), 1, "tokens of known keys fetch nothing");
    assert!(!service.data_dir().join("jwt.key").exists());
    let ended = service.process.terminate();
    assert!(ended.status.success());
    assert!(ended.stdout.is_empty(), "no token is offered: {:?}", ended.stdout);
}

#[tokio::test]
async fn keys_of_one_name_are_tried_each() {
    let (first, second, rsa) = (Key::p256("k"), Key::p256("k"), Key::rsa("k"));
    let endpoint = Endpoint::start(&set(&[&first, &rsa, &second]));
    let service = Service::ready(&endpoint.url).await;
    for key in [&first, &second, &rsa] {
        service.ask(&key.token(&claims())).await.expect(200);
    }
    let foreign = Key::p256("k");
    service.ask(&foreign.token(&claims())).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_team_of_the_token_may_see_what_is_shared_with_it() {
    let key = Key::p256("e");
    let endpoint = Endpoint::start(&set(&[&key]));
    let service = Service::ready(&endpoint.url).await;
    let alice = key.token(&claims_with("permissions", json!([super::harness::CREATE])));
    let alice = with_token(&service.url, &alice);
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    alice.put(&created.path("/shares/team:a"), json!({ "accessLevel": 1 })).await.expect(200);
    let mut bob = claims_with("sub", "bob");
    let stranger = with_token(&service.url, &key.token(&bob));
    stranger.get_at(&created.path(""), &created.position).await.expect_problem(404, "not-found");
    bob["groups"] = json!(["team:a"]);
    let bob = with_token(&service.url, &key.token(&bob));
    crate::process::eventually("the share is visible", async || bob.get(&created.path("")).await.status == 200).await;
}
