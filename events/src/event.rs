//! The facts, in their current shape. How each is stored, and what older releases stored, is in [`crate::stored`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    envelope::Digest,
    ids::{BlobId, IntegrationId, KeyId, LibraryId, Position, PrincipalId, Slug, TagId},
    principal::Level,
    seal::{Sealed, WrappedKey},
    settings::{Changes, Settings},
};

/// What happened to an integration. Every change of it is one of these, and nothing else is in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntegrationEvent {
    /// It was made.
    Created(Box<IntegrationCreated>),
    /// Settings or secrets changed.
    Updated(Box<IntegrationUpdated>),
    /// It ended, with everything that belonged to it. Nothing follows.
    Deleted(IntegrationDeleted),
    /// A principal was given a level, or another level.
    Shared(IntegrationShared),
    /// A share ended.
    Unshared(IntegrationUnshared),
    /// It has another owner.
    OwnershipTransferred(OwnershipTransferred),
    /// Its tags changed.
    TagsSet(TagsSet),
    /// An icon was uploaded.
    IconSet(IconSet),
    /// Its icon was removed.
    IconRemoved(IconRemoved),
}

/// An integration was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationCreated {
    /// Chosen once, never recomputed.
    pub slug: Slug,
    /// The caller.
    pub owner: PrincipalId,
    /// The library that it is embedded in, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<LibraryId>,
    /// Its settings, with what the catalogue contributed.
    pub settings: Settings,
    /// Its secrets.
    #[serde(default, skip_serializing_if = "Secrets::is_empty")]
    pub secrets: Secrets,
}

/// The sealed secrets of a new integration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secrets {
    /// OAuth client secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Sealed>,
    /// API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Sealed>,
    /// Secret headers by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Sealed>,
}

impl Secrets {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.client_secret.is_none() && self.api_key.is_none() && self.headers.is_empty()
    }

    /// The data key that seals them, if there are any.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        [&self.client_secret, &self.api_key].into_iter().flatten().chain(self.headers.values()).map(Sealed::key).next()
    }
}

/// Settings or secrets changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationUpdated {
    /// Each changed setting, before and after.
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub changes: Changes,
    /// Each secret that was set or cleared.
    #[serde(default, skip_serializing_if = "SecretChanges::is_empty")]
    pub secrets: SecretChanges,
}

/// Which secrets changed, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretChanges {
    /// OAuth client secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretChange>,
    /// API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretChange>,
    /// Secret headers by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, SecretChange>,
}

impl SecretChanges {
    /// Whether no secret changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.client_secret.is_none() && self.api_key.is_none() && self.headers.is_empty()
    }

    /// The data key that seals the new ones, if there are any.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        [&self.client_secret, &self.api_key].into_iter().flatten().chain(self.headers.values()).find_map(|change| {
            match change {
                SecretChange::Set(sealed) => Some(sealed.key()),
                SecretChange::Cleared => None,
            }
        })
    }
}

/// A secret was given, or taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretChange {
    /// It was given: whether it is another than before, the log does not tell.
    Set(Sealed),
    /// It was taken away.
    Cleared,
}

/// An integration ended: what it held, so that a reader can act on this alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationDeleted {
    /// Who owned it.
    pub owner: PrincipalId,
    /// The slug, free again.
    pub slug: Slug,
    /// The library that it was embedded in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<LibraryId>,
    /// The tags that end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagId>,
    /// The shares that end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<PrincipalId, Level>,
    /// The icon's blob, to be destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<BlobId>,
    /// The data key, to be destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
}

/// A principal was given a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationShared {
    /// With whom.
    pub principal: PrincipalId,
    /// What he may do now.
    pub level: Level,
    /// What he might do before, if it was shared with him already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Level>,
}

/// A share ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationUnshared {
    /// With whom it was shared.
    pub principal: PrincipalId,
    /// What he might do.
    pub level: Level,
}

/// An integration has another owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnershipTransferred {
    /// The old owner, who keeps nothing.
    pub from: PrincipalId,
    /// The new owner.
    pub to: PrincipalId,
    /// The new owner's share, which ends with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_share: Option<Level>,
}

/// Tags changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagsSet {
    /// All tags now, in the order given.
    pub tags: Vec<TagId>,
    /// Those that are new.
    pub added: Vec<TagId>,
    /// Those that are gone.
    pub removed: Vec<TagId>,
}

/// An icon was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IconSet {
    /// The last part of the name of the stream that holds the bytes.
    pub blob: BlobId,
    /// SHA-256 of the bytes.
    pub sha256: Digest,
    /// What the bytes are.
    pub media_type: IconType,
    /// How many bytes.
    pub size: u64,
    /// The blob that this one replaces, to be destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<BlobId>,
}

/// What an icon can be, told by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IconType {
    /// Portable Network Graphics.
    #[serde(rename = "image/png")]
    Png,
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// Graphics Interchange Format.
    #[serde(rename = "image/gif")]
    Gif,
    /// WebP.
    #[serde(rename = "image/webp")]
    Webp,
    /// Scalable Vector Graphics.
    #[serde(rename = "image/svg+xml")]
    Svg,
}

impl IconType {
    /// The media type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// The icon was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IconRemoved {
    /// Its blob, to be destroyed.
    pub blob: BlobId,
}

/// A slug was given to an integration. The last one in a slug's stream names its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlugReserved {
    /// The holder.
    pub integration: IntegrationId,
}

/// An integration's data key, wrapped by a master key. Its stream keeps the last only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataKeyWrapped {
    /// The wrapped key.
    pub wrapped: WrappedKey,
}

/// How far a follower of the log has come. Its stream keeps the last only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointReached {
    /// Everything up to here is done.
    pub position: Position,
}
