//! What is written by hand is what the types say.

use std::collections::BTreeMap;

use events::{
    envelope::Digest,
    event::{IntegrationCreated, IntegrationEvent, Secrets},
    ids::{LibraryId, Position, PrincipalId, Revision, Slug, TenantId},
    integration::{Fact, Share, evolve},
    principal::Level,
};
use proptest::prelude::*;

use super::*;

impl<'a> FlatIntegration<'a> {
    /// Shows an integration in the flat list.
    #[must_use]
    pub fn of(integration: &'a Integration) -> Self {
        let settings = &integration.settings;
        let grant = |(id, share): (&'a PrincipalId, &Share)| Grant {
            principal_id: id.as_str(),
            access_level: share.level.into(),
        };
        Self {
            id: integration.id,
            name: &settings.name,
            slug: integration.slug.as_str(),
            r#type: &settings.r#type,
            category: settings.category.as_deref(),
            description: settings.description.as_deref(),
            mode: settings.mode.as_str(),
            auth_type: settings.auth_type.as_str(),
            owner_id: integration.owner.as_str(),
            embedded: integration.library.is_some(),
            shared: !integration.shares.is_empty(),
            tags: &integration.tags,
            sharing: integration.shares.iter().map(grant).collect(),
        }
    }
}

fn integration(name: &str, category: Option<&str>, description: Option<&str>, is_embedded: bool) -> Integration {
    let settings = serde_json::json!({
        "name": name, "type": "google-drive", "mode": "shared", "authType": "apikey", "data": {},
        "supportsUpload": true, "category": category, "description": description,
    });
    let created = IntegrationCreated {
        slug: Slug::parse("a-slug").expect("valid"),
        owner: PrincipalId::parse(format!("team:{name}")).expect("valid"),
        library: is_embedded.then(|| LibraryId::parse("lib").expect("valid")),
        settings: serde_json::from_str(&settings.to_string()).expect("valid"),
        secrets: Secrets::default(),
    };
    let fact = Fact {
        tenant: TenantId::parse("acme").expect("valid"),
        integration: "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b".parse().expect("valid"),
        position: Position::new(1),
        revision: Revision::FIRST,
        at: serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").expect("valid"),
        hash: Digest::ZERO,
        event: IntegrationEvent::Created(Box::new(created)),
    };
    evolve(None, &fact).expect("it was created")
}

const TEXT: &str = "[a-zA-Z \"\\\\/<>\u{e4}\u{1f389}\t\n]{1,12}";

fn integrations() -> impl Strategy<Value = Integration> {
    let texts = ("[a-z\"\\\\\u{e4}]{1,8}", proptest::option::of(TEXT), proptest::option::of(TEXT));
    let shares = proptest::collection::btree_map("[a-z\"\\\\]{1,4}", 1..=3_u8, 0..3);
    let tags = proptest::collection::vec("[a-z:.]{1,4}", 0..3);
    (texts, any::<bool>(), shares, tags).prop_map(|((name, category, description), is_embedded, shares, tags)| {
        let mut one = integration(&name, category.as_deref(), description.as_deref(), is_embedded);
        let at = one.created_at;
        let share = |level: u8| Share { level: Level::try_from(level).expect("valid"), created_at: at, updated_at: at };
        let shares = shares.into_iter().map(|(who, level)| (PrincipalId::parse(who).expect("valid"), share(level)));
        one.shares = shares.collect::<BTreeMap<_, _>>();
        one.tags = tags.into_iter().map(|tag| TagId::parse(tag).expect("valid")).collect();
        one
    })
}

proptest! {
    #[test]
    fn a_list_is_what_the_types_say(all in proptest::collection::vec(integrations(), 0..4)) {
        let expected = super::super::to_json(&all.iter().map(FlatIntegration::of).collect::<Vec<_>>());
        prop_assert_eq!(String::from_utf8(to_flat_json(&all)), String::from_utf8(expected));
    }
}
