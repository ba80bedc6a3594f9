//! Appends under faults: what was sent stands there once, and whoever sent it is told so.

use std::{sync::Arc, time::Duration};

use events::{
    ids::Revision,
    store::{Error, EventStore as _, ExpectedRevision::NoStream, Health, StreamWrite},
    stream::StreamName,
};
use peer::{Fault, Options, Peer};
use tokio::task::JoinSet;

use super::{Site, append, exact, integration, integration_id, open, slug, tenant, until, write};

#[tokio::test]
async fn an_append_whose_answer_is_lost_stands_once_and_is_answered() {
    let site = Site::new().await;
    for _ in 0..3 {
        let stream = integration();
        site.peer.fault(&Fault::LoseAnswers(1));
        let before = site.peer.counts().appends;
        let id = append(&site.store, &stream, NoStream).await.expect("it is sent again");
        assert_eq!(site.ids(&stream).await, [id]);
        assert_eq!(site.peer.counts().appends, before + 2, "the first had its effect, the second was a repeat");
    }
}

#[tokio::test]
async fn the_position_of_an_append_whose_answer_was_lost_is_where_it_stands() {
    let site = Site::new().await;
    let (stream, other) = (integration(), integration());
    append(&site.store, &other, NoStream).await.expect("it is new");
    site.peer.fault(&Fault::LoseAnswers(1));
    let appended = site.store.append(vec![write(&stream, NoStream).0]).await.expect("it is sent again");
    let read = site.store.read_stream(&stream, events::store::Direction::BackwardsFromEnd, 1).await.expect("it is");
    assert_eq!(appended[0].position, read[0].position);
    assert!(*site.store.head().borrow() >= appended[0].position);
}

/// Appends to so many new streams at once, each by a task of its own; answers when all of them are on their way.
async fn send_many(site: &Site, n: u64) -> JoinSet<(StreamName, Result<events::ids::EventId, Error>)> {
    let before = site.peer.counts().appends;
    let mut tasks = JoinSet::new();
    for _ in 0..n {
        let (store, stream) = (Arc::clone(&site.store), integration());
        tasks.spawn(async move {
            let result = append(&store, &stream, NoStream).await;
            (stream, result)
        });
    }
    until(|| site.peer.counts().appends >= before + n).await;
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_in_flight_when_the_connection_is_cut_are_all_done_once() {
    let site = Site::new().await;
    site.peer.fault(&Fault::Delay(Duration::from_secs(20)));
    let sent = send_many(&site, 64).await;
    site.peer.fault(&Fault::Delay(Duration::ZERO));
    site.peer.fault(&Fault::Drop);
    for (stream, result) in sent.join_all().await {
        assert_eq!(site.ids(&stream).await, [result.expect("it is sent again")]);
    }
    assert!(site.peer.counts().appends >= 128, "each was sent twice");
    assert_eq!(*site.store.health().borrow(), Health::Ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_in_a_session_that_ends_as_if_all_were_well_is_sent_again() {
    let site = Site::new().await;
    site.peer.fault(&Fault::Delay(Duration::from_secs(20)));
    let sent = send_many(&site, 4).await;
    site.peer.fault(&Fault::Delay(Duration::ZERO));
    site.peer.fault(&Fault::EndSessions);
    for (stream, result) in sent.join_all().await {
        assert_eq!(site.ids(&stream).await, [result.expect("it is sent again")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_costs_those_in_the_same_session_nothing() {
    let site = Site::new().await;
    let taken = integration();
    append(&site.store, &taken, NoStream).await.expect("it is new");
    for _ in 0..10 {
        let mut tasks = JoinSet::new();
        for n in 0..32 {
            let (store, stream) = (Arc::clone(&site.store), if n % 8 == 3 { taken.clone() } else { integration() });
            let is_taken = n % 8 == 3;
            tasks.spawn(async move { (is_taken, append(&store, &stream, NoStream).await) });
        }
        for (is_taken, result) in tasks.join_all().await {
            let is_conflict = matches!(
                &result,
                Err(Error::WrongExpectedRevision { stream, actual: Some(Revision::FIRST) }) if *stream == taken
            );
            assert_eq!((is_conflict, result.is_ok()), (is_taken, !is_taken), "{result:?}");
        }
    }
    assert_eq!(site.ids(&taken).await.len(), 1);
}

#[tokio::test]
async fn a_conflict_over_a_slug_ends_no_session_of_integrations() {
    let site = Site::new().await;
    let (taken, stream) = (slug(), integration());
    append(&site.store, &taken, NoStream).await.expect("it is new");
    append(&site.store, &stream, NoStream).await.expect("it is new");
    let n_sessions = site.peer.counts().sessions;
    assert_eq!(n_sessions, 2, "one for each kind of stream");
    append(&site.store, &taken, NoStream).await.expect_err("it is taken");
    append(&site.store, &stream, exact(0)).await.expect("it is at 0");
    assert_eq!(site.peer.counts().sessions, n_sessions);
    append(&site.store, &slug(), NoStream).await.expect("it is new");
    assert_eq!(site.peer.counts().sessions, n_sessions + 1);
}

#[tokio::test]
async fn what_the_server_has_not_done_is_sent_again() {
    let site = Site::new().await;
    for (n, code, message) in [
        (1, 4, "Timeout"),
        (2, 0, "Server Is Busy"),
        (1, 0, "Server Is Not Ready"),
        (4, 2, "Unknown"),
        (4, 14, "Unavailable"),
    ] {
        site.peer.fault(&Fault::Refuse { n, code, message: message.to_owned() });
        let stream = integration();
        let id = append(&site.store, &stream, NoStream).await.expect(message);
        assert_eq!(site.ids(&stream).await, [id], "{message}");
    }
}

#[tokio::test]
async fn what_the_server_will_not_do_is_refused_at_once() {
    let site = Site::new().await;
    for (code, message) in
        [(3, "MaximumAppendSizeExceeded"), (3, "BadRequest"), (7, "AccessDenied"), (9, "InvalidTransaction")]
    {
        site.peer.fault(&Fault::Refuse { n: 1, code, message: message.to_owned() });
        let (stream, before) = (integration(), site.peer.counts().appends);
        let result = append(&site.store, &stream, NoStream).await;
        assert!(matches!(result, Err(Error::Unavailable(_))), "{message}: {result:?}");
        assert_eq!(site.peer.counts().appends, before + 1, "{message}: asked once");
        append(&site.store, &stream, NoStream).await.expect("the next is done");
    }
}

#[tokio::test]
async fn an_append_of_several_writes_ends_at_the_first_that_fails() {
    let site = Site::new().await;
    let (first, taken, third) = (integration(), slug(), integration());
    append(&site.store, &taken, NoStream).await.expect("it is new");
    let writes = [&first, &taken, &third].map(|stream| write(stream, NoStream).0).to_vec();
    let result = site.store.append(writes.clone()).await;
    assert!(matches!(result, Err(Error::WrongExpectedRevision { .. })), "{result:?}");
    assert_eq!([site.ids(&first).await.len(), site.ids(&third).await.len()], [1, 0]);
    assert!(!site.store.is_atomic());
}

#[tokio::test]
async fn a_stream_that_keeps_its_last_event_says_so_before_its_first() {
    let site = Site::new().await;
    let stream = StreamName::key(&tenant(), integration_id());
    append(&site.store, &stream, NoStream).await.expect("it is new");
    append(&site.store, &stream, exact(0)).await.expect("it is at 0");
    let told: Vec<_> = site.peer.events().iter().map(|event| event.stream.to_string()).collect();
    assert_eq!(told, [format!("$${stream}"), stream.to_string(), stream.to_string()]);
    assert_eq!(site.peer.events()[0].proposed.data, r#"{"$maxCount":1}"#.as_bytes());
    assert_eq!(site.ids(&stream).await.len(), 1);
}

#[tokio::test]
async fn two_processes_that_make_the_same_stream_tell_the_server_once_what_it_keeps() {
    let site = Site::new().await;
    let other = open(&site.peer.url()).await;
    let stream = StreamName::key(&tenant(), integration_id());
    append(&site.store, &stream, NoStream).await.expect("it is new");
    append(&other, &stream, NoStream).await.expect_err("it is there");
    assert_eq!(site.peer.events().iter().filter(|event| event.event_type() == "$metadata").count(), 1);
}

#[tokio::test]
async fn whoever_leads_takes_what_was_sent_to_another() {
    let (site, leader) = (Site::new().await, Peer::start(&Options::default()).expect("a peer"));
    let stream = integration();
    append(&site.store, &integration(), NoStream).await.expect("it leads still");
    let address = leader.address();
    site.peer.fault(&Fault::NotLeader(address.ip().to_string(), address.port()));
    append(&site.store, &stream, NoStream).await.expect("the leader takes it");
    append(&site.store, &stream, exact(0)).await.expect("the leader has it");
    assert_eq!((site.peer.events().len(), leader.events().len()), (1, 2));
    assert_eq!(site.ids(&stream).await.len(), 2);
}

#[tokio::test]
async fn a_slow_server_answers_many_at_once() {
    let site = Site::new().await;
    site.peer.fault(&Fault::Delay(Duration::from_millis(100)));
    let mut tasks = JoinSet::new();
    let since = tokio::time::Instant::now();
    for _ in 0..64 {
        let store = Arc::clone(&site.store);
        tasks.spawn(async move { append(&store, &integration(), NoStream).await.expect("slow, but done") });
    }
    assert_eq!(tasks.join_all().await.len(), 64);
    assert!(since.elapsed() < Duration::from_millis(64 * 100 / 2), "they do not wait for each other");
}

#[tokio::test]
async fn a_tombstone_is_told_where_it_stands_whoever_asks() {
    let site = Site::new().await;
    let stream = StreamName::key(&tenant(), integration_id());
    append(&site.store, &stream, NoStream).await.expect("it is new");
    let remove = || vec![StreamWrite::Tombstone { stream: stream.clone() }];
    let first = site.store.append(remove()).await.expect("it is done");
    let other = open(&site.peer.url()).await;
    assert_eq!(other.append(remove()).await.expect("it is done already"), first);
}
