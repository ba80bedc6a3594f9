//! An export while others go on writing: one moment of the log, with the keys that it needs.

use std::sync::Arc;

use events::{
    envelope::RecordedEvent,
    ids::IntegrationId,
    store::{
        EventStore, ExpectedRevision::NoStream, StreamWrite, export::Export, sqlite::SqliteStore,
        sqlite::import::Import,
    },
    stream::StreamName,
    verify::verify,
};

use super::{Site, append, exact, integration_id, slug, tenant};

/// Appends what a create does, with a secret; answers the integration's key.
async fn create(site: &Site, id: IntegrationId) -> StreamName {
    let (key, integration) = (StreamName::key(&tenant(), id), StreamName::integration(&tenant(), id));
    for stream in [&slug(), &key, &integration] {
        append(&site.store, stream, NoStream).await.expect("it is new");
    }
    key
}

async fn exported(mut export: Export<'_>) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    while let Some(more) = export.next().await.expect("the log can be read") {
        events.extend(more);
    }
    events
}

#[tokio::test]
async fn a_key_that_is_wrapped_anew_or_destroyed_while_an_export_runs_is_in_it_as_it_is_or_not_at_all() {
    let site = Site::new().await;
    let ids = [(); 4].map(|()| integration_id());
    let mut keys = Vec::new();
    for id in ids {
        keys.push(create(&site, id).await);
    }
    let rewrapped = append(&site.store, &keys[0], exact(0)).await.expect("it is wrapped anew");
    let store: Arc<dyn EventStore> = Arc::<events::store::eventstoredb::EventStoreDb>::clone(&site.store);
    let export = Export::new(&store);
    let head = export.head();
    // From here on it is after the moment of the export.
    let late = append(&site.store, &keys[1], exact(0)).await.expect("it is wrapped anew");
    site.store.append(vec![StreamWrite::Tombstone { stream: keys[2].clone() }]).await.expect("it is removed");
    let after = StreamName::integration(&tenant(), integration_id());
    append(&site.store, &after, NoStream).await.expect("it is new");
    let events = exported(export).await;
    let key_of = |stream: &StreamName| events.iter().find(|event| event.stream == *stream);
    assert_eq!(key_of(&keys[0]).map(|key| key.id), Some(rewrapped));
    assert_eq!(key_of(&keys[1]).map(|key| key.id), Some(late), "it stands beyond the end, and is needed before it");
    assert!(key_of(&keys[2]).is_none() && key_of(&keys[3]).is_some());
    assert!(key_of(&after).is_none());
    assert_eq!(events.len(), 4 * 3 - 1);
    let is_in_order = events.is_sorted_by(|one, next| one.position < next.position);
    assert!(is_in_order && events.iter().all(|event| event.position <= head));
    // A log in a file takes it.
    let directory = tempfile::tempdir().expect("a directory");
    let mut import = Import::begin(directory.path(), head).expect("there is none");
    events.iter().for_each(|event| import.add(event).expect("it is taken"));
    import.finish().expect("it is written");
    let copy: Arc<dyn EventStore> = Arc::new(SqliteStore::open(directory.path()).expect("it opens"));
    let report = verify(&copy, |_| {}).await.expect("it can be read");
    assert_eq!((report.findings.as_slice(), report.events, report.head), (&[][..], events.len() as u64, head));
}

#[tokio::test]
async fn an_export_of_many_pages_has_every_integration_with_its_key() {
    let site = Site::new().await;
    let mut keys = Vec::new();
    for _ in 0..800 {
        keys.push(create(&site, integration_id()).await);
    }
    let store: Arc<dyn EventStore> = Arc::<events::store::eventstoredb::EventStoreDb>::clone(&site.store);
    let events = exported(Export::new(&store)).await;
    assert_eq!(events.len(), 3 * keys.len());
    for chunk in events.chunks(3) {
        assert!(chunk[0].stream.as_str().starts_with("slug-"), "{chunk:?}");
        assert_eq!(
            chunk[1].stream.integration_of(),
            chunk[2].stream.integration_of(),
            "a key is before its integration"
        );
    }
}
