//! A power cut in the middle of a write: the end of the write-ahead log is missing, or is not what was meant.

use std::path::Path;

use serde_json::json;

use crate::{fold::check_views, harness::png, log};
use crate::{
    harness::{ADMIN, Server},
    process::{Process, client},
};

/// Each has a slug, a key, an icon's bytes and three events of its own.
const EVENTS: usize = 8 * 6;

/// A log of some commits, all of them in the write-ahead log, of a service that was killed.
async fn killed() -> Server {
    let mut server = Server::start_alone().await;
    let alice = server.alice();
    for number in 0..8 {
        let body = json!({ "name": format!("n{number}"), "type": "custom", "clientSecret": "s" });
        let created = alice.create(body).await;
        alice.request("PUT", &created.path("/icon")).body("image/png", png("icon")).send().await.expect(200);
        alice.put(&created.path("/tags"), json!({ "tags": ["a", "b"] })).await.expect(200);
    }
    server.kill();
    server
}

/// The log's file, its write-ahead log and the keys, but not the index, which a power cut takes away.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for name in ["events.sqlite", "events.sqlite-wal", "master.key", "jwt.key"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// Starts on a directory and checks that what is there is whole; answers how many events there are.
async fn check_whole(data_dir: &Path) -> usize {
    let service = Process::serve(data_dir, &[]);
    let url = service.ready().await;
    let admin = client(&url, data_dir, json!({ "sub": "root", "tenant": "acme", "permissions": [ADMIN] }));
    let rows = log::rows(data_dir);
    log::check_form(&rows);
    log::check_creates_are_whole(&rows);
    check_views(&admin, "acme", &rows).await;
    let created = admin.create(json!({ "name": "After", "type": "custom" })).await;
    admin.get_at(&created.path(""), &created.position).await.expect(200);
    rows.len()
}

#[tokio::test]
async fn a_write_ahead_log_that_breaks_off_leaves_whole_commits_and_a_service_that_starts() {
    let server = killed().await;
    let directory = tempfile::tempdir().unwrap();
    let length = std::fs::metadata(server.data_dir().join("events.sqlite-wal")).unwrap().len();
    let mut counts = Vec::new();
    for part in 0..8 {
        let data_dir = directory.path().join(part.to_string());
        copy(&server.data_dir(), &data_dir);
        let wal = std::fs::OpenOptions::new().write(true).open(data_dir.join("events.sqlite-wal")).unwrap();
        // Nearly always in the middle of a page.
        wal.set_len(length - length / 9 * part).unwrap();
        counts.push(check_whole(&data_dir).await);
    }
    assert_eq!(counts[0], EVENTS, "nothing is missing when nothing was cut off");
    assert!(counts.is_sorted_by(|more, less| more >= less), "{counts:?}");
    assert!(counts[7] < EVENTS / 2, "the cuts were felt: {counts:?}");
}

#[tokio::test]
async fn nonsense_at_the_end_of_the_write_ahead_log_is_no_commit() {
    let server = killed().await;
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    copy(&server.data_dir(), &data_dir);
    let path = data_dir.join("events.sqlite-wal");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 0xff;
    bytes.extend_from_slice(&[0x5a; 10_000]);
    std::fs::write(&path, bytes).unwrap();
    let count = check_whole(&data_dir).await;
    assert_eq!(count, EVENTS - 1, "the last commit is broken, the ones before are there");
}
