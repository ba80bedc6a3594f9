//! Events that this release cannot read, and logs that are not the one that was published.

use projector::kafka::Error;
use rusqlite::params;

use super::{
    consumer::{assert_gapless, by_key, committed},
    log::{Log, key},
    publisher::{Publisher, publish, settings},
};
use servers::kafka::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_later_release_holds_back_its_stream_alone_until_a_release_knows_it() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let (held, other) = (log.create("Held").await, log.create("Other").await);
    log.append_unknown(&held, "TagsSet.v9", r#"{"tags":["later"],"added":["later"],"removed":[]}"#).await;
    log.tag(&held, "behind").await;
    log.tag(&other, "goes-on").await;
    assert_eq!(publish(&log, &settings).await.held_back, 1);
    let told = by_key(&committed(settings.bootstrap_servers(), &settings.events_topic()));
    assert_eq!((told[&key(&held)].len(), told[&key(&other)].len()), (1, 2));
    // The same release again: nothing has changed.
    assert_eq!(publish(&log, &settings).await.held_back, 1);
    // A release that knows the type.
    let sql = "UPDATE events SET type = 'TagsSet.v1' WHERE type = 'TagsSet.v9'";
    let log = log.meanwhile(|file| assert_eq!(file.execute(sql, []).unwrap(), 1));
    log.tag(&held, "new").await;
    assert_eq!(publish(&log, &settings).await.held_back, 0);
    publish(&log, &settings).await;
    let records = committed(settings.bootstrap_servers(), &settings.events_topic());
    assert_eq!(assert_gapless(&records), 6);
    let told = by_key(&records);
    let tags: Vec<_> = told[&key(&held)][1..].iter().map(|event| event["data"]["tags"][0].as_str().unwrap()).collect();
    assert_eq!(tags, ["later", "behind", "new"]);
    let states = committed(settings.bootstrap_servers(), &settings.state_topic());
    let last = states.iter().rfind(|state| state.key == key(&held)).unwrap();
    assert_eq!(last.json()["tags"][0], "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_holds_back_its_stream_alone_until_it_is_whole_again() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let (held, other) = (log.create("Held").await, log.create("Other").await);
    log.tag(&held, "damaged").await;
    log.tag(&held, "behind").await;
    log.tag(&other, "goes-on").await;
    let stream = held.to_string();
    let mut hash = String::new();
    let log = log.meanwhile(|file| {
        let sql = "SELECT hash FROM events WHERE stream = ?1 AND revision = 1";
        hash = file.query_row(sql, [&stream], |row| row.get(0)).unwrap();
        file.execute("UPDATE events SET hash = 'x' WHERE stream = ?1 AND revision = 1", [&stream]).unwrap();
    });
    assert_eq!(publish(&log, &settings).await.held_back, 1);
    assert_eq!(assert_gapless(&committed(settings.bootstrap_servers(), &settings.events_topic())), 3);
    let sql = "UPDATE events SET hash = ?2 WHERE stream = ?1 AND revision = 1";
    let log = log.meanwhile(|file| assert_eq!(file.execute(sql, params![stream, hash]).unwrap(), 1));
    assert_eq!(publish(&log, &settings).await.held_back, 0);
    assert_eq!(assert_gapless(&committed(settings.bootstrap_servers(), &settings.events_topic())), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_the_one_that_was_published_is_refused() {
    let (broker, log, another) = (Broker::shared(), Log::new(), Log::new());
    let settings = settings(&broker.address());
    let stream = log.create("Drive").await;
    publish(&log, &settings).await;
    another.create("Drive").await;
    let error = Publisher::start(&another, &settings).ended().await;
    assert!(matches!(error, Error::AnotherLog { .. }), "{error}");
    assert!(error.to_string().contains(stream.as_str()), "{error}");
    assert_eq!(committed(settings.bootstrap_servers(), &settings.events_topic()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_moved_to_other_positions_goes_on_where_it_was() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let stream = log.create("Drive").await;
    publish(&log, &settings).await;
    log.tag(&stream, "behind").await;
    let log = log.meanwhile(|file| {
        file.execute_batch(
            "UPDATE events SET position = position + 1000000; UPDATE sqlite_sequence SET seq = seq + 1000000",
        )
        .unwrap();
    });
    publish(&log, &settings).await;
    assert_eq!(assert_gapless(&committed(settings.bootstrap_servers(), &settings.events_topic())), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_position_moves_past_events_of_no_interest() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    log.append_much_of_no_interest().await;
    let head = log.head();
    assert_eq!(publish(&log, &settings).await.published, head);
    let checkpoints = committed(settings.bootstrap_servers(), &settings.checkpoint_topic());
    assert_eq!(checkpoints.last().unwrap().json()["position"], head.get());
    assert!(checkpoints.len() < 5, "{} transactions without anything to publish", checkpoints.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_log_that_goes_on_below_what_was_passed_is_refused() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    log.create("Drive").await;
    let copied = i64::try_from(log.head().get()).unwrap();
    log.append_much_of_no_interest().await;
    publish(&log, &settings).await;
    let log = log.meanwhile(|file| {
        file.execute("DELETE FROM events WHERE position > ?1", [copied]).unwrap();
        file.execute("UPDATE sqlite_sequence SET seq = ?1", [copied]).unwrap();
    });
    log.create("Lost").await;
    let error = Publisher::start(&log, &settings).ended().await;
    assert!(matches!(error, Error::AnotherLog { .. }), "{error}");
    assert_eq!(committed(settings.bootstrap_servers(), &settings.events_topic()).len(), 1);
}
