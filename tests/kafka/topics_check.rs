//! What a consumer in another language makes of the topics.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Compares what stands on Kafka, read by a group that never was, with the log of a data directory and with what the API
/// shows an admin of each tenant, by the tokens of these.
pub(crate) fn check_topics(
    brokers: &str,
    prefix: &str,
    data: &Path,
    api: &str,
    tokens: &BTreeMap<&str, String>,
) -> Value {
    // More than fits into arguments.
    let mut tokens_file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&mut tokens_file, tokens).unwrap();
    let mut check = Command::new(python());
    check.arg(consumer().join("check.py")).args([brokers, prefix]);
    output(check.arg(data.join("events.sqlite")).arg(api).arg(tokens_file.path()))
}

/// An export of a log.
pub(crate) struct Exported {
    pub(crate) file: PathBuf,
    /// A data directory with the log of that export.
    pub(crate) data: PathBuf,
}

impl Exported {
    /// Exports the log that the options name, into a directory.
    pub(crate) fn of(binary: fn() -> Command, log: &[String], directory: &Path) -> Self {
        let (file, data) = (directory.join("export.jsonl"), directory.join("imported"));
        run(binary().arg("export").arg(&file).args(log));
        run(binary().arg("import").arg(&file).arg("--data-dir").arg(&data));
        Self { file, data }
    }
}

/// What a command prints that succeeds.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The JSON that a command prints.
pub(crate) fn output(command: &mut Command) -> Value {
    serde_json::from_slice(&run(command)).unwrap()
}

/// Python with the consumer's libraries; fetched when they are not there.
fn python() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("kafka-python");
    let script = consumer().join("fetch.sh");
    run(Command::new("bash").arg(script).arg(&environment));
    environment.join("bin/python")
}

fn consumer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/consumer")
}
