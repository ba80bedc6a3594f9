//! What is read of a log beside its writer: a moment of it, and what only somebody who hashes anew can do to it.

use std::sync::Arc;

use events::{
    event::{IconSet, IconType, IntegrationEvent},
    store::sqlite::{snapshot::Snapshot, verify::verify},
    stored::{ICON_UPLOADED, Store as _},
    time::Timestamp,
    verify::{Finding, Report},
};

use super::*;

/// What the walk through the port finds.
async fn by_port(store: &Arc<SqliteStore>) -> Report {
    let store: Arc<dyn EventStore> = Arc::<SqliteStore>::clone(store);
    events::verify::verify(&store, |_| {}).await.expect("it is read")
}

fn icon_event(stream: &StreamName, bytes: &'static [u8], metadata: &Metadata) -> NewEvent {
    let place = Place { stream, revision: Revision::FIRST, previous: Digest::ZERO };
    NewEvent::seal(place, new_event_id(), ICON_UPLOADED, bytes.into(), metadata)
}

#[tokio::test]
async fn an_icon_that_was_hashed_anew_is_found_by_what_its_integration_names() {
    for (bytes, is_whole) in [(&b"the icon"[..], true), (b"another one", false)] {
        let directory = directory();
        let store = Arc::new(open(&directory));
        let (id, blob) = (integration_id(), BlobId::new(new_event_id().uuid()));
        let (integration, icon) = (StreamName::integration(&tenant(), id), StreamName::icon(&tenant(), id, blob));
        let at: Timestamp = serde_json::from_str(r#""2026-01-02T03:04:05.678Z""#).expect("a time");
        let metadata = Metadata::of_service(Some(tenant()), at);
        let sha256 = Digest::of(b"the icon");
        let set = IconSet { blob, sha256, media_type: IconType::Png, size: 8, replaces: None };
        let form = IntegrationEvent::IconSet(set).to_stored();
        let place = Place { stream: &integration, revision: Revision::FIRST, previous: Digest::ZERO };
        let set = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
        let append =
            |stream: StreamName, event| StreamWrite::Append { stream, expected: NoStream, events: vec![event] };
        let uploaded = icon_event(&icon, bytes, &metadata);
        store.append(vec![append(icon.clone(), uploaded), append(integration, set)]).await.expect("appended");
        let found = verify(directory.path(), 1, |_| {}).expect("it is read").findings;
        let by_port = by_port(&store).await.findings;
        assert_eq!(by_port, found, "the walk through the port finds the same");
        let altered = Finding::Altered { stream: icon.to_string(), revision: 0 };
        assert_eq!(found, if is_whole { Vec::new() } else { vec![altered] });
    }
}

#[tokio::test]
async fn it_makes_no_difference_into_how_many_ranges_the_log_is_cut() {
    let directory = directory();
    let store = Arc::new(open(&directory));
    let stream = integration();
    let at: Timestamp = serde_json::from_str(r#""2026-01-02T03:04:05.678Z""#).expect("a time");
    let mut previous = Digest::ZERO;
    for revision in 0..20 {
        let place = Place { stream: &stream, revision: Revision::new(revision), previous };
        let metadata = Metadata::of_service(Some(tenant()), at);
        let event = NewEvent::seal(place, new_event_id(), "TagsSet.v1", "{}".into(), &metadata);
        previous = event.hash;
        let expected = revision.checked_sub(1).map_or(NoStream, |last| ExpectedRevision::Exact(Revision::new(last)));
        let write = StreamWrite::Append { stream: stream.clone(), expected, events: vec![event] };
        store.append(vec![write]).await.expect("appended");
    }
    connect(&directory).execute_batch("DELETE FROM events WHERE revision = 7").expect("deleted");
    connect(&directory).execute_batch("UPDATE events SET data = '[]' WHERE revision = 12").expect("altered");
    let stream = stream.to_string();
    let missing = Finding::Missing { stream: stream.clone(), from: 7, to: 7 };
    let expected = [missing, Finding::Altered { stream, revision: 12 }];
    for threads in [0, 1, 2, 3, 7, 20, 50] {
        assert_eq!(verify(directory.path(), threads, |_| {}).expect("it is read").findings, expected, "{threads}");
    }
    // The walk through the port finds and counts the same.
    let (by_file, by_port) = (verify(directory.path(), 1, |_| {}), by_port(&store).await);
    assert_eq!(by_port, by_file.expect("it is read"));
}

#[tokio::test]
async fn a_snapshot_is_the_moment_at_which_it_was_taken() {
    let directory = directory();
    let store = open(&directory);
    let at: Timestamp = serde_json::from_str(r#""2026-01-02T03:04:05.678Z""#).expect("a time");
    let metadata = Metadata::of_service(Some(tenant()), at);
    let append = async || {
        let icon = StreamName::icon(&tenant(), integration_id(), BlobId::new(new_event_id().uuid()));
        let events = vec![icon_event(&icon, b"bytes", &metadata)];
        store.append(vec![StreamWrite::Append { stream: icon, expected: NoStream, events }]).await.expect("appended");
    };
    append().await;
    let snapshot = Snapshot::open(directory.path()).expect("it opens");
    append().await;
    let mut shown = Vec::new();
    let show = |event: &RecordedEvent| -> Result<(), Error> {
        shown.push(event.position);
        Ok(())
    };
    snapshot.for_each(show).expect("it is read");
    assert_eq!((snapshot.head(), shown), (Position::new(1), vec![Position::new(1)]));
}
