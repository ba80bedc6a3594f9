//! What others make of it: the consumer in another language, and the fold of the log.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::process::Api;

/// Compares what stands on Kafka, read by a group that never was, with the log of a data directory and with what the API
/// shows.
pub(crate) fn check_topics(brokers: &str, prefix: &str, data: &Path, api: &Api) -> Value {
    let mut check = Command::new(python());
    check.arg(consumer().join("check.py")).args([brokers, prefix]);
    output(check.arg(data.join("events.sqlite")).args([&api.url, &api.token]))
}

/// Compares both lists with a fold of an export of the log.
pub(crate) async fn check_views(export: &Path, api: &Api) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fold.py");
    let folded = output(Command::new("python3").arg(script).arg(export));
    let expected = &folded["tenants"]["acme"];
    let flat = api.json("/api/integrations-list").await;
    assert!(flat == expected["list"], "the flat list is another than the fold of the log");
    let mut items = Vec::new();
    for start in (0..flat.as_array().unwrap().len()).step_by(500) {
        let page = api.json(&format!("/api/integrations?limit=500&start={start}")).await;
        items.extend(page["_embedded"]["inf:integration"].as_array().unwrap().clone());
    }
    assert!(items == *expected["items"].as_array().unwrap(), "the list is another than the fold of the log");
}

/// The JSON that a command prints.
fn output(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Python with the consumer's libraries; fetched when they are not there.
fn python() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("kafka-python");
    let script = consumer().join("fetch.sh");
    let fetch = Command::new("bash").arg(script).arg(&environment).output().unwrap();
    assert!(fetch.status.success(), "{}", String::from_utf8_lossy(&fetch.stderr));
    environment.join("bin/python")
}

fn consumer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/consumer")
}
