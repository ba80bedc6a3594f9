//! Running the verb, and looking at what it and the service leave in the data directory.

use std::{collections::BTreeMap, fs::File, path::Path, process::Output};

use crate::{log, process::eventually, service::binary};

/// Runs `keys rotate` with more options.
pub(super) fn rotate(data_dir: &Path, options: &[&str]) -> Output {
    binary().args(["keys", "rotate", "--data-dir"]).arg(data_dir).args(options).output().unwrap()
}

/// Checks that it was refused with 2 and one line with these words in it.
#[track_caller]
pub(super) fn check_refused(output: &Output, words: &[&str]) {
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(told.trim_end_matches('\n').lines().count(), 1, "{told}");
    assert!(told.starts_with("integrations: ") && output.stdout.is_empty(), "{output:?}");
    for word in words {
        assert!(told.contains(word), "{word} is not in {told}");
    }
}

/// The ids in the key file, in its order.
pub(super) fn key_ids(data_dir: &Path) -> Vec<String> {
    ids_of(&std::fs::read_to_string(data_dir.join("master.key")).unwrap())
}

pub(super) fn ids_of(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The id of the active key.
pub(super) fn active(data_dir: &Path) -> String {
    key_ids(data_dir).pop().unwrap()
}

/// How many data keys stand in the log under each master key.
pub(super) fn wraps(data_dir: &Path) -> BTreeMap<String, usize> {
    let mut wraps = BTreeMap::new();
    for row in log::rows(data_dir).iter().filter(|row| is_wrap(row)) {
        let master_key = row.json()["wrapped"]["masterKey"].as_str().unwrap().to_owned();
        *wraps.entry(master_key).or_default() += 1;
    }
    wraps
}

pub(super) fn is_wrap(row: &log::Row) -> bool {
    row.stream.starts_with("key-") && row.event_type != log::TOMBSTONE
}

/// Which key a running service says that it uses; `None` while it says nothing.
pub(super) fn marked(data_dir: &Path) -> Option<String> {
    let file = File::open(data_dir.join("master.key.active")).ok()?;
    let is_said = file.try_lock_shared().is_err();
    is_said.then(|| std::io::read_to_string(file).unwrap())
}

/// Waits until the service uses the active key.
pub(super) async fn wait_until_taken_up(data_dir: &Path) {
    let active = Some(active(data_dir));
    eventually("the active key is taken up", async || marked(data_dir) == active).await;
}

/// Drops the old keys as soon as that is not refused any more, and nothing else goes wrong.
pub(super) async fn drop_old(data_dir: &Path) {
    eventually("the old keys are dropped", async || {
        let output = rotate(data_dir, &["--drop"]);
        if !output.status.success() {
            check_refused(&output, &["nothing was dropped"]);
        }
        output.status.success()
    })
    .await;
}
