//! An import of a data key that was wrapped anew so often that its place is not reached with one append.

use std::time::Duration;

use events::{
    envelope::{NewEvent, RecordedEvent},
    ids::Position,
    store::{
        EventStore,
        check::{Refusal, Remembering},
        import::{Error, Import, check},
    },
};
use peer::Fault;

use super::*;

/// A data key as an export holds it.
fn key(of: IntegrationId, revision: u64, position: u64) -> RecordedEvent {
    let (stream, revision) = (StreamName::key(&tenant(), of), Revision::new(revision));
    let NewEvent { id, event_type, at, data, metadata, hash } = event(&stream, revision);
    RecordedEvent { position: Position::new(position), stream, revision, id, event_type, at, data, metadata, hash }
}

async fn import(store: &EventStoreDb, events: &[RecordedEvent]) -> Result<Position, Error> {
    let mut import = Import::new(store);
    for event in events {
        import.add(event).await?;
    }
    import.finish().await
}

#[tokio::test]
async fn an_import_that_was_cut_off_on_its_way_to_a_revision_goes_on() {
    let site = Site::new().await;
    let of = integration_id();
    let events = [key(integration_id(), 0, 1), key(of, 250, 2), key(integration_id(), 3, 5)];
    site.peer.fault(&Fault::Delay(Duration::from_millis(50)));
    let is_on_its_way = async || {
        let is_of_it = |event: &&Arc<peer::log::Event>| *event.stream == *events[1].stream.as_str();
        while site.peer.events().iter().filter(is_of_it).count() < 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = import(&site.store, &events) => panic!("{done:?}"),
        () = is_on_its_way() => {}
    }
    site.peer.fault(&Fault::Delay(Duration::ZERO));
    // Another wrap of the same key does not go on there.
    let other = import(&site.store, &[events[0].clone(), key(of, 250, 2)]).await;
    assert!(matches!(other, Err(Error::AnotherLog { .. })), "{other:?}");
    let standing = site.store.read_stream(&events[1].stream, Direction::BackwardsFromEnd, 1).await.expect("it is read");
    assert!(standing[0].revision < events[1].revision, "{standing:?}");
    standing[0].check_hash(Digest::ZERO).expect("it is whole");
    let head = import(&site.store, &events).await.expect("it goes on");
    assert_eq!(import(&site.store, &events).await.expect("all of it is there"), head);
    let page = site.store.read_all(Position::START, &events::stream::Kind::ALL, 1_000).await.expect("it is read");
    let shown: Vec<_> = page.events.iter().map(|event| (&event.stream, event.revision, event.id)).collect();
    assert_eq!(shown, events.each_ref().map(|event| (&event.stream, event.revision, event.id)));
    assert_eq!(page.events.last().map(|event| event.position), Some(head));
}

#[test]
fn a_revision_that_no_server_reaches_is_refused_before_anything_is_written() {
    let (far, further) = (key(integration_id(), 100_000, 1), key(integration_id(), 100_001, 2));
    let mut remembering = Remembering::new(Position::new(9));
    for event in [&far, &further] {
        remembering.event(event).expect("the event itself is whole");
    }
    assert_eq!((check(&far), check(&further)), (Ok(()), Err(Refusal::Unreachable)));
}
