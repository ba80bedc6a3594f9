//! What stands beside each event: who did it, when, why and from where.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Created, Request, Server},
    log,
};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The metadata of the last event of an integration.
fn last(server: &Server, created: &Created) -> Value {
    let rows = server.rows();
    log::of_integration(&rows, &created.id).last().unwrap().metadata()
}

async fn slack(client: &Client) -> Created {
    client.create(json!({ "name": "Slack", "type": "slack" })).await
}

#[tokio::test]
async fn each_event_tells_tenant_actor_time_request_trace_and_reason() {
    let server = Server::start_alone().await;
    let created = slack(&server.alice()).await;
    let admin = server.admin();
    let tagged = admin.request("PUT", &created.path("/tags/a")).header("x-request-id", "request-1");
    let tagged = tagged.header("traceparent", TRACE).header("audit-reason", "because of Größe");
    tagged.send().await.expect(200);
    let metadata = last(&server, &created);
    assert_eq!(metadata["tenant"], "acme");
    assert_eq!(metadata["actor"], "root", "who did it, not the owner");
    assert_eq!(metadata["correlationId"], "request-1");
    assert_eq!(metadata["traceparent"], TRACE);
    assert_eq!(metadata["reason"], "because of Größe");
    assert_eq!(metadata["client"], "127.0.0.1");
    let time = metadata["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
    let shown = admin.get_at(&created.path(""), &slack(&server.alice()).await.position).await.expect(200).json();
    assert_eq!(shown["updatedAt"], time);
}

#[tokio::test]
async fn what_was_not_given_is_left_out_and_every_request_has_an_id() {
    let server = Server::start_alone().await;
    let created = slack(&server.alice()).await;
    let metadata = last(&server, &created);
    for name in ["traceparent", "reason", "causationId"] {
        assert!(metadata.get(name).is_none(), "{name} stands in {metadata}");
    }
    let answer = server.alice().put(&created.path("/tags/a"), json!({})).await.expect(200);
    assert_eq!(last(&server, &created)["correlationId"], answer.header("x-request-id"));
}

#[tokio::test]
async fn a_trace_context_that_is_invalid_is_not_kept() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    for (number, trace) in [
        "nonsense",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ]
    .iter()
    .enumerate()
    {
        let path = created.path(&format!("/tags/tag-{number}"));
        alice.request("PUT", &path).header("traceparent", trace).send().await.expect(200);
        assert!(last(&server, &created).get("traceparent").is_none(), "{trace}");
    }
}

#[tokio::test]
async fn the_fingerprint_of_a_create_tells_nothing_of_its_secrets() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let fingerprint = async |key: &str, secret: Option<&str>| {
        let body = json!({ "name": "Slack", "type": "slack", "clientSecret": secret });
        let request = alice.request("POST", "/api/integrations").header("idempotency-key", key).json(&body);
        let id = request.send().await.expect(201).json()["id"].as_str().unwrap().to_owned();
        let rows = server.rows();
        log::of_integration(&rows, &id)[0].metadata()["fingerprint"].clone()
    };
    let (one, same) = (fingerprint("1", Some("a")).await, fingerprint("2", Some("a")).await);
    let (other, none) = (fingerprint("3", Some("b")).await, fingerprint("4", None).await);
    assert_eq!(one["request"], same["request"]);
    assert_eq!(one["request"], other["request"], "each secret is replaced by true");
    assert_ne!(one["request"], none["request"]);
    assert_ne!(one["secrets"], same["secrets"], "under the integration's own key");
    assert!(one["secrets"].is_string() && none.get("secrets").is_none());
}

/// The client's address that stands in the log after a request.
async fn client_of(server: &Server, created: &Created, number: usize, headers: &[(&str, &str)]) -> Value {
    let path = created.path(&format!("/tags/tag-{number}"));
    let request: Request = server.alice().request("PUT", &path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.expect(200);
    last(server, created)["client"].clone()
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_clients_address_is_the_one_that_it_tells() {
    if !crate::topology::IS_ONE_PROCESS {
        // The proxy tells it, and takes nobody else's word.
        return;
    }
    let server = Server::start_with(&["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "127.0.0.1"]).await;
    let created = slack(&server.alice()).await;
    for (number, (headers, expected)) in [
        (&[("x-forwarded-for", "198.51.100.7")][..], "198.51.100.7"),
        (&[("x-forwarded-for", "6.6.6.6, 198.51.100.7")], "198.51.100.7"),
        (&[("x-forwarded-for", "198.51.100.7, 10.1.2.3")], "198.51.100.7"),
        (&[("forwarded", "for=198.51.100.8;proto=https")], "198.51.100.8"),
        (&[("forwarded", "for=\"[2001:db8::1]:4711\"")], "2001:db8::1"),
        (&[("forwarded", "for=6.6.6.6, for=198.51.100.9")], "198.51.100.9"),
        (&[], "127.0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(client_of(&server, &created, number, headers).await, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn nobody_elses_word_on_the_clients_address_is_taken() {
    if !crate::topology::IS_ONE_PROCESS {
        // The proxy tells it, and takes nobody else's word.
        return;
    }
    for options in [&[][..], &["--trusted-proxy", "10.0.0.0/8"]] {
        let server = Server::start_with(options).await;
        let created = slack(&server.alice()).await;
        let headers = [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=198.51.100.8")];
        assert_eq!(client_of(&server, &created, 0, &headers).await, "127.0.0.1");
    }
}
