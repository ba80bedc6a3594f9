//! What is done with views by hand, each of them: list, rebuild, prune, retry. And what one view is not to the other.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{LIST, check, generations, views};
use crate::{
    harness::{Client, Created, Server},
    process::eventually,
};

const ACCESS: &str = "access-by-principal";
const OF_ALICE: &str = "/api/principals/alice/integrations";
const OF_BOB: &str = "/api/principals/bob/integrations";

/// Does something in the database of the views; answers how many rows it was done to.
pub(super) async fn sql(server: &Server, sql: &str) -> u64 {
    let (client, connection) =
        tokio_postgres::connect(server.topology().database(), tokio_postgres::NoTls).await.unwrap();
    tokio::select! {
        done = client.execute(sql, &[]) => done.unwrap(),
        _ = connection => panic!("the connection ended"),
    }
}

async fn create(client: &Client, name: &str) -> Created {
    client.create(json!({ "name": name, "type": "slack" })).await
}

/// Gives the event by which an integration was shared another type in the log, past the service.
pub(super) fn rename_share(server: &Server, of: &Created, from: &str, to: &str) {
    let log = Connection::open(server.data_dir().join("events.sqlite")).unwrap();
    let sql =
        format!("UPDATE events SET type = '{to}' WHERE stream = 'integration-acme:{}' AND type = '{from}'", of.id);
    assert_eq!(log.execute(&sql, []).unwrap(), 1, "{sql}");
}

/// Takes both views out of the database, as if no projector had ever run.
async fn forget_views(server: &Server) {
    sql(server, "DELETE FROM view_generations").await;
    for view in ["integrations_v1", "access_by_principal_v2"] {
        for part in ["", "_tenants", "_parked"] {
            sql(server, &format!("DROP TABLE view_{view}_g1{part}")).await;
        }
    }
}

/// The value of a metric of the working projector.
async fn metric(server: &Server, name: &str) -> Option<u64> {
    server.topology().projectors[0].metrics().await.value(name)
}

#[tokio::test]
async fn each_view_is_listed_measured_rebuilt_and_pruned_by_itself() {
    let server = Server::start_alone().await;
    let created = create(&server.alice(), "Slack").await;
    for path in [LIST, OF_ALICE] {
        server.alice().get_at(path, &created.position).await.expect(200);
    }
    let (is_done, table, _) = views(&server, &["list"]).await;
    assert!(is_done && table.contains("\nintegrations ") && table.contains(&format!("\n{ACCESS} ")), "{table}");
    let position = u64::from_str_radix(&created.position, 16).unwrap();
    for view in ["integrations", ACCESS] {
        let line = format!("view_checkpoint{{view=\"{view}\"}}");
        assert_eq!(metric(&server, &line).await, Some(position), "{view}");
        let line = format!("view_parked_streams{{view=\"{view}\"}}");
        assert_eq!(metric(&server, &line).await, Some(0), "{view}");
    }
    let (is_done, out, err) = views(&server, &["rebuild", ACCESS]).await;
    assert!(is_done && out.ends_with("Switched\n"), "{out}{err}");
    let live = |number| (number, "live".to_owned());
    assert_eq!(generations(&server, ACCESS).await, [(1, "retired".to_owned()), live(2)]);
    assert_eq!(generations(&server, "integrations").await, [live(1)]);
    let created = create(&server.alice(), "After").await;
    let shown = server.alice().get_at(OF_ALICE, &created.position).await.expect(200).json();
    assert_eq!(shown["total"], 2);
    assert_eq!(views(&server, &["prune"]).await.1, "Removed 1 generation(s)\n");
    check(&server).await;
}

#[tokio::test]
async fn one_view_that_cannot_be_written_is_in_no_others_way() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let before = create(&alice, "Before").await;
    let shared = alice.put(&before.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    let before_at = shared.header("integration-position");
    assert_eq!(server.bob().get_at(OF_BOB, before_at).await.expect(200).json()["total"], 1);
    sql(&server, "ALTER TABLE view_access_by_principal_v2_g1 RENAME TO away").await;
    let meanwhile = create(&alice, "Meanwhile").await;
    alice.get_at(LIST, &meanwhile.position).await.expect(200);
    // It says which state it shows, and what both views know of.
    let held = alice.get(OF_ALICE).await.expect(200);
    assert_eq!((held.json()["total"].clone(), held.header("integration-position")), (json!(1), before_at));
    let never = alice.request("GET", OF_ALICE).header("integration-position", &meanwhile.position);
    never.header("prefer", "wait=0").send().await.expect_problem(503, "not-yet-visible");
    // What one has forgotten the other does not bring back.
    let unshared = alice.delete(&before.path("/shares/bob")).await.expect(204);
    alice.get_at(LIST, unshared.header("integration-position")).await.expect(200);
    assert_eq!(server.bob().get(OF_BOB).await.expect(200).json()["total"], 0);
    let deleted = alice.delete(&before.path("")).await.expect(204);
    alice.get_at(LIST, deleted.header("integration-position")).await.expect(200);
    let lagging = alice.get(OF_ALICE).await.expect(200);
    assert_eq!(lagging.json()["total"], 0);
    sql(&server, "ALTER TABLE away RENAME TO view_access_by_principal_v2_g1").await;
    // The first view has not moved, and the list is another one: so is its tag.
    let whole = alice.get_at(OF_ALICE, deleted.header("integration-position")).await.expect(200);
    assert_eq!(whole.json()["total"], 1);
    assert_ne!(whole.header("etag"), lagging.header("etag"));
    check(&server).await;
}

#[tokio::test]
async fn parked_streams_are_tried_again_by_the_projector_that_runs() {
    let mut server = Server::start_alone().await;
    let alice = server.alice();
    let (mended, other) = (create(&alice, "Mended").await, create(&alice, "Other").await);
    let mut last = String::new();
    for created in [&mended, &other] {
        let share = alice.put(&created.path("/shares/bob"), json!({ "accessLevel": 2 })).await.expect(200);
        share.header("integration-position").clone_into(&mut last);
    }
    assert!(server.terminate().success());
    // Both views begin anew with a log in which two events are of a later release.
    rename_share(&server, &mended, "IntegrationShared.v1", "Later.v1");
    rename_share(&server, &other, "IntegrationShared.v1", "Later.v1");
    forget_views(&server).await;
    server.restart().await;
    assert_eq!(server.admin().get_at(OF_BOB, &last).await.expect(200).json()["total"], 0);
    let parked = |view: &str| format!("view_parked_streams{{view=\"{view}\"}}");
    assert_eq!(metric(&server, &parked(ACCESS)).await, Some(2));
    let stream = |created: &Created| format!("integration-acme:{}", created.id);
    let both = |view: &str, what: [&str; 2]| {
        let mut lines =
            [(&mended, what[0]), (&other, what[1])].map(|(of, what)| format!("{view}: {} {what}\n", stream(of)));
        lines.sort();
        lines.concat()
    };
    let stays = ["stays parked at revision 1"; 2];
    let (is_done, out, err) = views(&server, &["retry"]).await;
    assert!(is_done && out == both("integrations", stays) + &both(ACCESS, stays), "{out}{err}");
    rename_share(&server, &mended, "Later.v1", "IntegrationShared.v1");
    let (is_done, out, err) = views(&server, &["retry", ACCESS]).await;
    assert!(is_done && out == both(ACCESS, ["is taken up", stays[1]]), "{out}{err}");
    assert_eq!(metric(&server, &parked(ACCESS)).await, Some(1));
    // The view that nobody asked for has not taken it up.
    assert_eq!(metric(&server, &parked("integrations")).await, Some(2));
    assert!(views(&server, &["retry", "integrations"]).await.0);
    eventually("bob is told", async || server.admin().get(OF_BOB).await.expect(200).json()["total"] == 1).await;
    server.bob().get(&mended.path("")).await.expect(200);
    server.bob().get(&other.path("")).await.expect(404);
    let (is_done, _, err) = views(&server, &["retry", "nothing"]).await;
    assert!(!is_done && err.contains("there is no view nothing; there is integrations, access-by-principal"), "{err}");
    // The projector goes on with what takes a view's place, on a log where nothing happens too.
    let (is_done, out, err) = views(&server, &["rebuild", "integrations"]).await;
    assert!(is_done && views(&server, &["prune"]).await.0, "{out}{err}");
    rename_share(&server, &other, "Later.v1", "IntegrationShared.v1");
    let (is_done, out, err) = views(&server, &["retry"]).await;
    assert!(
        is_done && out.lines().count() == 2 && out.matches(&format!("{} is taken up", stream(&other))).count() == 2,
        "{out}{err}"
    );
    let (is_done, out, _) = views(&server, &["retry"]).await;
    assert!(is_done && out == format!("integrations: no stream is parked\n{ACCESS}: no stream is parked\n"), "{out}");
}

#[tokio::test]
async fn a_rebuild_that_is_held_back_takes_its_time_and_keeps_its_lease() {
    const EVENTS: u32 = 60;
    let server = Server::start_alone().await;
    let alice = server.alice();
    let mut last = String::new();
    for number in 0..EVENTS {
        last = create(&alice, &format!("Number {number}")).await.position;
    }
    alice.get_at(LIST, &last).await.expect(200);
    let started = Instant::now();
    let rebuild = views(&server, &["rebuild", "integrations", "--rate", "5"]);
    let lease = "UPDATE leases SET holder = holder
                 WHERE name LIKE 'rebuild of view integrations%' AND expires_at > clock_timestamp() + interval '5 seconds'";
    let mut renewed = 0;
    tokio::pin!(rebuild);
    let (is_done, out, err) = loop {
        tokio::select! {
            told = &mut rebuild => break told,
            held = sql(&server, lease) => renewed += usize::from(held == 1 && started.elapsed() > Duration::from_secs(10)),
        }
    };
    assert!(is_done && out.ends_with("Switched\n"), "{out}{err}");
    assert!(started.elapsed() >= Duration::from_secs(u64::from(EVENTS / 5)), "{:?}", started.elapsed());
    assert!(renewed > 0, "a lease of ten seconds was never renewed");
    // What has been done and what is left is told now and then.
    assert!(err.contains("rebuilding: 100 %, 60 events") || err.contains(" s left"), "{err}");
    let (is_done, _, err) = views(&server, &["rebuild", "integrations", "--rate", "0"]).await;
    assert!(!is_done && err.contains("--rate"), "{err}");
}

#[tokio::test]
async fn generations_of_older_releases_are_removed_when_asked_for_and_when_nobody_feeds_them() {
    let server = Server::start_alone().await;
    create(&server.alice(), "Slack").await;
    sql(&server, "INSERT INTO view_generations (view, version, number, state) VALUES ('integrations', 0, 1, 'live')")
        .await;
    for part in ["", "_tenants", "_parked"] {
        sql(&server, &format!("CREATE TABLE view_integrations_v0_g1{part} (LIKE view_integrations_v1_g1{part})")).await;
    }
    let lease = "INSERT INTO leases VALUES ('view integrations version 0', 1, 'an older release', 'infinity')";
    sql(&server, lease).await;
    assert_eq!(views(&server, &["prune"]).await.1, "Removed 0 generation(s)\n");
    assert_eq!(views(&server, &["prune", "--older-versions"]).await.1, "Removed 0 generation(s)\n");
    sql(&server, "UPDATE leases SET expires_at = '-infinity' WHERE holder = 'an older release'").await;
    assert_eq!(views(&server, &["prune"]).await.1, "Removed 0 generation(s)\n");
    assert_eq!(views(&server, &["prune", "--older-versions"]).await.1, "Removed 1 generation(s)\n");
    let (_, json, _) = views(&server, &["list", "--json"]).await;
    let left: Vec<Value> = serde_json::from_str(&json).unwrap();
    let named: Vec<_> = left.iter().map(|one| (one["view"].as_str().unwrap(), one["version"].clone())).collect();
    assert_eq!(named, [(ACCESS, json!(2)), ("integrations", json!(1))]);
}
