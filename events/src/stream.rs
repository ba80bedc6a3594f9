//! The names of streams: `<kind>-<tenant>:<rest>`.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{BlobId, IntegrationId, Slug, TenantId};

/// A text is not a stream's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not the name of a stream that this release knows")]
pub struct UnknownStream;

/// What a stream holds, told by the prefix of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `integration-<tenant>:<uuid>`: the changes of one integration, hash-chained, and nothing else.
    Integration,
    /// `slug-<tenant>:<slug>`: reservations; the last one names the holder.
    Slug,
    /// `key-<tenant>:<uuid>`: an integration's wrapped data key; keeps its last event only.
    Key,
    /// `icon-<tenant>:<uuid>:<blob uuid>`: the bytes of one upload.
    Icon,
    /// `janitor-checkpoint`: how far the janitor has come; keeps its last event only.
    JanitorCheckpoint,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Integration, Self::Slug, Self::Key, Self::Icon, Self::JanitorCheckpoint];

    /// What every name of a stream of this kind begins with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Integration => "integration-",
            Self::Slug => "slug-",
            Self::Key => "key-",
            Self::Icon => "icon-",
            Self::JanitorCheckpoint => "janitor-checkpoint",
        }
    }

    /// The kind of a stream of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| name.starts_with(kind.prefix()))
    }

    /// Whether a stream of this kind keeps its last event only (EventStoreDB: `$maxCount` 1).
    #[must_use]
    pub fn keeps_last_only(self) -> bool {
        match self {
            Self::Key | Self::JanitorCheckpoint => true,
            Self::Integration | Self::Slug | Self::Icon => false,
        }
    }

    /// Whether streams of this kind are removed, or lose older events, in the course of things. A reader of the whole
    /// log never sees what was removed from them; of streams of other kinds he may, until the store is cleaned.
    #[must_use]
    pub fn is_removable(self) -> bool {
        match self {
            Self::Key | Self::Icon | Self::JanitorCheckpoint => true,
            Self::Integration | Self::Slug => false,
        }
    }

    /// Whether each event's hash covers that of the one before it.
    #[must_use]
    pub fn is_chained(self) -> bool {
        match self {
            Self::Integration => true,
            Self::Slug | Self::Key | Self::Icon | Self::JanitorCheckpoint => false,
        }
    }

    /// Whether an export of the log holds streams of this kind: what a follower has done is done anew elsewhere.
    #[must_use]
    pub fn is_exported(self) -> bool {
        match self {
            Self::JanitorCheckpoint => false,
            Self::Integration | Self::Slug | Self::Key | Self::Icon => true,
        }
    }

    /// Whether the data of its events is raw bytes, not JSON text.
    #[must_use]
    pub fn holds_bytes(self) -> bool {
        match self {
            Self::Icon => true,
            Self::Integration | Self::Slug | Self::Key | Self::JanitorCheckpoint => false,
        }
    }
}

/// A stream's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// The stream of an integration's changes.
    #[must_use]
    pub fn integration(tenant: &TenantId, id: IntegrationId) -> Self {
        Self::of(Kind::Integration, format_args!("{tenant}:{id}"))
    }

    /// The stream of a slug's reservations.
    #[must_use]
    pub fn slug(tenant: &TenantId, slug: &Slug) -> Self {
        Self::of(Kind::Slug, format_args!("{tenant}:{slug}"))
    }

    /// The stream of an integration's data key.
    #[must_use]
    pub fn key(tenant: &TenantId, id: IntegrationId) -> Self {
        Self::of(Kind::Key, format_args!("{tenant}:{id}"))
    }

    /// The stream of an uploaded icon.
    #[must_use]
    pub fn icon(tenant: &TenantId, id: IntegrationId, blob: BlobId) -> Self {
        Self::of(Kind::Icon, format_args!("{tenant}:{id}:{blob}"))
    }

    /// The stream of the janitor's checkpoint.
    #[must_use]
    pub fn janitor_checkpoint() -> Self {
        Self::of(Kind::JanitorCheckpoint, format_args!(""))
    }

    fn of(kind: Kind, rest: fmt::Arguments<'_>) -> Self {
        Self(format!("{}{rest}", kind.prefix()).into())
    }

    /// Takes a name as it is stored.
    ///
    /// # Errors
    /// [`UnknownStream`] when no kind of this release has it.
    pub fn parse(name: &str) -> Result<Self, UnknownStream> {
        Kind::of(name).map(|_| Self(name.into())).ok_or(UnknownStream)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of(&self.0).expect("every way to make a name checks its kind")
    }

    /// Tenant and integration, when it is the stream of an integration or of its key.
    #[must_use]
    pub fn integration_of(&self) -> Option<(TenantId, IntegrationId)> {
        let (tenant, id) = self.0.strip_prefix(self.kind().prefix())?.split_once(':')?;
        Some((tenant.parse().ok()?, id.parse().ok()?))
    }
}

impl TryFrom<String> for StreamName {
    type Error = UnknownStream;
    fn try_from(name: String) -> Result<Self, UnknownStream> {
        Self::parse(&name)
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_kind_its_tenant_and_its_integration() {
        let id: IntegrationId = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b".parse().expect("a UUID");
        let tenants = ["a", "a-b", "a.b", "integration-a"];
        for tenant in tenants.map(|tenant| TenantId::parse(tenant).expect("valid")) {
            let name = StreamName::integration(&tenant, id);
            assert_eq!(name.as_str(), format!("integration-{tenant}:{id}"));
            assert_eq!(StreamName::parse(name.as_str()), Ok(name.clone()));
            assert_eq!(name.integration_of(), Some((tenant, id)));
        }
        assert_eq!(StreamName::parse("other-a:b"), Err(UnknownStream));
    }
}
