//! The three topics stand or fall together: one that is lost beside the others is told, and never made anew by itself.

use std::{collections::BTreeSet, mem, time::Duration};

use projector::kafka::{Error, settings::Settings};
use rdkafka::{
    admin::AdminOptions,
    producer::{BaseRecord, Producer as _},
};
use servers::kafka::Broker;

use super::{
    consumer::{assert_gapless, committed, uncommitted},
    delivery::producer,
    log::Log,
    process::eventually,
    publisher::{Publisher, publish, settings},
    topics::{admin, create},
};

const ALL: [fn(&Settings) -> String; 3] = [Settings::events_topic, Settings::state_topic, Settings::checkpoint_topic];

async fn delete(settings: &Settings, topics: &[&str]) {
    for deleted in admin(settings).delete_topics(topics, &AdminOptions::new()).await.unwrap() {
        deleted.unwrap();
    }
    let gone = async || topics.iter().all(|topic| !there(settings).contains(*topic));
    eventually(gone, async || format!("{topics:?} are there")).await;
}

/// Makes a topic as it must be, by hand.
async fn make(settings: &Settings, topic: &str) {
    let compact = ("cleanup.policy", "compact");
    if topic == settings.events_topic() {
        create(settings, topic, 12, &[("cleanup.policy", "delete"), ("retention.ms", "-1")]).await;
    } else if topic == settings.state_topic() {
        create(settings, topic, 12, &[compact, ("delete.retention.ms", "604800000")]).await;
    } else {
        create(settings, topic, 1, &[compact]).await;
    }
    eventually(async || there(settings).contains(topic), async || format!("{topic} is not there")).await;
}

/// What Kafka tells of when it is asked for all topics.
fn there(settings: &Settings) -> BTreeSet<String> {
    let metadata = admin(settings).inner().fetch_metadata(None, Duration::from_secs(10)).unwrap();
    metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
}

fn names(settings: &Settings) -> [String; 3] {
    ALL.map(|name| name(settings))
}

/// Which of the topics are there, and how many records were ever written to each.
fn standing(settings: &Settings) -> BTreeSet<(String, usize)> {
    let there = there(settings);
    let standing = names(settings).into_iter().filter(|name| there.contains(name));
    standing.map(|name| (name.clone(), uncommitted(settings.bootstrap_servers(), &name).len())).collect()
}

/// Checks that a publisher refuses the topics in one line that begins so, and leaves them as they are.
async fn refused(log: &Log, settings: &Settings, what: &str) {
    let before = standing(settings);
    let error = Publisher::start(log, settings).ended().await;
    let expected = format!(
        "Kafka: {what}, and the rest is not: restore what was lost, or delete the rest too, and everything is published anew"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(standing(settings), before, "they were altered");
}

/// An integration with a few events, published.
async fn published() -> (Log, Settings) {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let stream = log.create("Drive").await;
    log.tag(&stream, "published").await;
    publish(&log, &settings).await;
    log.tag(&stream, "not-yet").await;
    (log, settings)
}

async fn assert_published_anew(log: &Log, settings: &Settings) {
    publish(log, settings).await;
    let records = committed(settings.bootstrap_servers(), &settings.events_topic());
    assert_eq!(assert_gapless(&records), 3);
    assert_eq!(uncommitted(settings.bootstrap_servers(), &settings.state_topic()).len(), 3);
}

/// Deletes a topic, which may be made again as it must be, and then the rest.
async fn lost(topic: fn(&Settings) -> String, is_made_again: bool) {
    let (log, settings) = published().await;
    let topic = topic(&settings);
    delete(&settings, &[&topic]).await;
    if is_made_again {
        make(&settings, &topic).await;
    }
    let how = if is_made_again { "empty" } else { "missing" };
    refused(&log, &settings, &format!("topic {topic} is {how}")).await;
    let all = names(&settings);
    let rest: Vec<_> = all.iter().filter(|name| **name != topic).map(String::as_str).collect();
    delete(&settings, &rest).await;
    assert_published_anew(&log, &settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_beside_the_others_is_refused_until_they_are_deleted_too() {
    let [events, state, checkpoint] = ALL;
    tokio::join!(lost(events, false), lost(state, false), lost(checkpoint, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_topics_that_are_missing_are_both_named() {
    let (log, settings) = published().await;
    let [events, state, checkpoint] = names(&settings);
    delete(&settings, &[&events, &state]).await;
    refused(&log, &settings, &format!("topics {events} and {state} are missing")).await;
    delete(&settings, &[&checkpoint]).await;
    assert_published_anew(&log, &settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_by_hand_is_refused_until_the_others_are_deleted() {
    let [events, state, checkpoint] = ALL;
    tokio::join!(lost(events, true), lost(state, true), lost(checkpoint, true));
}

/// Deletes a topic while it is published to.
async fn deleted_under_a_publisher(lost: fn(&Settings) -> String) {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let stream = log.create("Drive").await;
    let mut publisher = Publisher::start(&log, &settings);
    publisher.reach(log.head()).await;
    let topic = lost(&settings);
    delete(&settings, &[&topic]).await;
    log.tag(&stream, "after").await;
    let error = publisher.ended().await;
    assert!(error.to_string().starts_with(&format!("Kafka: topic {topic} is missing")), "{error}");
    assert_eq!(standing(&settings).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_under_a_publisher_is_refused_from_its_next_session_on() {
    let [events, state, checkpoint] = ALL;
    tokio::join!(
        deleted_under_a_publisher(events),
        deleted_under_a_publisher(state),
        deleted_under_a_publisher(checkpoint)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_first_start_has_left_of_the_topics_is_completed() {
    for left in 1..=3 {
        let (broker, log) = (Broker::shared(), Log::new());
        let settings = settings(&broker.address());
        for topic in &names(&settings)[..left] {
            make(&settings, topic).await;
        }
        log.create("Drive").await;
        publish(&log, &settings).await;
        assert_eq!(assert_gapless(&committed(settings.bootstrap_servers(), &settings.events_topic())), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_batch_that_was_never_committed_is_no_loss() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    publish(&log, &settings).await;
    // It dies when a part of the batch has been written.
    let dying = producer(&settings);
    dying.init_transactions(Duration::from_secs(30)).unwrap();
    dying.begin_transaction().unwrap();
    dying.send(BaseRecord::to(&settings.events_topic()).key("acme/1").payload("{}")).unwrap();
    dying.flush(Duration::from_secs(30)).unwrap();
    mem::forget(dying);
    log.create("Drive").await;
    publish(&log, &settings).await;
    assert_eq!(assert_gapless(&committed(settings.bootstrap_servers(), &settings.events_topic())), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_that_start_at_once_make_the_topics_together() {
    for _ in 0..3 {
        let (broker, log) = (Broker::shared(), Log::new());
        let settings = settings(&broker.address());
        log.create("Drive").await;
        let publishers: Vec<_> = (0..4).map(|_| Publisher::start(&log, &settings)).collect();
        let mut fenced = 0;
        for mut publisher in publishers {
            match publisher.try_reach(log.head()).await {
                Ok(_) => fenced += usize::from(publisher.stopped().await.is_err()),
                Err(Error::Fenced) => fenced += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(fenced < 4, "one of them is the last");
        assert_eq!(assert_gapless(&committed(settings.bootstrap_servers(), &settings.events_topic())), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_nothing_was_to_be_written_to_are_taken_and_are_whole_for_as_long() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    log.append_much_of_no_interest().await;
    publish(&log, &settings).await;
    publish(&log, &settings).await;
    // It is held back from its first event on.
    let held = log.create("Held").await;
    let rename = |from: &str, to: &str| format!("UPDATE events SET type = '{to}' WHERE type = '{from}'");
    let (known, unknown) = ("IntegrationCreated.v2", "IntegrationCreated.v9");
    let log = log.meanwhile(|file| assert_eq!(file.execute(&rename(known, unknown), []).unwrap(), 1));
    for _ in 0..2 {
        assert_eq!(publish(&log, &settings).await.held_back, 1);
    }
    assert_eq!(committed(settings.bootstrap_servers(), &settings.events_topic()), []);
    // What came behind it is published, and it stays the last event of the checkpoint when nothing else comes.
    let log = log.meanwhile(|file| assert_eq!(file.execute(&rename(unknown, known), []).unwrap(), 1));
    assert_eq!(publish(&log, &settings).await.held_back, 0);
    log.tag(&held, "published").await;
    publish(&log, &settings).await;
    delete(&settings, &[&settings.state_topic()]).await;
    make(&settings, &settings.state_topic()).await;
    refused(&log, &settings, &format!("topic {} is empty", settings.state_topic())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_told_also_where_the_last_event_is_held_back() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    log.create("Drive").await;
    publish(&log, &settings).await;
    let held = log.create("Held").await;
    let log = log.meanwhile(|file| {
        let sql = "UPDATE events SET type = 'IntegrationCreated.v9' WHERE stream = ?1";
        assert_eq!(file.execute(sql, [held.as_str()]).unwrap(), 1);
    });
    assert_eq!(publish(&log, &settings).await.held_back, 1);
    delete(&settings, &[&settings.events_topic()]).await;
    make(&settings, &settings.events_topic()).await;
    refused(&log, &settings, &format!("topic {} is empty", settings.events_topic())).await;
}
