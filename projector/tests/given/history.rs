//! Names and events that tests of views are made of.

use std::collections::BTreeMap;

use events::{
    event::{IntegrationCreated, IntegrationDeleted, IntegrationEvent, IntegrationShared, Secrets},
    ids::{IntegrationId, PrincipalId, Slug, TenantId},
    principal::Level,
    settings::{AuthType, Data, Headers, Mode, Settings},
};

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn principal(id: &str) -> PrincipalId {
    PrincipalId::parse(id).unwrap()
}

/// An id; those of greater numbers are greater.
pub(crate) fn integration(number: usize) -> IntegrationId {
    IntegrationId::parse(&format!("0190a5d0-7c3e-7b7a-9f0e-{number:012x}")).unwrap()
}

pub(crate) fn created(owner: &str, slug: &str) -> IntegrationEvent {
    let settings = Settings {
        name: slug.to_owned(),
        r#type: "custom".to_owned(),
        category: None,
        description: None,
        mode: Mode::PerUser,
        auth_type: AuthType::Oauth2,
        scope: None,
        auth_uri: None,
        token_uri: None,
        revocation_uri: None,
        api_base_uri: None,
        client_id: None,
        basic_token_auth: None,
        api_key_location: None,
        api_key_name: None,
        image_url: None,
        headers: Headers::default(),
        data: Data::default(),
        supports_upload: false,
    };
    let (owner, slug) = (principal(owner), Slug::parse(slug).unwrap());
    IntegrationEvent::Created(Box::new(IntegrationCreated {
        slug,
        owner,
        library: None,
        settings,
        secrets: Secrets::default(),
    }))
}

pub(crate) fn shared(with: &str, level: Level) -> IntegrationEvent {
    IntegrationEvent::Shared(IntegrationShared { principal: principal(with), level, previous: None })
}

pub(crate) fn deleted(owner: &str, slug: &str, shares: &[(&str, Level)]) -> IntegrationEvent {
    IntegrationEvent::Deleted(IntegrationDeleted {
        owner: principal(owner),
        slug: Slug::parse(slug).unwrap(),
        library: None,
        tags: Vec::new(),
        shares: shares.iter().map(|(id, level)| (principal(id), *level)).collect::<BTreeMap<_, _>>(),
        icon: None,
        key: None,
    })
}
