//! `docs/asyncapi.json` and `docs/schemas` against what the publisher makes.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use events::{
    envelope::{Digest, Metadata, RecordedEvent},
    event::IntegrationEvent,
    ids::EventId,
    integration::{Fact, Integration, evolve},
    stored::Store as _,
    stream::StreamName,
};
use jsonschema::Validator;
use projector::kafka::{cloud_event::Told, document::Document, payload};
use proptest::prelude::*;
use serde_json::{Value, json};
use web::representation::{IntegrationDetail, to_flat_json};

use super::generators;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn schema(event_type: &str) -> Value {
    read(&docs().join("schemas").join(event_type.replacen("integrations.", "", 1) + ".json"))
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// What the AsyncAPI initiative's parser makes of the document: nothing against it, and every reference in its place.
pub(crate) fn parsed() -> &'static Value {
    static PARSED: OnceLock<Value> = OnceLock::new();
    PARSED.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("asyncapi");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/asyncapi/fetch.sh");
        let fetch = Command::new("bash").arg(script).arg(&directory).output().unwrap();
        assert!(fetch.status.success(), "{}", String::from_utf8_lossy(&fetch.stderr));
        let check = Command::new("node").arg(directory.join("check.mjs")).arg(docs().join("asyncapi.json")).output();
        let check = check.unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
        serde_json::from_slice(&check.stdout).unwrap()
    })
}

/// The schema of a message's payload, with every reference in its place.
fn message(channel: &str, event_type: &str) -> Value {
    let messages = parsed()["channels"][channel]["messages"].as_object().unwrap();
    let found = messages.values().find(|message| message["name"] == event_type);
    found.unwrap_or_else(|| panic!("{event_type} is not in {channel}"))["payload"].clone()
}

/// An event as it is told; none where `data` has a number that a test cannot hold.
fn told(fact: &Fact, metadata: &Metadata, after: Option<&Integration>) -> Option<Value> {
    let form = fact.event.to_stored();
    let recorded = RecordedEvent {
        position: fact.position,
        stream: StreamName::integration(&fact.tenant, fact.integration),
        revision: fact.revision,
        id: EventId::new(fact.integration.uuid()),
        event_type: form.event_type.to_owned(),
        at: fact.at,
        data: form.data,
        metadata: Default::default(),
        hash: Digest::ZERO,
    };
    let event = Told { recorded: &recorded, fact, metadata }.event(after).unwrap();
    serde_json::from_slice(&event).ok()
}

fn after(fact: &Fact) -> Option<Integration> {
    let IntegrationEvent::Created(_) = fact.event else { return None };
    evolve(None, fact)
}

#[test]
fn the_document_has_nothing_against_it_in_the_initiatives_own_parser() {
    assert_eq!(parsed()["diagnostics"], json!([]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn each_event_is_as_its_schema_and_its_message_say(
        fact in generators::fact(generators::event()), metadata in generators::metadata()
    ) {
        let event = told(&fact, &metadata, after(&fact).as_ref());
        prop_assume!(event.is_some());
        let mut event = event.unwrap();
        let event_type = event["type"].as_str().unwrap().to_owned();
        let of_data = validator(&schema(&event_type));
        let errors: Vec<_> = of_data.iter_errors(&event["data"]).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{errors:?}: {}", event["data"]);
        let of_event = validator(&message("events", &event_type));
        let errors: Vec<_> = of_event.iter_errors(&event).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{errors:?}: {event}");
        // The schemas are closed: what is not described is not there.
        event["data"]["notDescribed"] = json!(1);
        prop_assert!(!of_data.is_valid(&event["data"]) && !of_event.is_valid(&event));
    }

    #[test]
    fn each_state_is_as_its_schema_says_and_as_the_api_shows_it(fact in generators::fact(generators::creation())) {
        let mut integration = evolve(None, &fact).unwrap();
        integration.tags = vec!["b".parse().unwrap(), "a".parse().unwrap()];
        // Verbatim, numbers and the order of members too.
        let (text, data) = (serde_json::to_string(&Document::of(&integration)).unwrap(), integration.settings.data.as_str());
        prop_assert!(text.contains(data), "{data} in {text}");
        let state = serde_json::from_str::<Value>(&text);
        prop_assume!(state.is_ok());
        let state = state.unwrap();
        let of_state = validator(&schema(payload::STATE));
        let errors: Vec<_> = of_state.iter_errors(&state).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{errors:?}: {state}");
        let mut shown = serde_json::to_value(IntegrationDetail::of(&integration)).unwrap();
        let members = shown.as_object_mut().unwrap();
        for member in ["_links", "headers", "secretHeaders"] {
            members.remove(member);
        }
        let flat: Value = serde_json::from_slice(&to_flat_json(&[&integration])).unwrap();
        members.extend(["tags", "sharing"].map(|member| (member.to_owned(), flat[0][member].clone())));
        prop_assert_eq!(&state, &shown);
    }
}

#[test]
fn each_type_has_its_schema_and_no_schema_is_without_a_type() {
    let files: BTreeSet<_> = std::fs::read_dir(docs().join("schemas"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let messages: BTreeSet<_> = ["events", "state"]
        .into_iter()
        .flat_map(|channel| parsed()["channels"][channel]["messages"].as_object().unwrap().values())
        .map(|message| message["name"].as_str().unwrap().split(' ').next().unwrap().to_owned())
        .collect();
    let named: BTreeSet<_> = messages.iter().map(|name| name.replacen("integrations.", "", 1) + ".json").collect();
    assert_eq!(files, named);
    for name in messages {
        assert_eq!(schema(&name)["$id"], payload::schema(&name));
    }
}
