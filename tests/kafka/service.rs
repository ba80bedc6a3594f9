//! The service with `--kafka`, from outside: what it publishes while it is killed under load, read by a consumer in
//! another language with libraries that are not ours.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::{
    consumer::{Record, uncommitted},
    load::Load,
    process::{Process, binary},
    topics_check::check_topics,
};
use servers::{free_port, kafka::Broker};

const KILLS: u64 = 5;
/// How many changes are made.
const CHANGES: u64 = 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_in_another_language_sees_each_event_once_and_in_order_however_often_the_service_is_killed() {
    let (broker, prefix) = (Broker::shared(), format!("service-{}", Uuid::new_v4()));
    let (brokers, directory) = (broker.address(), tempfile::tempdir().unwrap());
    let options = ["serve", "--kafka", &brokers, "--kafka-topic-prefix", &prefix];
    let mut service = Process::start(directory.path(), &options);
    service.wait_until_ready().await;
    let load = Load::start(&service.api, 1_000);
    for kill in 1..=KILLS {
        load.reach(CHANGES * kill / (KILLS + 1)).await;
        service.kill();
        service.restart();
    }
    load.reach(CHANGES).await;
    let done = load.end().await;
    service.wait_until_published().await;
    assert_eq!(service.api.text("/readyz").await, "ready\n");
    let tokens = [("acme", service.api.token.clone())].into();
    let seen = check_topics(&brokers, &prefix, &directory.path().join("data"), &service.api.url, &tokens);
    assert!(seen["events"].as_u64().unwrap() >= done, "{seen}");
    assert!(seen["states"].as_u64().unwrap() > 10 && seen["deleted"].as_u64().unwrap() > 10, "{seen}");
    println!("{seen}");
    for topic in ["events", "state", "checkpoint"] {
        let records = uncommitted(&brokers, &format!("{prefix}.{topic}"));
        let text: String = records.iter().map(Record::text).collect::<String>().to_lowercase();
        assert!(topic == "checkpoint" || text.contains("canary 1"), "the names are there");
        for canary in ["canary-secret", "canary-open", "x-canary"] {
            assert!(!text.contains(canary), "{canary} is in {topic}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_away_the_service_is_ready_and_says_how_far_behind_it_is() {
    let brokers = format!("127.0.0.1:{}", free_port());
    let directory = tempfile::tempdir().unwrap();
    let mut service = Process::start(directory.path(), &["serve", "--kafka", &brokers]);
    service.wait_until_ready().await;
    let create = json!({ "name": "Drive", "type": "google-drive" });
    assert_eq!(service.api.send(Method::POST, "/api/integrations", &create).await, Some(StatusCode::CREATED));
    let ready = service.api.text("/readyz").await;
    assert!(ready.starts_with("ready, Kafka: ") && ready.ends_with(", 2 positions behind\n"), "{ready:?}");
    let metrics = service.api.metrics().await;
    assert_eq!(
        ["kafka_publishing", "kafka_standing_by", "kafka_lag"].map(|name| metrics.value(name)),
        [Some(0), Some(0), Some(2)]
    );
    let asked = Instant::now();
    service.terminate();
    assert!(asked.elapsed() < Duration::from_secs(10), "it waits for Kafka");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_option_nothing_is_told_of_kafka() {
    let directory = tempfile::tempdir().unwrap();
    let service = Process::start(directory.path(), &["serve"]);
    service.wait_until_ready().await;
    assert_eq!(service.api.text("/readyz").await, "ready\n");
    let metrics = service.api.metrics().await;
    assert_eq!(
        ["log_position", "kafka_standing_by", "kafka_lag"].map(|name| metrics.value(name)),
        [Some(0), None, None]
    );
}

#[test]
fn wrong_options_are_refused_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let properties = directory.path().join("kafka.properties");
    std::fs::write(&properties, "sasl.password=hunter2\nacks=1\n").unwrap();
    let missing = directory.path().join("missing");
    let cases: [(&[&str], &str); 4] = [
        (&["--kafka", "nowhere"], "Kafka: no broker is named: give HOST:PORT, separated by commas"),
        (&["--kafka", "127.0.0.1:1", "--kafka-topic-prefix", "a b"], "Kafka: a topic prefix is 1 to 200 of"),
        (
            &["--kafka", "127.0.0.1:1", "--kafka-properties", properties.to_str().unwrap()],
            "the property acks is the service's own",
        ),
        (&["--kafka", "127.0.0.1:1", "--kafka-properties", missing.to_str().unwrap()], "No such file"),
    ];
    let verbs: [&[&str]; 2] = [&["serve"], &["projector", "--views", "postgres://127.0.0.1:1/views"]];
    for (verb, (options, expected)) in verbs.into_iter().flat_map(|verb| cases.map(|case| (verb, case))) {
        let data = directory.path().join("data");
        let output = binary().args(verb).arg("--data-dir").arg(data).args(options).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{verb:?} {options:?}: {said}");
        assert!(said.contains(expected) && !said.contains("hunter2"), "{said}");
    }
}
