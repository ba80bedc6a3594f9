//! When keys are fetched, on a clock of the tests' own.

use std::{collections::VecDeque, time::Duration};

use async_trait::async_trait;
use data_encoding::BASE64URL_NOPAD;
use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::*;

/// Lets the paused clock go on, and everybody do what is due meanwhile. It takes no time.
async fn time_passes(duration: Duration) {
    sleep(duration).await;
}

/// A source whose answers the test gives.
#[derive(Debug, Default)]
struct Answers {
    /// The last one stays.
    next: Mutex<VecDeque<Option<Vec<u8>>>>,
    takes: Mutex<Duration>,
    /// When it was asked.
    asked: Mutex<Vec<Instant>>,
}

impl Answers {
    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn then(&self, answer: Option<Vec<u8>>) {
        *self.next.lock().unwrap() = VecDeque::from([answer]);
    }
}

#[derive(Debug)]
struct Scripted(Arc<Answers>);

#[async_trait]
impl KeySource for Scripted {
    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        self.0.asked.lock().unwrap().push(Instant::now());
        let takes = *self.0.takes.lock().unwrap();
        time_passes(takes).await;
        let mut next = self.0.next.lock().unwrap();
        let answer = if next.len() > 1 { next.pop_front().unwrap() } else { next.front().cloned().unwrap() };
        answer.ok_or(FetchError::Status(StatusCode::BAD_GATEWAY))
    }
}

fn set(kids: &[&str]) -> Option<Vec<u8>> {
    let coordinate = BASE64URL_NOPAD.encode(&[7; 32]);
    let key = |kid| json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": coordinate, "y": coordinate });
    Some(json!({ "keys": kids.iter().map(key).collect::<Vec<_>>() }).to_string().into_bytes())
}

/// A provider that runs, its source, and what it makes ready.
async fn running(first: Vec<Option<Vec<u8>>>) -> (Arc<Provider>, Arc<Answers>, Arc<Readiness>) {
    let answers = Arc::new(Answers { next: Mutex::new(first.into()), ..Answers::default() });
    let readiness = Arc::new(Readiness::waiting_for(&[Part::TokenKeys]));
    let parties = Parties { issuer: "issuer".to_owned(), audience: "audience".to_owned() };
    let source = Box::new(Scripted(Arc::clone(&answers)));
    let provider = Provider::new(source, parties, Arc::clone(&readiness), Arc::default());
    let runner = Arc::clone(&provider);
    TaskTracker::new().spawn(async move { runner.run(CancellationToken::new()).await });
    time_passes(Duration::from_millis(1)).await;
    (provider, answers, readiness)
}

/// A token of this `kid`, which no key has signed.
fn token(kid: &str) -> String {
    let header = json!({ "alg": "ES256", "kid": kid }).to_string();
    format!("{}.e30.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(&[0; 64]))
}

/// Sends a token of this `kid`; answers how long it took to be refused.
async fn ask(provider: &Provider, kid: &str) -> Duration {
    let started = Instant::now();
    assert!(matches!(provider.verify(&token(kid)).await, Err(Refusal::Token(_))));
    started.elapsed()
}

fn knows(provider: &Provider, kid: &str) -> bool {
    provider.current.load().as_ref().is_some_and(|current| current.set.knows(kid))
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kid_fetches_at_most_every_thirty_seconds() {
    let (provider, answers, _) = running(vec![set(&["a"])]).await;
    ask(&provider, "a").await;
    assert_eq!(answers.count(), 1, "a known key's name fetches nothing");
    answers.then(set(&["a", "b"]));
    ask(&provider, "b").await;
    assert!(knows(&provider, "b"));
    assert_eq!(answers.count(), 2);
    for kid in ["c", "d", "c"] {
        assert_eq!(ask(&provider, kid).await, Duration::ZERO, "the answer comes at once");
    }
    assert_eq!(answers.count(), 2);
    time_passes(Duration::from_secs(29)).await;
    ask(&provider, "c").await;
    assert_eq!(answers.count(), 2);
    time_passes(Duration::from_secs(2)).await;
    ask(&provider, "c").await;
    assert_eq!(answers.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_share_one_fetch() {
    let (provider, answers, _) = running(vec![set(&["a"])]).await;
    answers.then(set(&["a", "b"]));
    *answers.takes.lock().unwrap() = Duration::from_secs(2);
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let provider = Arc::clone(&provider);
        requests.spawn(async move {
            let took = ask(&provider, "b").await;
            (took, knows(&provider, "b"))
        });
    }
    for (took, knows_it) in requests.join_all().await {
        assert_eq!(took, Duration::from_secs(2));
        assert!(knows_it);
    }
    assert_eq!(answers.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_goes_on_when_the_request_that_asked_for_it_has_gone() {
    let (provider, answers, _) = running(vec![set(&["a"])]).await;
    answers.then(set(&["b"]));
    *answers.takes.lock().unwrap() = Duration::from_secs(2);
    let asked = timeout(Duration::from_secs(1), ask(&provider, "b")).await;
    assert!(asked.is_err());
    time_passes(Duration::from_secs(2)).await;
    assert!(knows(&provider, "b"));
    assert_eq!(answers.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_ends_within_five_minutes_though_nobody_asks() {
    let (provider, answers, _) = running(vec![set(&["a", "b"])]).await;
    answers.then(set(&["b"]));
    time_passes(Duration::from_secs(299)).await;
    assert!(knows(&provider, "a"));
    time_passes(Duration::from_secs(2)).await;
    assert!(!knows(&provider, "a") && knows(&provider, "b"));
    assert_eq!(answers.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_keys_are_tried_for_at_growing_intervals_up_to_five_seconds() {
    let failures = 9;
    let mut first = vec![None; failures];
    first.push(set(&["a"]));
    let (provider, answers, readiness) = running(first).await;
    assert!(matches!(provider.verify(&token("a")).await, Err(Refusal::NoKeys)));
    assert!(readiness.check().is_err());
    time_passes(Duration::from_secs(60)).await;
    assert!(readiness.check().is_ok());
    assert_eq!(answers.count(), failures + 1);
    let asked = answers.asked.lock().unwrap().clone();
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_millis()).collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_set_stays_and_an_unchanged_one_is_no_new_generation() {
    let (provider, answers, readiness) = running(vec![set(&["a"])]).await;
    assert_eq!(provider.generation(), Some(0));
    let useless = Some(br#"{"keys":[]}"#.to_vec());
    for answer in [set(&["a"]), None, Some(b"<html>".to_vec()), useless] {
        answers.then(answer);
        time_passes(REFRESH_EVERY).await;
        assert_eq!(provider.generation(), Some(0));
        assert!(knows(&provider, "a"));
    }
    assert!(readiness.check().is_ok());
    answers.then(set(&["a", "b"]));
    time_passes(REFRESH_EVERY).await;
    assert_eq!(provider.generation(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_fetch_that_does_not_end() {
    let (provider, answers, _) = running(vec![set(&["a"])]).await;
    *answers.takes.lock().unwrap() = Duration::from_secs(100);
    assert_eq!(ask(&provider, "b").await, WAIT_MAX);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_token_of_a_providers_fetches_nothing() {
    let (provider, answers, _) = running(vec![set(&["a"])]).await;
    for header in [r#"{"alg":"none","kid":"x"}"#, r#"{"alg":"HS256","kid":"x"}"#, r#"{"alg":"RS512","kid":"x"}"#, "{"] {
        let token = format!("{}.e30.AAAA", BASE64URL_NOPAD.encode(header.as_bytes()));
        assert!(matches!(provider.verify(&token).await, Err(Refusal::Token(_))), "{header}");
    }
    assert_eq!(answers.count(), 1);
}
