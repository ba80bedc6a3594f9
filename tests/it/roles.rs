//! What only roles apart can meet: one of them dies, wakes up late, or has no database.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};
use servers::postgres::Postgres;
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use crate::{
    fold::check_views,
    harness::{Client, Server},
    log,
    options::DATABASE,
    process::{client, eventually},
    service::{Process, binary},
    writers::Writers,
};

mod views;

/// How many views there are, each with a lease of its own.
const VIEWS: usize = 2;
const LIST: &str = "/api/integrations-list";
const WRITERS: usize = 4;
/// Commands that are acknowledged between two faults.
const ACKNOWLEDGED: usize = 100;

/// Checks that the log is whole, and that what is shown is a fold of it.
async fn check(server: &Server) {
    let rows = server.rows();
    log::check_form(&rows);
    log::check_creates_are_whole(&rows);
    let last = rows.iter().filter(|row| row.of("integration").is_some()).map(|row| row.position).max().unwrap();
    server.admin().get_at(LIST, &format!("{last:016x}")).await.expect(200);
    check_views(&server.admin(), "acme", &rows).await;
}

/// How often a line of the logs has this in it.
fn told(server: &Server, what: &str) -> usize {
    server.log().matches(what).count()
}

#[tokio::test]
async fn whichever_role_is_killed_in_the_middle_of_work_the_views_are_a_fold_of_the_log() {
    let mut server = Server::start_alone().await;
    server.own_mut().topology.add_projector();
    for round in 0..6 {
        let (acknowledged, mut answers) = unbounded_channel();
        let writers = Writers::start(&server.alice(), round, WRITERS, &acknowledged);
        for _ in 0..ACKNOWLEDGED + round {
            answers.recv().await.unwrap();
        }
        match round % 3 {
            // The one that works, and then the one that took over.
            0 => {
                server.own_mut().topology.projectors.remove(0).kill();
                server.own_mut().topology.add_projector();
            }
            1 => server.own_mut().topology.query.kill(),
            _ => server.own_mut().topology.command.kill(),
        }
        // Writers end when nobody answers them.
        server.kill();
        let told = writers.ended().await;
        server.restart().await;
        server.own_mut().topology.add_projector();
        check(&server).await;
        let rows = server.rows();
        told.iter().for_each(|told| told.check_commands(&rows));
    }
}

#[tokio::test]
async fn a_projector_takes_over_from_one_that_died_and_reads_go_on_meanwhile() {
    let mut server = Server::start_alone().await;
    server.own_mut().topology.add_projector();
    let alice = server.alice();
    alice.create(json!({ "name": "Before", "type": "slack" })).await;
    server.own_mut().topology.projectors.remove(0).kill();
    let after = alice.create(json!({ "name": "After", "type": "slack" })).await;
    alice.get(LIST).await.expect(200);
    let shown = alice.get_at(LIST, &after.position).await.expect(200);
    assert!(shown.text().contains("After"));
    eventually("the second one tells it", async || told(&server, "feeding the view") == 2 * VIEWS).await;
}

#[tokio::test]
async fn a_projector_that_wakes_up_after_another_took_its_lease_writes_nothing() {
    let mut server = Server::start_alone().await;
    server.own_mut().topology.add_projector();
    let alice = server.alice();
    alice.create(json!({ "name": "Before", "type": "slack" })).await;
    server.topology().projectors[0].signal("STOP");
    let created = alice.create(json!({ "name": "While it slept", "type": "slack" })).await;
    eventually("the other one has the lease", async || told(&server, "feeding the view") == 2 * VIEWS).await;
    alice.get_at(LIST, &created.position).await.expect(200);
    server.topology().projectors[0].signal("CONT");
    eventually("the first one is refused", async || told(&server, "another process feeds the view now") == VIEWS).await;
    let created = alice.create(json!({ "name": "After", "type": "slack" })).await;
    alice.get_at(LIST, &created.position).await.expect(200);
    check(&server).await;
}

#[tokio::test]
async fn with_the_database_away_commands_and_the_tenants_at_hand_go_on_and_all_is_well_when_it_is_back() {
    let postgres = Arc::new(tokio::task::spawn_blocking(Postgres::start).await.unwrap());
    let say = |what: fn(&Postgres)| {
        let postgres = Arc::clone(&postgres);
        tokio::task::spawn_blocking(move || what(&postgres))
    };
    let server = Server::start_with(&[&format!("{DATABASE}{}", postgres.database())]).await;
    let alice = server.alice();
    let before = alice.create(json!({ "name": "Before", "type": "slack" })).await;
    let shown = alice.get_at(LIST, &before.position).await.expect(200);
    say(Postgres::stop).await.unwrap();
    let meanwhile = alice.create(json!({ "name": "Meanwhile", "type": "slack" })).await;
    let held = alice.get(LIST).await.expect(200);
    // It says how old it is.
    for header in ["etag", "integration-position"] {
        assert_eq!(held.header(header), shown.header(header));
    }
    assert_eq!(held.body, shown.body);
    server.other_tenant().get(LIST).await.expect_problem(503, "unavailable").header("retry-after");
    say(Postgres::start_again).await.unwrap();
    let now = alice.get_at(LIST, &meanwhile.position).await.expect(200);
    assert!(now.text().contains("Meanwhile"));
    assert_eq!(server.other_tenant().get(LIST).await.expect(200).text(), "[]");
    check(&server).await;
}

#[tokio::test]
async fn a_role_answers_nothing_of_anothers() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let at = |process: &Process| Client { url: process.url(), metrics: None, ..alice.clone() };
    let (command, query) = (at(&server.topology().command), at(&server.topology().query));
    for path in ["/api/integrations", LIST, "/api/integrations/x", "/api/me"] {
        command.request("GET", path).try_send().await.unwrap().expect_problem(421, "misdirected");
    }
    for (method, path) in
        [("POST", "/api/integrations"), ("PUT", "/api/integrations/x"), ("DELETE", "/api/integrations/x/icon")]
    {
        query.request(method, path).try_send().await.unwrap().expect_problem(421, "misdirected");
    }
    for client in [&command, &query] {
        let refused = client.request("PATCH", "/api/integrations/x").try_send().await.unwrap();
        assert_eq!(refused.expect_problem(405, "method-not-allowed").header("allow"), "PUT,DELETE,GET,HEAD");
        client.request("GET", "/api/nothing").try_send().await.unwrap().expect_problem(404, "not-found");
    }
    let projector = at(&server.topology().projectors[0]);
    projector.request("GET", "/api/integrations").try_send().await.unwrap().expect_problem(404, "not-found");
}

/// Runs `integrations views` on the server's database.
async fn views(server: &Server, arguments: &[&str]) -> (bool, String, String) {
    let mut command = binary();
    command.arg("views").args(arguments).args(["--views", server.topology().database()]);
    if arguments[0] == "rebuild" {
        command.arg("--data-dir").arg(server.data_dir());
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// The generations of a view, each with its state.
async fn generations(server: &Server, view: &str) -> Vec<(i64, String)> {
    let (is_done, json, _) = views(server, &["list", "--json"]).await;
    assert!(is_done);
    let listed: Value = serde_json::from_str(&json).unwrap();
    let told = |one: &Value| (one["generation"].as_i64().unwrap(), one["state"].as_str().unwrap().to_owned());
    listed.as_array().unwrap().iter().filter(|one| one["view"] == view).map(told).collect()
}

/// Reads the list until told to stop: no read fails, and no position goes back. Answers how many reads it were.
async fn read_on(admin: Client, stop: Arc<AtomicBool>) -> usize {
    let (mut last, mut reads) = (String::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let answer = admin.get(LIST).await.expect(200);
        let position = answer.header("integration-position").to_owned();
        assert!(position >= last, "{position} after {last}");
        (last, reads) = (position, reads + 1);
    }
    reads
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_under_load_is_switched_to_without_a_failed_read_or_a_step_back() {
    let mut server = Server::start_alone().await;
    let (acknowledged, mut answers) = unbounded_channel();
    let writers = Writers::start(&server.alice(), 0, WRITERS, &acknowledged);
    for _ in 0..ACKNOWLEDGED {
        answers.recv().await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let reads = tokio::spawn(read_on(server.admin(), Arc::clone(&stop)));
    for round in 1..4 {
        let (is_done, out, err) = views(&server, &["rebuild", "integrations"]).await;
        assert!(is_done && out.ends_with("Switched\n"), "{out}{err}");
        let retired = (1..=round).map(|number| (number, "retired".to_owned()));
        let expected: Vec<_> = retired.chain([(round + 1, "live".to_owned())]).collect();
        assert_eq!(generations(&server, "integrations").await, expected);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reads.await.unwrap() > 0);
    // The projector feeds the new one.
    let created = server.alice().create(json!({ "name": "After", "type": "slack" })).await;
    server.alice().get_at(LIST, &created.position).await.expect(200);
    assert_eq!(views(&server, &["prune"]).await.1, "Removed 3 generation(s)\n");
    assert_eq!(generations(&server, "integrations").await, [(4, "live".to_owned())]);
    server.kill();
    writers.ended().await;
    server.restart().await;
    check(&server).await;
}

#[tokio::test]
async fn a_rebuild_that_finds_a_difference_does_not_switch_and_leaves_nothing() {
    let mut server = Server::start_alone().await;
    let created = server.alice().create(json!({ "name": "Slack", "type": "slack" })).await;
    server.alice().get_at(LIST, &created.position).await.expect(200);
    assert!(server.terminate().success());
    // Somebody meddles with the log: what the view was made of is no longer there.
    let log = rusqlite::Connection::open(server.data_dir().join("events.sqlite")).unwrap();
    let sql = "UPDATE events SET data = replace(data, 'Slack', 'Slick') WHERE type LIKE 'IntegrationCreated%'";
    assert_eq!(log.execute(sql, []).unwrap(), 1);
    drop(log);
    server.restart().await;
    let (is_done, _, err) = views(&server, &["rebuild", "integrations"]).await;
    assert!(!is_done && err.contains(&format!("acme {}", created.id)), "{err}");
    assert_eq!(generations(&server, "integrations").await, [(1, "live".to_owned())]);
    let (is_done, _, err) = views(&server, &["rebuild", "nothing"]).await;
    assert!(!is_done && err.contains("there is no view nothing"), "{err}");
}

#[tokio::test]
async fn a_rebuild_compares_what_is_further_on_in_the_log_than_in_the_live_view() {
    let mut server = Server::start_alone().await;
    let created = server.alice().create(json!({ "name": "Slack", "type": "slack" })).await;
    server.alice().get_at(LIST, &created.position).await.expect(200);
    views::sql(&server, "UPDATE view_integrations_v1_g1 SET document = replace(document, 'Slack', 'Slick')").await;
    // Nobody feeds the live view, and its tenant goes on.
    server.own_mut().topology.projectors.remove(0).kill();
    server.alice().create(json!({ "name": "Drive", "type": "google-drive" })).await;
    let (is_done, _, err) = views(&server, &["rebuild", "integrations"]).await;
    assert!(!is_done && err.contains(&format!("acme {}", created.id)), "{err}");
    views::sql(&server, "UPDATE view_integrations_v1_g1 SET document = replace(document, 'Slick', 'Slack')").await;
    let (is_done, out, err) = views(&server, &["rebuild", "integrations"]).await;
    assert!(is_done && out.ends_with("Switched\n"), "{out}{err}");
    server.own_mut().topology.add_projector();
    let last = server.alice().create(json!({ "name": "Last", "type": "slack" })).await;
    let list = server.alice().get_at(LIST, &last.position).await.expect(200).json();
    assert_eq!(list.as_array().unwrap().len(), 3);
}

/// A copy of the data directory of a service that has stopped.
fn copied(server: &Server, to: &TempDir) -> PathBuf {
    let data_dir = to.path().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    for file in std::fs::read_dir(server.data_dir()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), data_dir.join(file.file_name())).unwrap();
    }
    data_dir
}

#[tokio::test]
async fn an_older_copy_of_the_log_is_not_taken_for_the_one_that_the_views_were_made_of() {
    let mut server = Server::start_alone().await;
    server.alice().create(json!({ "name": "Slack", "type": "slack" })).await;
    assert!(server.terminate().success());
    let older = tempfile::tempdir().unwrap();
    let data_dir = copied(&server, &older);
    server.restart().await;
    let created = server.alice().create(json!({ "name": "Drive", "type": "google-drive" })).await;
    server.alice().get_at(LIST, &created.position).await.expect(200);
    server.own_mut().topology.projectors.remove(0).kill();
    let database = server.topology().database().to_owned();
    let projector = Process::start(&["projector", "--views", &database], &data_dir);
    let refusal = "the log is not the one that the view integrations was made of";
    let told = || std::fs::read_to_string(data_dir.with_extension("log")).unwrap().matches(refusal).count();
    eventually("it says so", async || told() > 0).await;
    let ready = reqwest::get(format!("{}/readyz", projector.url())).await.unwrap();
    let text = ready.text().await.unwrap();
    // It stood by until the other's lease had run out, and was ready for that.
    assert!(text.contains("view integrations: stopped"), "{text}");
    assert_eq!(told(), 1);
    let list = server.alice().get_at(LIST, &created.position).await.expect(200).json();
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_older_copy_of_the_log_that_goes_on_below_the_checkpoint_is_refused_with_its_first_event() {
    let mut server = Server::start_alone().await;
    let mut last = String::new();
    for number in 0..4 {
        let body = json!({ "name": format!("Number {number}"), "type": "slack", "clientSecret": "s" });
        last = server.alice().create(body).await.position;
    }
    server.alice().get_at(LIST, &last).await.expect(200);
    assert!(server.terminate().success());
    let older = tempfile::tempdir().unwrap();
    let data_dir = copied(&server, &older);
    server.restart().await;
    // The view goes on, past nothing but data keys.
    let rotated = binary().args(["keys", "rotate", "--data-dir"]).arg(server.data_dir()).output().unwrap();
    assert!(rotated.status.success(), "{rotated:?}");
    let head = u64::from_str_radix(&last, 16).unwrap() + 4;
    let checkpoint = async || server.topology().projectors[0].metrics().await.value("projection_lag");
    let log = async || server.topology().command.metrics().await.value("log_position");
    eventually("the keys are wrapped anew and passed", async || {
        log().await == Some(head) && checkpoint().await == Some(0)
    })
    .await;
    server.own_mut().topology.projectors.remove(0).kill();
    let command = Process::start(&["command"], &data_dir);
    let alice = client(
        &command.url(),
        &data_dir,
        json!({
            "sub": "alice", "tenant": "acme", "permissions": ["permission.integrations.create"]
        }),
    );
    let database = server.topology().database().to_owned();
    let _projector = Process::start(&["projector", "--views", &database], &data_dir);
    eventually("it can be written", async || alice.get("/readyz").await.status == 200).await;
    alice.post("/api/integrations", json!({ "name": "Lost", "type": "slack" })).await.expect(201);
    let refusal = "the log is not the one that the view integrations was made of";
    let told = || std::fs::read_to_string(data_dir.with_extension("log")).unwrap().matches(refusal).count();
    eventually("it says so", async || told() > 0).await;
    let list = server.alice().get_at(LIST, &last).await.expect(200).json();
    assert_eq!(list.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_rebuild_that_can_read_less_of_a_tenant_than_the_live_view_does_not_switch() {
    let server = Server::start_alone().await;
    let created = server.alice().create(json!({ "name": "Slack", "type": "slack" })).await;
    let share = server.alice().put(&created.path("/shares/bob"), json!({ "accessLevel": 2 })).await.expect(200);
    server.alice().get_at(LIST, share.header("integration-position")).await.expect(200);
    views::rename_share(&server, &created, "IntegrationShared.v1", "Later.v1");
    for view in ["integrations", "access-by-principal"] {
        let (is_done, _, err) = views(&server, &["rebuild", view]).await;
        assert!(!is_done && err.contains("acme (version)"), "{view}: {err}");
    }
}
