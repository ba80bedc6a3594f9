//! What a consumer in another language makes of the topics.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Compares what stands on Kafka, read by a group that never was, with the log of a data directory and with what the API
/// shows an admin.
pub(crate) fn check_topics(brokers: &str, prefix: &str, data: &Path, api: &str, token: &str) -> Value {
    let mut check = Command::new(python());
    check.arg(consumer().join("check.py")).args([brokers, prefix]);
    output(check.arg(data.join("events.sqlite")).args([api, token]))
}

/// The JSON that a command prints.
pub(crate) fn output(command: &mut Command) -> Value {
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
