//! `verify`: whole of what is, and whatever was altered on the server is found and named.

use std::collections::{BTreeMap, BTreeSet};

use events::{
    store::{EventStore as _, StreamWrite, eventstoredb::EventStoreDb},
    stream::StreamName,
};
use serde_json::Value;
use tokio::{sync::mpsc::unbounded_channel, task::spawn_blocking};

use super::*;
use crate::writers::Writers;

/// What a reader of streams finds: streams and events, without what is hidden until the server is scavenged.
fn counted(peer: &Peer) -> (usize, usize) {
    let events = peer.events();
    let is_tombstone = |event: &&std::sync::Arc<Event>| event.event_type() == peer::log::TOMBSTONE;
    let removed: BTreeSet<_> = events.iter().filter(is_tombstone).map(|event| &event.stream).collect();
    let mut streams = BTreeMap::new();
    for event in &events {
        let is_own = event.event_type().starts_with('$') || event.stream.starts_with('$');
        if !is_own && !removed.contains(&event.stream) {
            let keeps_last = event.stream.starts_with("key-") || &*event.stream == "janitor-checkpoint";
            let count = streams.entry(&event.stream).or_insert(0);
            *count = if keeps_last { 1 } else { *count + 1 };
        }
    }
    (streams.len(), streams.values().sum())
}

/// What `verify` finds.
#[track_caller]
fn findings(site: &Site) -> Vec<String> {
    let output = site.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "integrations: the log is not what was appended\n");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Checks that exactly this is found after this was done to an event, and puts it right again.
#[track_caller]
fn check(site: &Site, stream: &str, revision: u64, change: impl FnOnce(&mut Event), expected: &[String]) {
    let before = site.alter(stream, revision, change);
    assert_eq!(findings(site), expected);
    site.alter(stream, revision, |event| *event = before);
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> String {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to)
}

#[tokio::test]
async fn a_log_that_nobody_altered_is_whole() {
    let site = Site::stopped().await;
    let (streams, events) = counted(&site.peer);
    let head = 2 * site.peer.events().last().unwrap().position + 1;
    let text = printed(&site.run(&["verify"]));
    assert_eq!(text, format!("whole: {streams} streams, {events} events, head {head}\n"));
    let whole = json!({
        "whole": true, "streams": streams, "events": events, "head": head, "findings": [], "more": 0,
    });
    let printed = printed(&site.run(&["verify", "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), whole);
}

#[tokio::test]
async fn an_empty_log_is_whole() {
    let site = Site::start().await;
    assert_eq!(printed(&site.run(&["verify"])), "whole: 0 streams, 0 events, head 0\n");
}

#[tokio::test]
async fn the_log_of_a_service_at_work_is_whole() {
    let mut site = Site::start().await;
    let (acknowledged, mut answers) = unbounded_channel();
    let writers = Writers::start(&site.alice(), 0, 6, &acknowledged);
    for _ in 0..3 {
        for _ in 0..60 {
            answers.recv().await.unwrap();
        }
        let (data_dir, url) = (site.data_dir(), site.peer.url());
        let verify = spawn_blocking(move || run(&data_dir, &["verify", "--event-store", &url]));
        let text = printed(&verify.await.unwrap());
        assert!(text.starts_with("whole: "), "{text}");
    }
    assert!(site.service.terminate().status.success());
    drop(writers.ended().await);
}

#[tokio::test]
async fn every_altered_part_of_an_event_is_found_and_named_alone() {
    let site = Site::stopped().await;
    let stream = site.stream(|event| event.event_type().starts_with("IconSet"));
    let type_of = |event: &mut Event, name: &str| {
        event.proposed.metadata.insert("type".to_owned(), name.to_owned());
    };
    let changes: [&dyn Fn(&mut Event); 8] = [
        &|event| event.proposed.data = replaced(&event.proposed.data, "e", "f").into(),
        &|event| event.proposed.data = [&event.proposed.data[..], b" "].concat().into(),
        &|event| event.proposed.custom_metadata = replaced(&event.proposed.custom_metadata, "alice", "mallo").into(),
        &|event| event.proposed.custom_metadata = replaced(&event.proposed.custom_metadata, "hash", "hasi").into(),
        &|event| event.proposed.custom_metadata = "{}".into(),
        &|event| {
            // Of the hash, some digit.
            let mut bytes = event.proposed.custom_metadata.to_vec();
            let at = bytes.len() - 10;
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            event.proposed.custom_metadata = bytes.into();
        },
        &|event| type_of(event, "IntegrationRenamed.v1"),
        &|event| event.proposed.id = uuid::Uuid::from_u128(1),
    ];
    for revision in [0, 1, 3] {
        for change in changes {
            check(&site, &stream, revision, change, &[format!("{stream} revision {revision}: altered")]);
        }
    }
    for kind in ["slug-", "key-", "icon-"] {
        let stream = site.stream(|event| event.stream.starts_with(kind));
        let change = |event: &mut Event| event.proposed.data = [&event.proposed.data[..], b"\n"].concat().into();
        check(&site, &stream, 0, change, &[format!("{stream} revision 0: altered")]);
    }
    assert!(printed(&site.run(&["verify"])).starts_with("whole: "));
}

#[tokio::test]
async fn what_is_missing_or_out_of_order_is_found_and_told_as_text_and_as_json() {
    let site = Site::stopped().await;
    let stream = site.stream(|event| event.event_type().starts_with("IconSet"));
    let vanish = |event: &mut Event| event.stream = "elsewhere".into();
    check(&site, &stream, 0, vanish, &[format!("{stream} revision 0: missing")]);
    check(&site, &stream, 2, vanish, &[format!("{stream} revision 2: missing")]);
    let first = site.alter(&stream, 1, vanish);
    check(&site, &stream, 2, vanish, &[format!("{stream} revisions 1 to 2: missing")]);
    let printed = site.run(&["verify", "--json"]).stdout;
    let told: Value = serde_json::from_slice(&printed).unwrap();
    assert_eq!(told["whole"], false);
    assert_eq!(told["findings"], json!([{ "fault": "missing", "stream": stream, "revision": 1, "to": 1 }]));
    site.alter(&stream, 1, |event| *event = first);
    // Somebody has exchanged two events.
    check(&site, &stream, 3, |event| event.revision = 1, &[format!("{stream} revision 1: out of order")]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_hides_no_other() {
    let site = Site::stopped().await;
    let mut expected = Vec::new();
    for event in site.peer.events() {
        if event.stream.starts_with("integration-") && event.revision == 0 {
            site.alter(&event.stream, 0, |event| event.proposed.custom_metadata = "no JSON".into());
            expected.push(format!("{} revision 0: altered", event.stream));
        }
    }
    assert_eq!(expected.len(), 4);
    let stream = site.stream(|event| event.event_type().starts_with("IconSet"));
    site.alter(&stream, 3, |event| event.proposed.data = "{}".into());
    expected.push(format!("{stream} revision 3: altered"));
    assert_eq!(findings(&site), expected);
}

#[tokio::test]
async fn a_stream_that_somebody_cut_short_or_removed_is_found_though_the_log_shows_it_still() {
    let site = Site::stopped().await;
    let stream = site.stream(|event| event.event_type().starts_with("IconSet"));
    site.peer.limit(&stream, Some(2));
    assert_eq!(findings(&site), [format!("{stream} revisions 0 to 1: missing")]);
    site.peer.limit(&stream, None);
    let (integration, slug) =
        (StreamName::parse(&stream).unwrap(), site.stream(|event| event.stream.starts_with("slug-")));
    let store = EventStoreDb::open(&site.peer.url()).unwrap();
    let tombstone = |stream| StreamWrite::Tombstone { stream };
    store.append(vec![tombstone(StreamName::parse(&slug).unwrap()), tombstone(integration)]).await.unwrap();
    let expected = [format!("{stream} revisions 0 to 3: missing"), format!("{slug} revision 0: missing")];
    let mut found = findings(&site);
    found.sort();
    assert_eq!(found, expected);
}
