//! `export`, into a file that an `import` makes a log in a data directory of.

use tokio::{sync::mpsc::unbounded_channel, task::spawn_blocking};

use super::*;
use crate::{log, writers::Writers};

#[tokio::test]
async fn a_log_goes_from_a_server_into_a_data_directory_and_every_answer_tag_and_position_is_the_same() {
    let mut site = Site::start().await;
    let (paths, position) = furnish(&site.alice()).await;
    let before = looked_at(&site.alice(), &paths).await;
    let file = site.export("log.jsonl");
    assert!(site.service.terminate().status.success());
    let copy = site.imported(&file, "copy");
    assert!(printed(&run(&copy, &["verify"])).starts_with("whole: "));
    log::check_form(&log::rows(&copy));

    // What is exported again is the same file.
    assert_eq!(printed(&run(&copy, &["export", "-"])), std::fs::read_to_string(&file).unwrap());
    let service = Process::serve(&copy, &[]);
    let url = service.ready().await;
    let alice = client(&url, &copy, json!({ "sub": "alice", "tenant": "acme", "permissions": [CREATE] }));
    assert_eq!(looked_at(&alice, &paths).await, before);
    alice.get_at(&paths[0], &position).await.expect(200);
    // The secret still opens, and what is new comes behind everything that the server had.
    let drive = paths.iter().find(|path| path.ends_with("/shares/bob")).unwrap().replace("/shares/bob", "");
    alice.put(&drive, json!({ "clientSecret": "another" })).await.expect(200);
    let created = alice.create(json!({ "name": "Next", "type": "custom" })).await;
    assert!(created.position > position, "{} after {position}", created.position);
}

#[tokio::test]
async fn every_event_but_a_key_stands_in_the_export_as_it_stands_on_the_server() {
    let site = Site::stopped().await;
    let copy = site.imported(&site.export("log.jsonl"), "copy");
    let events = site.peer.events();
    let is_there = |event: &&std::sync::Arc<Event>| {
        let is_ours = ["integration-", "slug-", "icon-"].iter().any(|kind| event.stream.starts_with(kind));
        is_ours && !event.event_type().starts_with('$')
    };
    let there: Vec<_> = events.iter().filter(is_there).collect();
    let rows = log::rows(&copy);
    let (keys, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.of("key").is_some());
    assert_eq!(others.len(), there.len());
    for (row, event) in others.into_iter().zip(there) {
        assert_eq!(row.position, i64::try_from(2 * event.position + 1).unwrap());
        assert_eq!((row.stream.as_str(), row.revision), (&*event.stream, i64::try_from(event.revision).unwrap()));
        assert_eq!((row.id.clone(), row.event_type.as_str()), (event.proposed.id.to_string(), event.event_type()));
        assert_eq!(row.data, event.proposed.data);
        assert_eq!(row.metadata.as_bytes(), event.proposed.custom_metadata);
    }
    let key = events.iter().find(|event| event.stream.starts_with("key-")).unwrap();
    assert!(keys.iter().any(|row| row.stream == *key.stream && row.data == key.proposed.data));
    assert!(rows.iter().all(|row| row.stream != "janitor-checkpoint" && row.event_type != log::TOMBSTONE));
}

#[tokio::test]
async fn an_export_of_a_service_at_work_is_whole() {
    let mut site = Site::start().await;
    let (acknowledged, mut answers) = unbounded_channel();
    let writers = Writers::start(&site.alice(), 0, 6, &acknowledged);
    for name in ["one", "two", "three"] {
        for _ in 0..60 {
            answers.recv().await.unwrap();
        }
        let (data_dir, url, file) = (site.data_dir(), site.peer.url(), site.path(name));
        let to = file.clone();
        let export = move || run(&data_dir, &["export", to.to_str().unwrap(), "--event-store", &url]);
        printed(&spawn_blocking(export).await.unwrap());
        let copy = site.imported(&file, &format!("{name}-copy"));
        assert!(printed(&run(&copy, &["verify"])).starts_with("whole: "));
        log::check_form(&log::rows(&copy));
    }
    assert!(site.service.terminate().status.success());
    drop(writers.ended().await);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_ends_the_export_and_leaves_no_file() {
    let site = Site::stopped().await;
    let stream = site.stream(|event| event.event_type().starts_with("IconSet"));
    site.alter(&stream, 1, |event| event.proposed.custom_metadata = "{}".into());
    let file = site.path("log.jsonl");
    check_refused(&site.run(&["export", file.to_str().unwrap()]), 1, &["cannot export", &stream, "damaged"]);
    let left = std::fs::read_dir(site.directory.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).filter(|name| name != "data").collect();
    assert!(left.is_empty(), "{left:?}");
}
