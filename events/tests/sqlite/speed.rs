//! How fast the log is verified and imported. Prints; only in release do the numbers mean anything.

use std::time::Instant;

use events::{
    store::sqlite::{import::Import, snapshot::Snapshot, verify::verify},
    time::Timestamp,
};

use super::*;

const STREAMS: usize = 10_000;
const REVISIONS: u64 = 40;
const APPEND: usize = 250;

/// An event of about 900 bytes with its metadata.
fn event(stream: &StreamName, revision: u64, previous: Digest) -> NewEvent {
    let at: Timestamp = serde_json::from_str(r#""2026-01-02T03:04:05.678Z""#).expect("a time");
    let metadata = Metadata {
        actor: Some("somebody@example.com".parse().expect("a principal")),
        correlation_id: Some("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b".to_owned()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        client: Some("192.0.2.17".to_owned()),
        ..Metadata::of_service(Some(tenant()), at)
    };
    let text = format!("{revision} {}", "words ".repeat(80));
    let data = format!(r#"{{"changes":{{"description":{{"from":"before","to":"{text}"}}}}}}"#);
    let place = Place { stream, revision: Revision::new(revision), previous };
    NewEvent::seal(place, new_event_id(), "IntegrationUpdated.v1", data.into(), &metadata)
}

async fn fill(store: &SqliteStore) {
    let mut ends: Vec<_> = (0..STREAMS).map(|_| (integration(), Digest::ZERO)).collect();
    for revision in 0..REVISIONS {
        for ends in ends.chunks_mut(APPEND) {
            let writes = ends.iter_mut().map(|(stream, end)| {
                let event = event(stream, revision, *end);
                *end = event.hash;
                let expected =
                    revision.checked_sub(1).map_or(NoStream, |last| ExpectedRevision::Exact(Revision::new(last)));
                StreamWrite::Append { stream: stream.clone(), expected, events: vec![event] }
            });
            store.append(writes.collect()).await.expect("appended");
        }
    }
}

#[tokio::test]
#[ignore = "measures: run it in release, with --nocapture"]
async fn events_are_verified_and_imported_at_speed() {
    let (from, to) = (directory(), directory());
    let store = open(&from);
    fill(&store).await;
    let all = (STREAMS as u64 * REVISIONS) as f64;
    for threads in [1, 2, 1, 2] {
        let begun = Instant::now();
        let report = verify(from.path(), threads, |_| {}).expect("it is read");
        assert!(report.is_whole());
        println!("verify, {threads} threads: {:.0} events/s", all / begun.elapsed().as_secs_f64());
    }
    let (begun, snapshot) = (Instant::now(), Snapshot::open(from.path()).expect("it opens"));
    let mut import = Import::begin(to.path(), snapshot.head()).expect("it is empty");
    let add = |event: &RecordedEvent| -> Result<(), Error> {
        import.add(event).expect("it is whole");
        Ok(())
    };
    snapshot.for_each(add).expect("it is read");
    import.finish().expect("written");
    println!("import: {:.0} events/s", all / begun.elapsed().as_secs_f64());
}
