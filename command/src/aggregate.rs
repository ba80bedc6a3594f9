//! An integration as deciding sees it: its lives, around the public state, with what only deciding needs.

use std::collections::BTreeMap;

use events::{
    event::{IntegrationCreated, IntegrationEvent, IntegrationUpdated, SecretChange},
    ids::KeyId,
    integration::{self, Fact, Integration, LastEvent},
    settings::Settings,
    uri::{HttpUri, Origin},
};

/// The lives of an integration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Aggregate {
    /// Nothing has happened under this id.
    #[default]
    Absent,
    /// It is there.
    Live(Box<Live>),
    /// It ended; nothing follows.
    Deleted(LastEvent),
}

/// An integration that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// What everybody who may read can know.
    pub integration: Integration,
    /// The data key that its secrets are sealed with, if it ever had one.
    pub key: Option<KeyId>,
    /// The origins that each stored secret was given for.
    pub origins: SecretOrigins,
}

/// The origins that each stored secret was given for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretOrigins {
    /// Of the OAuth client secret, if there is one.
    pub client_secret: Option<Origins>,
    /// Of the API key, if there is one.
    pub api_key: Option<Origins>,
    /// Of the secret headers, by lower-case name.
    pub headers: BTreeMap<String, Origins>,
}

/// The origins of the four URIs that secrets are sent to; `None` where there was no URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// Of `authUri`.
    pub auth_uri: Option<Origin>,
    /// Of `tokenUri`.
    pub token_uri: Option<Origin>,
    /// Of `revocationUri`.
    pub revocation_uri: Option<Origin>,
    /// Of `apiBaseUri`.
    pub api_base_uri: Option<Origin>,
}

impl Origins {
    /// Those in effect with these settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let origin = |uri: &Option<HttpUri>| uri.as_ref().map(|uri| uri.origin());
        Self {
            auth_uri: origin(&settings.auth_uri),
            token_uri: origin(&settings.token_uri),
            revocation_uri: origin(&settings.revocation_uri),
            api_base_uri: origin(&settings.api_base_uri),
        }
    }
}

impl Aggregate {
    /// The event that this state is of; `None` before the first.
    #[must_use]
    pub fn last(&self) -> Option<&LastEvent> {
        match self {
            Self::Absent => None,
            Self::Live(live) => Some(&live.integration.last),
            Self::Deleted(last) => Some(last),
        }
    }
}

/// The state after a fact.
#[must_use]
pub fn evolve(state: Aggregate, fact: &Fact) -> Aggregate {
    let (integration, key, origins) = match state {
        Aggregate::Absent => (None, None, SecretOrigins::default()),
        Aggregate::Live(live) => (Some(live.integration), live.key, live.origins),
        Aggregate::Deleted(last) => return Aggregate::Deleted(last),
    };
    let Some(integration) = integration::evolve(integration, fact) else {
        return Aggregate::Deleted(fact.into());
    };
    let mut live = Live { integration, key, origins };
    match &fact.event {
        IntegrationEvent::Created(created) => remember_created(&mut live, created),
        IntegrationEvent::Updated(updated) => remember_updated(&mut live, updated),
        IntegrationEvent::Deleted(_)
        | IntegrationEvent::Shared(_)
        | IntegrationEvent::Unshared(_)
        | IntegrationEvent::OwnershipTransferred(_)
        | IntegrationEvent::TagsSet(_)
        | IntegrationEvent::IconSet(_)
        | IntegrationEvent::IconRemoved(_) => {}
    }
    Aggregate::Live(Box::new(live))
}

fn remember_created(live: &mut Live, created: &IntegrationCreated) {
    let now = Origins::of(&live.integration.settings);
    live.key = created.secrets.key();
    live.origins = SecretOrigins {
        client_secret: created.secrets.client_secret.as_ref().map(|_| now.clone()),
        api_key: created.secrets.api_key.as_ref().map(|_| now.clone()),
        headers: created.secrets.headers.keys().map(|name| (name.to_ascii_lowercase(), now.clone())).collect(),
    };
}

fn remember_updated(live: &mut Live, updated: &IntegrationUpdated) {
    let now = Origins::of(&live.integration.settings);
    let remembered = |change: &SecretChange| match change {
        SecretChange::Set(_) => Some(now.clone()),
        SecretChange::Cleared => None,
    };
    live.key = updated.secrets.key().or(live.key);
    if let Some(change) = &updated.secrets.client_secret {
        live.origins.client_secret = remembered(change);
    }
    if let Some(change) = &updated.secrets.api_key {
        live.origins.api_key = remembered(change);
    }
    for (name, change) in &updated.secrets.headers {
        let name = name.to_ascii_lowercase();
        match remembered(change) {
            Some(origins) => live.origins.headers.insert(name, origins),
            None => live.origins.headers.remove(&name),
        };
    }
}
