//! A disk without room, as a limit on the size of files shows it: nothing that was acknowledged is lost.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{fold::check_views, harness::png, log};
use crate::{
    harness::{ADMIN, Answer, Client},
    process::{Process, client, eventually},
    service::binary,
};

/// A service that is told of a full disk instead of being killed for it, and a user who may do everything.
struct Limited {
    process: Process,
    admin: Client,
    directory: TempDir,
}

fn data_dir(directory: &TempDir) -> PathBuf {
    directory.path().join("data")
}

async fn start(directory: TempDir) -> Limited {
    let data_dir = data_dir(&directory);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary().get_program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data_dir).env_remove("RUST_LOG");
    let process = Process::start(&mut command);
    let url = process.ready().await;
    let admin = client(&url, &data_dir, json!({ "sub": "root", "tenant": "acme", "permissions": [ADMIN] }));
    Limited { process, admin, directory }
}

impl Limited {
    /// Sets how large any file may grow that the process writes.
    fn limit_files(&self, bytes: &str) {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &self.process.id().to_string(), &format!("--fsize={bytes}:")]);
        assert!(prlimit.status().unwrap().success());
    }

    async fn readiness(&self) -> Answer {
        self.admin.get("/readyz").await
    }

    /// Makes the write-ahead log empty, as a deletion does, and waits for the views.
    async fn empty_the_wal(&self) {
        let gone = self.admin.create(json!({ "name": "Gone", "type": "custom", "clientSecret": "s" })).await;
        let last = self.admin.delete(&gone.path("")).await.expect(204);
        let wal = data_dir(&self.directory).join("events.sqlite-wal");
        eventually("the write-ahead log is empty", async || length(&wal) == 0).await;
        self.admin.get_at("/api/integrations", last.header("integration-position")).await.expect(200);
    }

    async fn check_log_and_views(&self) {
        let rows = log::rows(&data_dir(&self.directory));
        log::check_form(&rows);
        log::check_creates_are_whole(&rows);
        check_views(&self.admin, "acme", &rows).await;
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

async fn create(client: &Client, key: &str) -> Answer {
    let body = json!({ "name": key, "type": "custom", "clientSecret": "s" });
    client.request("POST", "/api/integrations").header("idempotency-key", key).json(&body).send().await
}

/// Checks an answer of a store that cannot write.
#[track_caller]
fn check_refusal(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    if problem["type"] == "urn:problem-type:integrations:outcome-unknown" {
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("may have been done: repeat it with the same id or key"), "{detail}");
    } else {
        assert_eq!(problem["type"], "urn:problem-type:integrations:unavailable");
    }
}

/// Sends commands of every kind at once, each of which needs room on the disk.
async fn send_all_kinds(client: &Client, path: &str) -> Vec<Answer> {
    let requests = [
        client.request("PUT", path).json(&json!({ "description": "no room" })),
        client.request("PUT", &format!("{path}/shares/bob")),
        client.request("PUT", &format!("{path}/tags/a")),
        client.request("PUT", &format!("{path}/icon")).body("image/png", png("no room")),
        client.request("PUT", &format!("{path}/owner")).json(&json!({ "ownerId": "bob" })),
        client.request("DELETE", path),
        client.request("POST", "/api/integrations").json(&json!({ "name": "No room", "type": "custom" })),
    ];
    let sent: JoinSet<_> = requests.into_iter().map(|request| request.send()).collect();
    sent.join_all().await
}

#[tokio::test]
async fn while_the_log_cannot_grow_commands_are_503_reads_go_on_and_it_takes_commands_again_when_there_is_room() {
    let service = start(tempfile::tempdir().unwrap()).await;
    let admin = service.admin.clone();
    let kept = admin.create(json!({ "name": "Kept", "type": "custom", "clientSecret": "s" })).await;
    service.empty_the_wal().await;
    let list = admin.get("/api/integrations-list").await.expect(200);
    service.limit_files("1");
    check_refusal(&create(&admin, "refused").await);
    let not_ready = service.readiness().await.expect_problem(503, "not-ready");
    assert!(not_ready.json()["detail"].as_str().unwrap().contains("log"), "it names the part");
    for answer in send_all_kinds(&admin, &kept.path("")).await {
        check_refusal(&answer);
    }
    for path in ["/api/integrations", "/livez", "/metrics", &kept.path(""), &kept.path("/shares")] {
        admin.get(path).await.expect(200);
    }
    let shown = admin.get("/api/integrations-list").await.expect(200);
    assert_eq!(
        (&shown.body, shown.header("etag")),
        (&list.body, list.header("etag")),
        "nothing is shown that is not done"
    );
    service.readiness().await.expect_problem(503, "not-ready");
    service.limit_files("unlimited");
    let first = create(&admin, "refused").await.expect(201);
    service.readiness().await.expect(200);
    assert_eq!(create(&admin, "refused").await.expect(201).body, first.body);
    admin.get_at("/api/integrations", first.header("integration-position")).await.expect(200);
    service.check_log_and_views().await;
}

#[tokio::test]
async fn it_is_ready_again_by_itself_when_there_is_room() {
    let service = start(tempfile::tempdir().unwrap()).await;
    service.empty_the_wal().await;
    service.limit_files("1");
    check_refusal(&create(&service.admin, "refused").await);
    service.readiness().await.expect_problem(503, "not-ready");
    service.limit_files("unlimited");
    eventually("it is ready", async || service.readiness().await.status == 200).await;
}

#[tokio::test]
async fn a_log_that_fills_the_disk_loses_nothing_that_was_acknowledged_whether_the_service_goes_on_or_ends() {
    let Limited { mut process, admin, directory } = start(tempfile::tempdir().unwrap()).await;
    let (mut acknowledged, mut refused) = (Vec::new(), None);
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &process.id().to_string(), "--fsize=200000:"]);
    assert!(prlimit.status().unwrap().success());
    for number in 0..1_000 {
        let body = json!({ "name": format!("n{number}"), "type": "custom", "data": { "text": "x".repeat(9_000) } });
        let key = format!("key-{number}");
        let request = admin.request("POST", "/api/integrations").header("idempotency-key", &key).json(&body);
        match request.try_send().await {
            Ok(answer) if answer.status == 201 => acknowledged.push(answer),
            other => {
                if let Ok(answer) = other {
                    check_refusal(&answer);
                }
                refused = Some((key, body));
                break;
            }
        }
    }
    assert!(!acknowledged.is_empty());
    let (key, body) = refused.expect("the disk is full some time");
    if admin.request("GET", "/livez").try_send().await.is_ok() {
        process.signal_terminate();
    }
    let ended = process.wait();
    assert!(matches!(ended.status.code(), Some(0 | 1)), "{ended:?}");
    let plain = ended.stderr.lines().filter(|line| serde_json::from_str::<Value>(line).is_err());
    let lines = usize::from(ended.status.code() == Some(1));
    assert_eq!(plain.count(), lines, "one line says why: {}", ended.stderr);
    let service = start(directory).await;
    service.check_log_and_views().await;
    for answer in &acknowledged {
        service.admin.get(answer.header("location")).await.expect(200);
    }
    let again = service.admin.request("POST", "/api/integrations").header("idempotency-key", &key).json(&body);
    let again = again.send().await.expect(201);
    service.admin.get_at(again.header("location"), again.header("integration-position")).await.expect(200);
    let listed = service.admin.get("/api/integrations").await.expect(200).json()["total"].as_u64();
    assert_eq!(listed, Some(acknowledged.len() as u64 + 1));
}
