//! Two command processes over one log on a server: neither knows less than the log, whatever the other did, and whatever
//! becomes of the server.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use peer::Fault;
use serde_json::{Value, json};
use servers::kafka::Broker;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{JoinSet, block_in_place},
};

use crate::{
    harness::{ADMIN, Answer, CREATE, Client, Request, Server},
    log,
    options::KAFKA,
    service::Process,
    topology::PEER_ON_DISK,
    whole::check_all,
};

const WRITERS: usize = 6;
/// Commands that are answered between two faults.
const ANSWERED: usize = 60;

/// The same user, at each of the two.
fn at_each(server: &Server, user: &str, permissions: &[&str]) -> [Client; 2] {
    let client = server.user_with(user, permissions);
    server.topology().commanding().map(|process| Client { url: process.url(), ..client.clone() })
}

/// Sends a command that has to be done.
async fn done(client: &Client, method: &str, path: &str, body: &Value) -> Answer {
    let answer = client.request(method, path).json(body).send().await;
    assert!(matches!(answer.status, 200 | 201 | 204), "{method} {path}: {} {}", answer.status, answer.text());
    answer
}

#[tokio::test]
async fn whoever_asks_at_one_what_was_done_at_the_other_is_told_neither_404_nor_412_nor_403() {
    let server = Server::start().await;
    let (alice, bob) = (at_each(&server, "alice", &[CREATE]), at_each(&server, "bob", &[]));
    let created = alice[0].create(json!({ "name": "Slack", "type": "slack" })).await;
    let mut tag = created.etag.clone();
    for round in 0..20 {
        let (here, there) = (round % 2, (round + 1) % 2);
        let path = if round % 4 < 2 { created.path("") } else { format!("/api/integrations/{}", created.slug) };
        let body = json!({ "description": format!("by {round}") });
        let changed = alice[there].request("PUT", &path).header("if-match", &tag).json(&body).send().await.expect(200);
        changed.header("etag").clone_into(&mut tag);
        // What is shared here is used there, and what is taken there is gone here.
        let share = format!("{path}/shares/bob");
        done(&alice[here], "PUT", &share, &json!({ "accessLevel": 2 })).await;
        let tagged = bob[there].request("PUT", &format!("{path}/tags/t-{round}")).send().await.expect(200);
        done(&alice[there], "DELETE", &share, &json!({})).await;
        bob[here].put(&path, json!({ "description": "mine" })).await.expect_problem(404, "not-found");
        assert!(tagged.text().contains(&format!("t-{round}")));
        let owner = alice[here].request("PUT", &format!("{path}/tags/last")).send().await.expect(200);
        owner.header("etag").clone_into(&mut tag);
    }
}

#[tokio::test]
async fn a_change_is_one_by_the_log_and_not_by_what_a_process_remembers() {
    let server = Server::start_alone().await;
    let alice = at_each(&server, "alice", &[CREATE]);
    let created = alice[0].create(json!({ "name": "Slack", "type": "slack", "description": "old" })).await;
    let path = created.path("");
    // Each has seen one of them last.
    done(&alice[0], "PUT", &path, &json!({ "description": "old" })).await;
    let new = done(&alice[1], "PUT", &path, &json!({ "description": "new" })).await;
    let same = done(&alice[0], "PUT", &path, &json!({ "description": "new" })).await;
    assert_eq!(same.header("etag"), new.header("etag"), "it was so already");
    let old = done(&alice[1], "PUT", &path, &json!({ "description": "old" })).await;
    let again = done(&alice[0], "PUT", &path, &json!({ "description": "new" })).await;
    assert_ne!(old.header("etag"), again.header("etag"), "the last that this one knew was new");
    let rows = server.rows();
    assert_eq!(log::of_integration(&rows, &created.id).len(), 4, "created, new, old, new");
    // What ended there has ended here.
    done(&alice[0], "DELETE", &path, &json!({})).await;
    alice[1].put(&path, json!({ "description": "late" })).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn after_a_delete_at_one_no_secret_is_compared_at_the_other() {
    let server = Server::start_alone().await;
    let alice = at_each(&server, "alice", &[CREATE]);
    let create = async |client: &Client, secret: &str| {
        let body = json!({ "name": "Slack", "type": "slack", "clientSecret": secret });
        client.request("POST", "/api/integrations").header("idempotency-key", "k").json(&body).send().await
    };
    let first = create(&alice[0], "s").await.expect(201);
    // Both have its data key in memory now.
    for client in &alice {
        create(client, "s").await.expect(201);
        create(client, "another").await.expect_problem(422, "key-reused");
    }
    done(&alice[0], "DELETE", first.header("location"), &json!({})).await;
    for client in &alice {
        for secret in ["s", "another"] {
            assert_eq!(create(client, secret).await.expect(201).body, first.body, "the request alone decides");
        }
    }
}

#[tokio::test]
async fn a_slug_means_at_one_what_it_has_come_to_mean_at_the_other() {
    let server = Server::start_alone().await;
    let (alice, admin) = (at_each(&server, "alice", &[CREATE]), at_each(&server, "root", &[ADMIN]));
    let body = json!({ "name": "Drive", "type": "custom" });
    let mut before = alice[0].create(body.clone()).await;
    for round in 0..8 {
        let (here, there) = (round % 2, (round + 1) % 2);
        assert_eq!(before.slug, "drive");
        // Both know who has it.
        for client in &alice {
            done(client, "PUT", "/api/integrations/drive", &json!({ "description": format!("{round}") })).await;
        }
        done(&alice[here], "DELETE", &before.path(""), &json!({})).await;
        let after = alice[here].create(body.clone()).await;
        let invalid = alice[there].put("/api/integrations/drive/tags", json!({ "tags": ["a tag"] })).await;
        invalid.expect_problem(422, "invalid");
        let changed = done(&alice[there], "PUT", "/api/integrations/drive", &json!({ "scope": "all" })).await;
        assert_eq!(changed.json()["id"], after.id.as_str());
        let tagged = admin[there].request("PUT", "/api/integrations/drive/tags/new").send().await.expect(200);
        assert!(tagged.text().contains("new"));
        before = after;
    }
    log::check_form(&server.rows());
}

#[tokio::test]
async fn whoever_gave_an_integration_away_has_the_next_of_its_slug_at_each() {
    let server = Server::start_alone().await;
    let (alice, bob) = (at_each(&server, "alice", &[CREATE]), at_each(&server, "bob", &[]));
    let body = json!({ "name": "Drive", "type": "custom" });
    for round in 0..8 {
        let (here, there) = (round % 2, (round + 1) % 2);
        let before = alice[here].create(body.clone()).await;
        // The last that is known there of who has the slug: somebody else.
        done(&alice[there], "PUT", "/api/integrations/drive/owner", &json!({ "ownerId": "bob" })).await;
        done(&bob[here], "DELETE", &before.path(""), &json!({})).await;
        let after = alice[here].create(body.clone()).await;
        let changed = done(&alice[there], "PUT", "/api/integrations/drive", &json!({ "scope": "all" })).await;
        assert_eq!(changed.json()["id"], after.id.as_str());
        done(&alice[here], "DELETE", &after.path(""), &json!({})).await;
    }
    log::check_form(&server.rows());
}

/// How many lists a process has answered.
async fn lists_answered(server: &Server, process: &Process) -> u64 {
    let at = Client { metrics: Some(process.metrics_url()), ..server.anonymous() };
    let metrics = at.get("/metrics").await.expect(200).text();
    let is_list = |line: &&str| {
        line.starts_with("integrations_request_seconds_count") && line.contains(r#"route="/api/integrations-list""#)
    };
    metrics.lines().filter(is_list).map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn reads_of_one_caller_go_to_one_node_and_those_of_many_to_both() {
    const READS: u64 = 5;
    let server = Server::start_alone().await;
    for user in 0..16 {
        let client = server.user(&format!("user-{user}"));
        for _ in 0..READS {
            client.get("/api/integrations-list").await.expect(200);
        }
    }
    let mut all = 0;
    for process in server.topology().querying() {
        let answered = lists_answered(&server, process).await;
        assert!(answered > 0 && answered.is_multiple_of(READS), "{answered} of one node");
        all += answered;
    }
    assert_eq!(all, 16 * READS);
}

/// Sends a request until the service is there to answer it, the same again.
async fn answered(request: &Request) -> Answer {
    loop {
        match request.clone().try_send().await {
            Ok(answer) if !matches!(answer.status, 502..=504) => return answer,
            _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    }
}

/// Makes integrations and changes them, one after the other, until told to stop; answers the ids by key.
async fn write_on(
    client: Client,
    name: usize,
    count: UnboundedSender<()>,
    stop: Arc<AtomicBool>,
) -> Vec<(String, String)> {
    let mut made = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let key = format!("{name}-{}", made.len());
        // Every third fights for the same slug.
        let title = if made.len() % 3 == 0 { "Same".to_owned() } else { key.clone() };
        let body = json!({ "name": title, "type": "custom", "clientSecret": "s" });
        let create = client.request("POST", "/api/integrations").header("idempotency-key", &key).json(&body);
        let created = answered(&create).await.expect(201);
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/api/integrations/{id}");
        let changes = [
            client.request("PUT", &path).json(&json!({ "description": key })),
            client.request("PUT", &format!("{path}/shares/to-{key}")),
            client.request("PUT", &format!("{path}/tags/{key}")),
        ];
        for change in &changes {
            answered(change).await.expect(200);
            let _ = count.send(());
        }
        made.push((key, id));
    }
    made
}

async fn count_on(answers: &mut UnboundedReceiver<()>) {
    for _ in 0..ANSWERED {
        answers.recv().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_server_what_was_answered_is_in_the_log_and_on_kafka_once() {
    let kafka = block_in_place(Broker::start);
    let server = Server::start_with(&[PEER_ON_DISK, &format!("{KAFKA}{}", kafka.address())]).await;
    let stop = Arc::<AtomicBool>::default();
    let (count, mut answers) = unbounded_channel();
    let mut writers = JoinSet::new();
    for name in 0..WRITERS {
        writers.spawn(write_on(server.alice(), name, count.clone(), Arc::clone(&stop)));
    }
    count_on(&mut answers).await;
    for fault in
        [Fault::Drop, Fault::LoseAnswers(5), Fault::EndSessions, Fault::EndSubscriptions, Fault::LoseAnswers(1)]
    {
        server.topology().peer().fault(&fault);
        count_on(&mut answers).await;
    }
    server.topology().peer().start_again().unwrap();
    count_on(&mut answers).await;
    stop.store(true, Ordering::Relaxed);
    let made: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    let rows = server.rows();
    log::check_form(&rows);
    log::check_creates_are_whole(&rows);
    for (key, id) in &made {
        let names: Vec<_> = log::of_integration(&rows, id).iter().map(|row| row.name().to_owned()).collect();
        let expected = ["IntegrationCreated", "IntegrationUpdated", "IntegrationShared", "TagsSet"];
        assert_eq!(names, expected, "{key}: each command once, however often it was sent");
    }
    let seen = check_all(server.own()).await;
    assert_eq!((&seen["integrations"], &seen["events"]), (&made.len().into(), &(made.len() * 4).into()), "{seen}");
}
