//! Whatever is altered by hand is found and named.

use std::path::{Path, PathBuf};

use super::*;

/// The log of a service that has stopped.
struct Stopped {
    server: Server,
    /// A stream of an integration with at least four events.
    integration: String,
    icon: String,
    /// The stream of a data key that is there.
    key: String,
    /// The stream of a data key that was removed.
    removed: String,
}

async fn stopped() -> Stopped {
    let mut server = Server::start_alone().await;
    furnish(&server.alice()).await;
    assert!(server.terminate().success());
    let rows = log::rows(&server.data_dir());
    let stream = |is_it: &dyn Fn(&log::Row) -> bool| rows.iter().find(|row| is_it(row)).unwrap().stream.clone();
    Stopped {
        integration: stream(&|row| row.name() == "IconSet"),
        icon: stream(&|row| row.of("icon").is_some()),
        key: stream(&|row| row.of("key").is_some() && row.event_type != log::TOMBSTONE),
        removed: stream(&|row| row.of("key").is_some() && row.event_type == log::TOMBSTONE),
        server,
    }
}

impl Stopped {
    /// A copy of the log, with this done to it.
    fn copy(&self, directory: &Path, sql: &str) -> PathBuf {
        for name in ["events.sqlite", "events.sqlite-wal"] {
            let from = self.server.data_dir().join(name);
            if from.exists() {
                std::fs::copy(from, directory.join(name)).unwrap();
            }
        }
        let connection = Connection::open(directory.join("events.sqlite")).unwrap();
        connection.execute_batch(sql).unwrap();
        directory.to_owned()
    }

    /// What is found after this was done.
    #[track_caller]
    fn findings(&self, sql: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let output = run(&self.copy(directory.path(), sql), &["verify"]);
        assert_eq!(output.status.code(), Some(1), "{sql}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Checks that exactly this is found in the stream of the integration, after this was done to its rows.
    #[track_caller]
    fn check(&self, set: &str, revision: u64, fault: &str) {
        let stream = &self.integration;
        let sql = format!("{set} WHERE stream = '{stream}' AND revision = {revision}");
        assert_eq!(self.findings(&sql), [format!("{stream} revision {revision}: {fault}")], "{sql}");
    }
}

#[tokio::test]
async fn every_altered_column_is_found_and_named_alone() {
    let log = stopped().await;
    for revision in [0, 1, 3] {
        for set in [
            "data = replace(data, 'e', 'f')",
            "data = data || ' '",
            "metadata = replace(metadata, 'alice', 'mallo')",
            "metadata = replace(metadata, '\"hash\"', '\"hasi\"')",
            "metadata = '{}'",
            "hash = replace(replace(hash, '1', '2'), '3', '4')",
            "hash = 'no hash'",
            "hash = upper(hash) || 'A'",
            "type = 'IntegrationRenamed.v1'",
            "type = '$tombstone'",
            "at = '2020-01-01T00:00:00.000Z'",
            "at = at || ' '",
            "id = '0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b'",
            "id = upper(id)",
            "id = 'no id'",
        ] {
            // A row that claims to end its stream makes the others surplus, which is told too.
            if !set.contains("$tombstone") {
                log.check(&format!("UPDATE events SET {set}"), revision, "altered");
            }
        }
    }
}

#[tokio::test]
async fn a_tombstone_ends_keys_and_icons_alone_and_stands_alone() {
    let log = stopped().await;
    let (stream, removed) = (&log.integration, &log.removed);
    let found =
        log.findings(&format!("UPDATE events SET type = '$tombstone' WHERE stream = '{stream}' AND revision = 1"));
    assert!(found.contains(&format!("{stream} revision 1: altered")), "{found:?}");
    let found = log.findings(&format!("UPDATE events SET data = '{{\"a\":1}}' WHERE stream = '{removed}'"));
    assert_eq!(found.len(), 1, "{found:?}");
    // What was destroyed is brought back beside its tombstone.
    let found = log.findings(&format!(
        "INSERT INTO events (stream, revision, id, type, at, data, metadata, hash)
         SELECT '{removed}', 99, id, type, at, data, metadata, hash FROM events WHERE stream = '{}'",
        log.key
    ));
    assert!(found.contains(&format!("{removed} revision 99: should be gone")), "{found:?}");
}

#[tokio::test]
async fn a_missing_row_is_found_and_named() {
    let log = stopped().await;
    log.check("DELETE FROM events", 0, "missing");
    log.check("DELETE FROM events", 2, "missing");
    let stream = &log.integration;
    let found = log.findings(&format!("DELETE FROM events WHERE stream = '{stream}' AND revision IN (1, 2)"));
    assert_eq!(found, [format!("{stream} revisions 1 to 2: missing")]);
}

#[tokio::test]
async fn rows_that_changed_places_are_found() {
    let log = stopped().await;
    let stream = &log.integration;
    let set = |to: &str, from: &str| format!("UPDATE events SET {to} WHERE stream = '{stream}' AND {from};");
    let swapped = [
        set("revision = 99", "revision = 1"),
        set("revision = 1", "revision = 2"),
        set("revision = 2", "revision = 99"),
    ];
    let found = log.findings(&swapped.concat());
    assert!(found.contains(&format!("{stream} revision 2: out of order")), "{found:?}");
    assert!(found.contains(&format!("{stream} revision 1: altered")), "{found:?}");
    // The hashes are as they were, and the order of positions is not.
    let found = log.findings(&set("position = (SELECT max(position) + 1 FROM events)", "revision = 1"));
    assert_eq!(found, [format!("{stream} revision 2: out of order")]);
    let found = log.findings(&set("position = -5", "revision = 1"));
    assert!(found.contains(&format!("{stream} revision 1: out of order")), "{found:?}");
}

#[tokio::test]
async fn streams_of_other_kinds_are_checked_too() {
    let log = stopped().await;
    let (icon, key) = (&log.icon, &log.key);
    let found = log.findings(&format!("UPDATE events SET data = data || x'00' WHERE stream = '{icon}'"));
    assert_eq!(found, [format!("{icon} revision 0: altered")]);
    let found = log.findings(&format!("UPDATE events SET data = replace(data, 'c', 'd') WHERE stream = '{key}'"));
    assert_eq!(found, [format!("{key} revision 0: altered")]);
    let found = log.findings(&format!(
        "INSERT INTO events (stream, revision, id, type, at, data, metadata, hash)
         SELECT stream, 7, id, type, at, data, metadata, hash FROM events WHERE stream = '{key}'"
    ));
    assert!(found.contains(&format!("{key} revision 0: should be gone")), "{found:?}");
    let found =
        log.findings(&format!("UPDATE events SET stream = 'other' || char(27) || '[2J' WHERE stream = '{key}'"));
    assert_eq!(found, ["other\\u{1b}[2J revision 0: altered"], "no name acts on the terminal");
}

#[tokio::test]
async fn findings_are_listed_up_to_a_thousand_and_counted_beyond() {
    let log = stopped().await;
    let sql = "INSERT INTO events (stream, revision, id, type, at, data, metadata, hash)
               WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1234)
               SELECT 'by-hand:' || i, 0, '', '', '', '', '', '' FROM n";
    let found = log.findings(sql);
    assert_eq!((found.len(), found[1_000].as_str()), (1_001, "and 234 more"));
    let directory = tempfile::tempdir().unwrap();
    let output = run(&log.copy(directory.path(), sql), &["verify", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["whole"], &report["more"]), (&json!(false), &json!(234)));
    assert_eq!(report["findings"].as_array().unwrap().len(), 1_000);
    assert_eq!(report["findings"][0], json!({ "fault": "altered", "stream": "by-hand:1", "revision": 0 }));
}

#[tokio::test]
async fn a_damaged_file_is_a_finding() {
    use std::os::unix::fs::FileExt as _;
    let log = stopped().await;
    for share in [1, 2, 4] {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = log.copy(directory.path(), "PRAGMA wal_checkpoint(TRUNCATE)");
        let file = std::fs::OpenOptions::new().write(true).open(data_dir.join("events.sqlite")).unwrap();
        // The first page tells what the file is.
        let pages = file.metadata().unwrap().len() / 4_096;
        for page in (pages - pages / share).max(1)..pages {
            file.write_all_at(&[0xff; 512], page * 4_096).unwrap();
        }
        let output = run(&data_dir, &["verify"]);
        assert_eq!(output.status.code(), Some(1), "{share}: {output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("file: "), "{share}");
    }
}
