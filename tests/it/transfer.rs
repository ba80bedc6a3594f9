//! `export` and `import`: a log goes into a file and out of it, and everything is as it was.

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use super::{
    crash::{furnish, looked_at},
    harness::{ADMIN, CREATE, Client, Server},
    log,
    process::{Process, client},
    service::binary,
};

mod damage;
mod load;

/// Runs a verb on a data directory.
pub(crate) fn run(data_dir: &Path, arguments: &[&str]) -> Output {
    binary().args(arguments).arg("--data-dir").arg(data_dir).output().unwrap()
}

/// Checks that it ended with this code and one line with these words in it.
#[track_caller]
pub(crate) fn check_refused(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.trim_end_matches('\n').lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("integrations: "), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word} is not in {stderr}");
    }
}

/// The standard output of a verb that succeeds.
#[track_caller]
pub(crate) fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Exports into a file.
fn export(data_dir: &Path, to: &Path) {
    printed(&run(data_dir, &["export", to.to_str().unwrap()]));
}

/// A data directory with the keys of another, into which an export was imported.
fn imported(keys_of: &Path, export: &Path, to: &Path) {
    printed(&run(to, &["import", export.to_str().unwrap()]));
    for name in ["master.key", "jwt.key"] {
        std::fs::copy(keys_of.join(name), to.join(name)).unwrap();
    }
}

fn alice(url: &str, data_dir: &Path) -> Client {
    client(url, data_dir, json!({ "sub": "alice", "tenant": "acme", "permissions": [CREATE] }))
}

fn admin(url: &str, data_dir: &Path) -> Client {
    client(url, data_dir, json!({ "sub": "root", "tenant": "acme", "permissions": [ADMIN] }))
}

fn path_of(directory: &tempfile::TempDir, name: &str) -> PathBuf {
    directory.path().join(name)
}

#[tokio::test]
async fn after_an_import_every_answer_tag_and_position_is_the_same() {
    let (mut server, directory) = (Server::start_alone().await, tempfile::tempdir().unwrap());
    let (paths, position) = furnish(&server.alice()).await;
    let before = looked_at(&server.alice(), &paths).await;
    let (file, to) = (path_of(&directory, "log.jsonl"), path_of(&directory, "restored"));
    export(&server.data_dir(), &file);
    assert!(server.terminate().success());
    imported(&server.data_dir(), &file, &to);
    let service = Process::serve(&to, &[]);
    let url = service.ready().await;
    assert_eq!(looked_at(&alice(&url, &to), &paths).await, before);
    alice(&url, &to).get_at(&paths[0], &position).await.expect(200);
    // The secret still opens: clearing and setting is done under the same data key.
    let drive = paths.iter().find(|path| path.ends_with("/shares/bob")).unwrap().replace("/shares/bob", "");
    alice(&url, &to).put(&drive, json!({ "clientSecret": "another" })).await.expect(200);
}

#[tokio::test]
async fn an_export_holds_every_event_byte_for_byte_and_no_tombstone_and_no_checkpoint() {
    let (mut server, directory) = (Server::start_alone().await, tempfile::tempdir().unwrap());
    furnish(&server.alice()).await;
    assert!(server.terminate().success());
    let (file, to) = (path_of(&directory, "log.jsonl"), path_of(&directory, "restored"));
    export(&server.data_dir(), &file);
    imported(&server.data_dir(), &file, &to);
    let is_exported = |row: &log::Row| row.event_type != log::TOMBSTONE && row.stream != "janitor-checkpoint";
    let there: Vec<_> = log::rows(&server.data_dir()).into_iter().filter(is_exported).collect();
    assert!(there.iter().any(|row| row.of("icon").is_some()) && there.iter().any(|row| row.of("key").is_some()));
    assert_eq!(log::rows(&to), there);
    let again = path_of(&directory, "again.jsonl");
    export(&to, &again);
    assert_eq!(std::fs::read(again).unwrap(), std::fs::read(file).unwrap());
}

#[tokio::test]
async fn positions_go_on_from_the_head_of_the_log_that_was_exported() {
    let (mut server, directory) = (Server::start_alone().await, tempfile::tempdir().unwrap());
    // The log ends with what is not exported: tombstones.
    furnish(&server.alice()).await;
    assert!(server.terminate().success());
    let (file, to) = (path_of(&directory, "log.jsonl"), path_of(&directory, "restored"));
    export(&server.data_dir(), &file);
    let header: Value = serde_json::from_str(std::fs::read_to_string(&file).unwrap().lines().next().unwrap()).unwrap();
    let last = log::rows(&server.data_dir()).last().unwrap().position;
    assert_eq!(header["head"], last);
    imported(&server.data_dir(), &file, &to);
    let service = Process::serve(&to, &[]);
    let url = service.ready().await;
    let created = alice(&url, &to).create(json!({ "name": "Next", "type": "custom" })).await;
    assert!(i64::from_str_radix(&created.position, 16).unwrap() > last, "{created:?} after {last}");
    // What the janitor does once more is new too.
    let exported: Value =
        serde_json::from_str(std::fs::read_to_string(&file).unwrap().lines().rev().nth(1).unwrap()).unwrap();
    let mut new =
        log::rows(&to).into_iter().map(|row| row.position).filter(|at| *at > exported["position"].as_i64().unwrap());
    assert!(new.all(|position| position > last), "a position was given twice");
}

#[tokio::test]
async fn an_export_goes_through_a_pipe_and_only_the_owner_may_read_its_file() {
    let (server, directory) = (Server::start_alone().await, tempfile::tempdir().unwrap());
    furnish(&server.alice()).await;
    let (file, to) = (path_of(&directory, "log.jsonl"), path_of(&directory, "restored"));
    export(&server.data_dir(), &file);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["log.jsonl"], "no draft is left");
    let piped = printed(&run(&server.data_dir(), &["export", "-"]));
    assert_eq!(piped, std::fs::read_to_string(&file).unwrap());
    let mut import = binary();
    import.args(["import", "-", "--data-dir"]).arg(&to).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut import = import.spawn().unwrap();
    import.stdin.take().unwrap().write_all(piped.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    assert_eq!(printed(&run(&to, &["export", "-"])), piped);
    for text in [std::fs::read_to_string(server.data_dir().join("master.key")).unwrap(), "GOCSPX".to_owned()] {
        assert!(!piped.contains(text.split(' ').next_back().unwrap().trim()), "the export holds no master key");
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_is_told_in_one_line() {
    let server = Server::start_alone().await;
    // More than a pipe holds.
    for number in 0..40 {
        let body = json!({ "name": format!("n {number}"), "type": "custom", "description": "long ".repeat(700) });
        server.alice().create(body).await;
    }
    let command = format!(
        "{} export - --data-dir {} 2>&1 >&3 | cat 1>&2",
        binary().get_program().to_str().unwrap(),
        server.data_dir().display()
    );
    let script = format!("set -o pipefail; {{ {command}; echo $? >&2; }} 3>&1 | head -c 1 > /dev/null");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(lines[0].starts_with("integrations: cannot export: "), "{stderr}");
    assert_eq!(lines[1], "1");
}

#[tokio::test]
async fn an_import_beside_a_service_or_into_a_log_with_events_is_refused() {
    let (mut server, directory) = (Server::start_alone().await, tempfile::tempdir().unwrap());
    let file = path_of(&directory, "log.jsonl");
    export(&server.data_dir(), &file);
    let import = ["import", file.to_str().unwrap()];
    check_refused(&run(&server.data_dir(), &import), 2, &[server.data_dir().to_str().unwrap()]);
    server.alice().create(json!({ "name": "One", "type": "custom" })).await;
    assert!(server.terminate().success());
    let before = log::rows(&server.data_dir());
    check_refused(&run(&server.data_dir(), &import), 2, &["has events"]);
    assert_eq!(log::rows(&server.data_dir()), before);
}

#[tokio::test]
async fn an_import_into_the_empty_log_of_a_service_that_was_killed_is_taken() {
    let (server, mut other, directory) =
        (Server::start_alone().await, Server::start_alone().await, tempfile::tempdir().unwrap());
    furnish(&server.alice()).await;
    let file = path_of(&directory, "log.jsonl");
    export(&server.data_dir(), &file);
    other.kill();
    printed(&run(&other.data_dir(), &["import", file.to_str().unwrap()]));
    assert_eq!(printed(&run(&other.data_dir(), &["export", "-"])), std::fs::read_to_string(&file).unwrap());
}

#[test]
fn verbs_on_a_directory_without_a_log_are_refused_and_make_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = path_of(&directory, "data");
    let id = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b";
    for arguments in [&["export", "-"][..], &["verify"], &["history", id]] {
        check_refused(&run(&data_dir, arguments), 2, &["there is no event log"]);
        assert!(!data_dir.exists(), "{arguments:?}");
    }
}

#[tokio::test]
async fn verbs_on_a_log_of_a_newer_format_are_refused() {
    let mut server = Server::start_alone().await;
    assert!(server.terminate().success());
    let connection = rusqlite::Connection::open(server.data_dir().join("events.sqlite")).unwrap();
    connection.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(connection);
    let id = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b";
    for arguments in [&["export", "-"][..], &["verify"], &["history", id]] {
        check_refused(&run(&server.data_dir(), arguments), 2, &["99"]);
    }
}
