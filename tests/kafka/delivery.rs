//! Each event once, in order, whatever happens between.

use std::{mem, time::Duration};

use projector::kafka::{Error, State, settings::Settings};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{
    consumer::{assert_gapless, by_key, committed, uncommitted},
    log::{Log, key},
    publisher::{Publisher, publish, settings},
};
use servers::kafka::Broker;

/// A producer as the publisher has one.
pub(crate) fn producer(settings: &Settings) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", settings.bootstrap_servers())
        .set("transactional.id", settings.transactional_id())
        .create()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_integration_is_told_in_order_without_a_gap() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let mut publisher = Publisher::start(&log, &settings);
    let mut streams = Vec::new();
    for n in 0..20 {
        streams.push(log.create(&format!("Drive-{n}")).await);
    }
    for round in 0..10 {
        for stream in &streams {
            log.tag(stream, &format!("tag-{round}")).await;
        }
    }
    publisher.reach(log.head()).await;
    publisher.stop().await;
    let records = committed(settings.bootstrap_servers(), &settings.events_topic());
    assert_eq!(assert_gapless(&records), 220);
    let told = by_key(&records);
    assert_eq!(told.len(), 20);
    for stream in &streams {
        let tags: Vec<_> = told[&key(stream)].iter().skip(1).map(|event| event["data"]["tags"][0].clone()).collect();
        assert_eq!(tags, (0..10).map(|round| format!("tag-{round}")).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_from_the_checkpoint_and_publishes_nothing_twice() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let stream = log.create("Drive").await;
    for round in 0..5 {
        log.tag(&stream, &format!("a-{round}")).await;
        publish(&log, &settings).await;
    }
    // Also where nothing came meanwhile.
    publish(&log, &settings).await;
    let records = uncommitted(settings.bootstrap_servers(), &settings.events_topic());
    assert_eq!(assert_gapless(&records), 6);
    assert_eq!(uncommitted(settings.bootstrap_servers(), &settings.state_topic()).len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_publisher_fences_the_first_whose_next_batch_is_refused_and_writes_nothing() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let stream = log.create("Drive").await;
    let mut first = Publisher::start(&log, &settings);
    first.reach(log.head()).await;
    let mut second = Publisher::start(&log, &settings);
    second.reach(log.head()).await;
    log.tag(&stream, "after").await;
    let error = first.ended().await;
    assert!(matches!(error, Error::Fenced), "{error:?}");
    second.reach(log.head()).await;
    second.stop().await;
    let records = uncommitted(settings.bootstrap_servers(), &settings.events_topic());
    assert_eq!(assert_gapless(&records), 2, "the refused batch wrote something");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_publisher_had_written_and_not_committed_when_it_died_is_never_seen() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let stream = log.create("Drive").await;
    publish(&log, &settings).await;
    // It dies with an event, a state and a checkpoint written, before the commit.
    let dying = producer(&settings);
    dying.init_transactions(Duration::from_secs(30)).unwrap();
    dying.begin_transaction().unwrap();
    let topics = [settings.events_topic(), settings.state_topic(), settings.checkpoint_topic()];
    for topic in &topics {
        let key = if *topic == topics[2] { settings.transactional_id() } else { key(&stream) };
        let value = r#"{"position":1000000,"event":null}"#;
        dying.send(BaseRecord::to(topic).key(&key).payload(value)).unwrap();
    }
    dying.flush(Duration::from_secs(30)).unwrap();
    mem::forget(dying);
    log.tag(&stream, "after").await;
    publish(&log, &settings).await;
    for topic in &topics[..2] {
        let seen = committed(settings.bootstrap_servers(), topic);
        let written = uncommitted(settings.bootstrap_servers(), topic);
        assert_eq!((seen.len(), written.len()), (2, 3), "{topic}");
    }
    assert_gapless(&committed(settings.bootstrap_servers(), &topics[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_stopped_and_started_is_caught_up_with() {
    let (mut broker, log) = (Broker::start(), Log::new());
    let settings = settings(&broker.address());
    let stream = log.create("Drive").await;
    let mut publisher = Publisher::start(&log, &settings);
    let before = publisher.reach(log.head()).await;
    tokio::task::block_in_place(|| broker.stop());
    for round in 0..50 {
        log.tag(&stream, &format!("tag-{round}")).await;
    }
    let away = publisher.wait(|status| status.state == State::Away).await;
    assert_eq!(away.published, before.published, "nothing is published while Kafka is away");
    tokio::task::block_in_place(|| broker.restart());
    publisher.reach(log.head()).await;
    publisher.stop().await;
    let records = committed(settings.bootstrap_servers(), &settings.events_topic());
    assert_eq!(assert_gapless(&records), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_may_come_later_than_the_publisher() {
    let (mut broker, log) = (Broker::start(), Log::new());
    tokio::task::block_in_place(|| broker.stop());
    let settings = settings(&broker.address());
    log.create("Drive").await;
    let mut publisher = Publisher::start(&log, &settings);
    tokio::task::block_in_place(|| broker.restart());
    publisher.reach(log.head()).await;
    publisher.stop().await;
    assert_eq!(assert_gapless(&committed(settings.bootstrap_servers(), &settings.events_topic())), 1);
}
