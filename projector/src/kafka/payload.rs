//! What an event tells to everybody: its facts without anything of secrets and of custom headers but that they changed.
//! `docs/schemas` describes each; a test at the root holds the two together.

use events::{
    event::{IntegrationDeleted, IntegrationEvent, IntegrationUpdated, SecretChanges},
    ids::TagId,
    integration::Integration,
    settings::Changes,
};
use serde::Serialize;

use super::document::{Document, Grant};

/// The type of the state of an integration, as the state topic has it.
pub const STATE: &str = "integrations.IntegrationState.v1";

/// The type that an event is published under. Its version is that of the published form, not of the stored one.
#[must_use]
pub fn event_type(event: &IntegrationEvent) -> &'static str {
    match event {
        IntegrationEvent::Created(_) => "integrations.IntegrationCreated.v1",
        IntegrationEvent::Updated(_) => "integrations.IntegrationUpdated.v1",
        IntegrationEvent::Deleted(_) => "integrations.IntegrationDeleted.v1",
        IntegrationEvent::Shared(_) => "integrations.IntegrationShared.v1",
        IntegrationEvent::Unshared(_) => "integrations.IntegrationUnshared.v1",
        IntegrationEvent::OwnershipTransferred(_) => "integrations.OwnershipTransferred.v1",
        IntegrationEvent::TagsSet(_) => "integrations.TagsSet.v1",
        IntegrationEvent::IconSet(_) => "integrations.IconSet.v1",
        IntegrationEvent::IconRemoved(_) => "integrations.IconRemoved.v1",
    }
}

/// The schema that the data of a type keeps to: the name of its file in `docs/schemas`, as a URN.
#[must_use]
pub fn schema(event_type: &str) -> String {
    ["urn:schema:integrations:", event_type.trim_start_matches("integrations.")].concat()
}

/// An event's data.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Payload<'a> {
    /// The integration as it was made.
    Created(Box<Document<'a>>),
    /// What changed.
    Updated(Box<Updated<'a>>),
    /// What ended.
    #[serde(rename_all = "camelCase")]
    Deleted {
        /// The owner.
        owner_id: &'a str,
        /// The slug, free again.
        slug: &'a str,
        /// The library that it was embedded in.
        #[serde(skip_serializing_if = "Option::is_none")]
        library_id: Option<&'a str>,
        /// The tags that end.
        tags: &'a [TagId],
        /// The shares that end.
        sharing: Vec<Grant<'a>>,
    },
    /// A principal's level.
    #[serde(rename_all = "camelCase")]
    Shared {
        /// The user or team.
        principal_id: &'a str,
        /// What he may do now.
        access_level: u8,
        /// What he might do before.
        #[serde(skip_serializing_if = "Option::is_none")]
        previous_access_level: Option<u8>,
    },
    /// A share that ended.
    #[serde(rename_all = "camelCase")]
    Unshared {
        /// The user or team.
        principal_id: &'a str,
        /// What he might do.
        access_level: u8,
    },
    /// Another owner.
    #[serde(rename_all = "camelCase")]
    OwnershipTransferred {
        /// The new owner.
        owner_id: &'a str,
        /// The old one.
        previous_owner_id: &'a str,
        /// The level of the new owner's share, which ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        ended_access_level: Option<u8>,
    },
    /// Other tags.
    TagsSet {
        /// All of them, in the order given.
        tags: &'a [TagId],
        /// Those that are new.
        added: &'a [TagId],
        /// Those that are gone.
        removed: &'a [TagId],
    },
    /// An icon.
    #[serde(rename_all = "camelCase")]
    IconSet {
        /// What its bytes are.
        media_type: &'static str,
        /// How many.
        size: u64,
        /// Their SHA-256.
        sha256: String,
    },
    /// Nothing but that it is gone.
    IconRemoved {},
}

/// What an update changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Updated<'a> {
    changes: Changes,
    secrets_changed: Vec<&'a str>,
    headers_changed: bool,
}

impl<'a> Payload<'a> {
    /// What an event tells, which leaves the integration in a state: none before its creation and after its end.
    #[must_use]
    pub fn of(event: &'a IntegrationEvent, after: Option<&'a Integration>) -> Option<Self> {
        Some(match event {
            IntegrationEvent::Created(_) => Self::Created(Box::new(Document::of(after?))),
            IntegrationEvent::Updated(updated) => Self::Updated(Box::new(Updated::of(updated))),
            IntegrationEvent::Deleted(deleted) => Self::deleted(deleted),
            IntegrationEvent::Shared(shared) => Self::Shared {
                principal_id: shared.principal.as_str(),
                access_level: shared.level.into(),
                previous_access_level: shared.previous.map(Into::into),
            },
            IntegrationEvent::Unshared(unshared) => {
                Self::Unshared { principal_id: unshared.principal.as_str(), access_level: unshared.level.into() }
            }
            IntegrationEvent::OwnershipTransferred(transfer) => Self::OwnershipTransferred {
                owner_id: transfer.to.as_str(),
                previous_owner_id: transfer.from.as_str(),
                ended_access_level: transfer.ended_share.map(Into::into),
            },
            IntegrationEvent::TagsSet(set) => {
                Self::TagsSet { tags: &set.tags, added: &set.added, removed: &set.removed }
            }
            IntegrationEvent::IconSet(icon) => {
                let (media_type, sha256) = (icon.media_type.as_str(), icon.sha256.to_string());
                Self::IconSet { media_type, size: icon.size, sha256 }
            }
            IntegrationEvent::IconRemoved(_) => Self::IconRemoved {},
        })
    }

    fn deleted(deleted: &'a IntegrationDeleted) -> Self {
        let shares = deleted.shares.iter();
        Self::Deleted {
            owner_id: deleted.owner.as_str(),
            slug: deleted.slug.as_str(),
            library_id: deleted.library.as_ref().map(|library| library.as_str()),
            tags: &deleted.tags,
            sharing: shares.map(|(principal, level)| Grant::of(principal.as_str(), *level)).collect(),
        }
    }
}

impl Updated<'_> {
    fn of(updated: &IntegrationUpdated) -> Self {
        let SecretChanges { client_secret, api_key, headers } = &updated.secrets;
        let secrets = [("clientSecret", client_secret), ("apiKey", api_key)];
        let headers_changed = updated.changes.headers.is_some() || !headers.is_empty();
        Self {
            changes: Changes { headers: None, ..updated.changes.clone() },
            secrets_changed: secrets.into_iter().filter(|(_, change)| change.is_some()).map(|(name, _)| name).collect(),
            headers_changed,
        }
    }
}
