//! The key file: what a rotation does to it, what it refuses, and what a running service makes of a changed one.

use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use super::{
    create_some, rotate,
    verb::{active, check_refused, ids_of, key_ids, marked, wait_until_taken_up, wraps},
};
use crate::{harness::Server, process::eventually, service::binary};

const LINE: &str = "own MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const TOLD: &str = "is not taken up";

/// A data directory with a key file of this text and nothing else.
fn with_key_file(text: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("master.key"), text).unwrap();
    directory
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_fresh_key_is_the_last_line_of_a_file_that_is_replaced_with_its_mode() {
    let directory = with_key_file(LINE);
    let path = directory.path().join("master.key");
    for wanted in [0o600, 0o640] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(wanted)).unwrap();
        let before = std::fs::read_to_string(&path).unwrap();
        assert!(rotate(directory.path(), &[]).status.success());
        let after = std::fs::read_to_string(&path).unwrap();
        assert_eq!(after.lines().count(), before.lines().count() + 1);
        assert!(after.starts_with(&before) && after.ends_with('\n'), "{:?}", ids_of(&after));
        assert_eq!(mode(&path), wanted);
    }
    let names: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("draft")), "{names:?}");
}

#[test]
fn a_file_elsewhere_is_rotated_where_it_is_also_behind_a_link() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), with_key_file(LINE));
    let link = directory.path().join("link");
    symlink(elsewhere.path().join("master.key"), &link).unwrap();
    let rotated = binary()
        .args(["keys", "rotate", "--master-key-file"])
        .arg(&link)
        .env("INTEGRATIONS_DATA_DIR", directory.path().join("data"))
        .output()
        .unwrap();
    assert!(rotated.status.success(), "{rotated:?}");
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(key_ids(elsewhere.path()).len(), 2);
}

#[test]
fn rotations_at_once_do_not_lose_each_others_key() {
    let directory = with_key_file(LINE);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(rotate(directory.path(), &[]).status.success()));
        }
    });
    let mut ids = key_ids(directory.path());
    assert_eq!(ids[0], "own");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 9);
}

#[test]
fn what_an_interrupted_rotation_left_is_in_nobodys_way_and_does_not_stay() {
    let directory = with_key_file(LINE);
    let draft = directory.path().join("master.key.draft");
    std::fs::write(&draft, "half a li").unwrap();
    assert!(rotate(directory.path(), &[]).status.success());
    assert_eq!((key_ids(directory.path()).len(), draft.exists()), (2, false));
}

#[test]
fn without_a_key_file_there_is_nothing_to_rotate_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    for options in [&[][..], &["--drop"]] {
        check_refused(&rotate(&data_dir, options), &["master.key", "nothing to rotate"]);
        assert!(!data_dir.exists());
    }
}

#[test]
fn a_damaged_key_file_is_refused_left_as_it_is_and_never_repeated() {
    for text in ["", "canary", &format!("{LINE}\ncanary c2hvcnQ="), &format!("{LINE}\n{LINE}")] {
        let directory = with_key_file(text);
        for options in [&[][..], &["--drop"]] {
            let output = rotate(directory.path(), options);
            check_refused(&output, &["master key file"]);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!told.contains("canary") && !told.contains("MDEyMz"), "{told}");
            assert_eq!(std::fs::read_to_string(directory.path().join("master.key")).unwrap(), text);
        }
    }
}

#[tokio::test]
async fn a_running_service_goes_on_with_its_keys_while_the_file_is_damaged_and_takes_up_what_is_mended() {
    let server = Server::start_alone().await;
    let (data_dir, path) = (server.data_dir(), server.data_dir().join("master.key"));
    let (first, good) = (active(&data_dir), std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, format!("{good}half a line")).unwrap();
    eventually("it says that the file is damaged", async || server.log().contains(TOLD)).await;
    create_some(&server.alice(), 2).await;
    assert_eq!(marked(&data_dir), Some(first.clone()));
    std::fs::write(&path, &good).unwrap();
    assert!(rotate(&data_dir, &[]).status.success());
    wait_until_taken_up(&data_dir).await;
    eventually("both are re-wrapped", async || wraps(&data_dir).into_iter().eq([(active(&data_dir), 2)])).await;
    let told = server.log();
    assert_eq!(told.lines().filter(|line| line.contains(TOLD)).count(), 1, "{told}");
    assert!(!told.contains("half a line") && !told.contains(good.split(' ').nth(1).unwrap().trim()));
}

#[tokio::test]
async fn a_file_that_lacks_a_key_that_is_needed_is_not_taken_up() {
    let server = Server::start_alone().await;
    let (data_dir, path) = (server.data_dir(), server.data_dir().join("master.key"));
    let first = active(&data_dir);
    let good = std::fs::read_to_string(&path).unwrap();
    // Another key altogether, and another one under the id of the one in use.
    for (round, text) in [LINE.to_owned(), LINE.replace("own", &first)].iter().enumerate() {
        std::fs::write(&path, text).unwrap();
        eventually("it says that a key is missing", async || server.log().matches(TOLD).count() == round + 1).await;
        assert_eq!(marked(&data_dir), Some(first.clone()));
    }
    create_some(&server.alice(), 2).await;
    assert_eq!(wraps(&data_dir).into_iter().collect::<Vec<_>>(), [(first, 2)]);
    std::fs::write(&path, good).unwrap();
}
