//! What stands on Kafka, and what does not.

use events::{
    envelope::Digest,
    event::{
        IconRemoved, IconSet, IconType, IntegrationDeleted, IntegrationEvent, IntegrationShared, IntegrationUnshared,
        IntegrationUpdated, OwnershipTransferred, SecretChange, SecretChanges,
    },
    ids::{BlobId, PrincipalId, TagId},
    principal::Level,
    seal::{DataKey, Sealed, Secret, SecretPlace},
    settings::{Change, Changes, Headers},
    stored,
    stream::StreamName,
};
use projector::kafka::document::Document;
use serde_json::json;
use uuid::Uuid;

use super::{
    consumer::{Record, committed},
    log::{Log, TRACEPARENT, key, tenant},
    publisher::{publish, settings},
};
use servers::kafka::Broker;

const CANARIES: [&str; 4] = ["X-Canary-Open", "canary-open-value", "X-Canary-Token", "canary-secret"];

fn principal(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn seal(key: &DataKey, stream: &StreamName, event_type: &str, field: &str) -> Sealed {
    let (_, integration) = stream.integration_of().unwrap();
    let tenant = tenant();
    key.seal(SecretPlace { tenant: &tenant, integration, event_type, field }, &Secret::new("canary-secret".to_owned()))
}

fn headers(names: &[&str]) -> Headers {
    let mut headers = Headers::default();
    names.iter().for_each(|name| headers.set(name, "canary-open-value"));
    headers
}

/// An integration to which everything happens that can, with secrets and headers at each place that may have some.
async fn live(log: &Log) -> (StreamName, Vec<Sealed>) {
    let data_key = DataKey::generate();
    let place = StreamName::integration(&tenant(), Uuid::now_v7().to_string().parse().unwrap());
    let sealed: Vec<_> = ["clientSecret", "apiKey", "headers/x-canary-token"]
        .map(|field| seal(&data_key, &place, stored::INTEGRATION_CREATED, field))
        .to_vec();
    let stream = log
        .create_with("Canary", |created| {
            created.settings.headers = headers(&["X-Canary-Open"]);
            created.secrets.client_secret = Some(sealed[0].clone());
            created.secrets.headers.insert("X-Canary-Token".to_owned(), sealed[2].clone());
        })
        .await;
    let changes = Changes {
        description: Some(Change { from: Some("Für Übung".to_owned()), to: None }),
        headers: Some(Change { from: headers(&["X-Canary-Open"]), to: headers(&["X-Canary-Open", "X-Other"]) }),
        ..Changes::default()
    };
    let mut secrets = SecretChanges {
        client_secret: Some(SecretChange::Cleared),
        api_key: Some(SecretChange::Set(sealed[1].clone())),
        ..SecretChanges::default()
    };
    secrets.headers.insert("X-Canary-Token".to_owned(), SecretChange::Set(sealed[2].clone()));
    let (bob, level) = (principal("bob"), Level::Write);
    let blob = BlobId::new(Uuid::now_v7());
    let media_type = IconType::Png;
    let icon = IconSet { blob, sha256: Digest::of(b"icon"), media_type, size: 4, replaces: None };
    let happened = [
        IntegrationEvent::Updated(Box::new(IntegrationUpdated { changes, secrets })),
        IntegrationEvent::Shared(IntegrationShared { principal: bob.clone(), level, previous: None }),
        IntegrationEvent::Unshared(IntegrationUnshared { principal: bob.clone(), level }),
        IntegrationEvent::OwnershipTransferred(OwnershipTransferred {
            from: principal("alice"),
            to: bob,
            ended_share: None,
        }),
        IntegrationEvent::IconSet(icon),
        IntegrationEvent::IconRemoved(IconRemoved { blob }),
    ];
    for event in &happened {
        log.append(&stream, event).await;
    }
    log.tag(&stream, "blue").await;
    (stream, sealed)
}

async fn delete(log: &Log, stream: &StreamName) {
    let state = log.state(stream).await.unwrap();
    let deleted = IntegrationDeleted {
        owner: state.owner,
        slug: state.slug,
        library: None,
        tags: vec![TagId::parse("blue").unwrap()],
        shares: Default::default(),
        icon: None,
        key: None,
    };
    log.append(stream, &IntegrationEvent::Deleted(deleted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_sealed_or_not_and_no_custom_header_is_in_any_topic() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let (stream, sealed) = live(&log).await;
    delete(&log, &stream).await;
    publish(&log, &settings).await;
    let ciphertexts = sealed.iter().map(|sealed| serde_json::to_value(sealed).unwrap());
    let sealed: Vec<String> = ciphertexts
        .flat_map(|sealed| ["ciphertext", "nonce", "key"].map(|member| sealed[member].as_str().unwrap().to_owned()))
        .collect();
    let private = ["192.0.2.77", "because of a reason"];
    for topic in [settings.events_topic(), settings.state_topic(), settings.checkpoint_topic()] {
        let records = committed(settings.bootstrap_servers(), &topic);
        assert!(!records.is_empty());
        let text: String = records.iter().map(Record::text).collect::<String>().to_lowercase();
        for word in CANARIES.into_iter().chain(private).chain(sealed.iter().map(String::as_str)) {
            assert!(!text.contains(&word.to_lowercase()), "{word} is in {topic}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_is_the_fold_up_to_its_event_and_null_once_it_is_deleted() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let (stream, _) = live(&log).await;
    // Each state by itself, as it was when it was the last.
    let expected = serde_json::to_value(Document::of(&log.state(&stream).await.unwrap())).unwrap();
    let other = log.create("Other").await;
    publish(&log, &settings).await;
    delete(&log, &stream).await;
    publish(&log, &settings).await;
    let records = committed(settings.bootstrap_servers(), &settings.state_topic());
    let of = |stream: &StreamName| records.iter().filter(|record| record.key == key(stream)).collect::<Vec<_>>();
    let states = of(&stream);
    assert_eq!(states.len(), 9, "a creation, seven changes, and the end");
    assert_eq!(states[7].json(), expected);
    assert_eq!((&states[0].json()["tags"], &states[0].json()["hasClientSecret"]), (&json!([]), &json!(true)));
    assert_eq!(states[2].json()["sharing"], json!([{ "principalId": "bob", "accessLevel": 2 }]));
    assert_eq!(states[8].value, None);
    assert_eq!(of(&other)[0].json(), serde_json::to_value(Document::of(&log.state(&other).await.unwrap())).unwrap());
    for (revision, state) in states.iter().enumerate() {
        assert_eq!(state.headers["ce_sequence"], format!("{revision:020}"));
        assert_eq!(state.headers["ce_specversion"], "1.0");
        assert_eq!(state.headers["ce_partitionkey"], key(&stream));
        assert_eq!(state.headers.get("content-type").map(String::as_str), (revision < 8).then_some("application/json"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_the_attributes_of_a_cloud_event_and_says_who_and_in_which_trace() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let (stream, _) = live(&log).await;
    publish(&log, &settings).await;
    let records = committed(settings.bootstrap_servers(), &settings.events_topic());
    let updated = &records[1];
    let (_, id) = stream.integration_of().unwrap();
    let mut event = updated.json();
    assert_eq!(
        (&updated.key, updated.headers["content-type"].as_str()),
        (&key(&stream), "application/cloudevents+json; charset=utf-8")
    );
    let members = event.as_object_mut().unwrap();
    for (made_each_time, example) in
        [("id", "01a20cb8-af5f-7247-90f0-09771fc0c36d"), ("time", "2026-11-24T08:42:39.840Z")]
    {
        assert_eq!(members.remove(made_each_time).unwrap().as_str().unwrap().len(), example.len());
    }
    assert_eq!(
        event,
        json!({
            "specversion": "1.0",
            "source": format!("urn:integrations:acme:{id}"),
            "type": "integrations.IntegrationUpdated.v1",
            "datacontenttype": "application/json",
            "dataschema": "urn:schema:integrations:IntegrationUpdated.v1",
            "subject": id.to_string(),
            "sequence": "00000000000000000001",
            "partitionkey": format!("acme/{id}"),
            "tenant": "acme",
            "actor": "alice",
            "traceparent": TRACEPARENT,
            "data": {
                "changes": { "description": { "from": "Für Übung", "to": null } },
                "secretsChanged": ["clientSecret", "apiKey"],
                "headersChanged": true,
            },
        })
    );
    let partitions: std::collections::BTreeSet<_> = records.iter().map(|record| record.partition).collect();
    assert_eq!(partitions.len(), 1, "an integration's events are in one partition");
}
