//! How events are stored: type name with version, JSON, and the upcasting of what older releases wrote. The only place
//! where events meet serde_json.
//!
//! A type name is `<Name>.v<version>`. A version that was ever stored is read for ever; only the newest is written.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{
    envelope::{Metadata, RecordedEvent},
    event::{
        CheckpointReached, DataKeyWrapped, IconRemoved, IconSet, IntegrationCreated, IntegrationDeleted,
        IntegrationEvent, IntegrationShared, IntegrationUnshared, OwnershipTransferred, Secrets, SlugReserved, TagsSet,
    },
    ids::{PrincipalId, Slug},
    integration::Fact,
    settings::Settings,
};

/// The type of an icon's event, whose data is the bytes themselves.
pub const ICON_UPLOADED: &str = "IconUploaded.v1";
/// The type that [`IntegrationEvent::Created`] is stored under: secrets are bound to it.
pub const INTEGRATION_CREATED: &str = "IntegrationCreated.v2";
/// The type that [`IntegrationEvent::Updated`] is stored under: secrets are bound to it.
pub const INTEGRATION_UPDATED: &str = "IntegrationUpdated.v1";
const INTEGRATION_CREATED_V1: &str = "IntegrationCreated.v1";
const INTEGRATION_DELETED: &str = "IntegrationDeleted.v1";
const INTEGRATION_SHARED: &str = "IntegrationShared.v1";
const INTEGRATION_UNSHARED: &str = "IntegrationUnshared.v1";
const OWNERSHIP_TRANSFERRED: &str = "OwnershipTransferred.v1";
const TAGS_SET: &str = "TagsSet.v1";
const ICON_SET: &str = "IconSet.v1";
const ICON_REMOVED: &str = "IconRemoved.v1";
const SLUG_RESERVED: &str = "SlugReserved.v1";
const DATA_KEY_WRAPPED: &str = "DataKeyWrapped.v1";
const CHECKPOINT_REACHED: &str = "CheckpointReached.v1";

/// Why a stored event cannot be read.
#[derive(Debug, Error)]
pub enum Error {
    /// No release up to this one wrote such an event.
    #[error(
        "event {event_type} at position {position} of the log is of a type or version that this release does not know"
    )]
    UnknownType {
        /// Its type.
        event_type: String,
        /// Its place in the log.
        position: u64,
    },
    /// It is of a known type, but not what that type is.
    #[error("event {event_type} at position {position} of the log is broken")]
    Broken {
        /// Its type.
        event_type: String,
        /// Its place in the log.
        position: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It stands in a stream whose name is not that of an integration.
    #[error("stream {0} is not named after an integration")]
    Misplaced(String),
}

/// An event in the form that is stored: its type, and its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredForm {
    /// Name and version.
    pub event_type: &'static str,
    /// JSON text.
    pub data: Bytes,
}

impl StoredForm {
    fn new<T: Serialize>(event_type: &'static str, event: &T) -> Self {
        let data = serde_json::to_vec(event).expect("events are structs with string keys");
        Self { event_type, data: data.into() }
    }
}

/// An event that can be stored.
pub trait Store {
    /// The form that is stored.
    fn to_stored(&self) -> StoredForm;
}

impl Store for IntegrationEvent {
    fn to_stored(&self) -> StoredForm {
        match self {
            Self::Created(event) => StoredForm::new(INTEGRATION_CREATED, event),
            Self::Updated(event) => StoredForm::new(INTEGRATION_UPDATED, event),
            Self::Deleted(event) => StoredForm::new(INTEGRATION_DELETED, event),
            Self::Shared(event) => StoredForm::new(INTEGRATION_SHARED, event),
            Self::Unshared(event) => StoredForm::new(INTEGRATION_UNSHARED, event),
            Self::OwnershipTransferred(event) => StoredForm::new(OWNERSHIP_TRANSFERRED, event),
            Self::TagsSet(event) => StoredForm::new(TAGS_SET, event),
            Self::IconSet(event) => StoredForm::new(ICON_SET, event),
            Self::IconRemoved(event) => StoredForm::new(ICON_REMOVED, event),
        }
    }
}

impl Store for SlugReserved {
    fn to_stored(&self) -> StoredForm {
        StoredForm::new(SLUG_RESERVED, self)
    }
}

impl Store for DataKeyWrapped {
    fn to_stored(&self) -> StoredForm {
        StoredForm::new(DATA_KEY_WRAPPED, self)
    }
}

impl Store for CheckpointReached {
    fn to_stored(&self) -> StoredForm {
        StoredForm::new(CHECKPOINT_REACHED, self)
    }
}

/// What an integration's stream holds, of whatever version, in its current shape.
///
/// # Errors
/// See [`enum@Error`].
pub fn integration_fact(recorded: &RecordedEvent) -> Result<Fact, Error> {
    let (tenant, integration) =
        recorded.stream.integration_of().ok_or_else(|| Error::Misplaced(recorded.stream.to_string()))?;
    Ok(Fact {
        tenant,
        integration,
        position: recorded.position,
        revision: recorded.revision,
        at: recorded.at,
        hash: recorded.hash,
        event: integration_event(recorded)?,
    })
}

fn integration_event(recorded: &RecordedEvent) -> Result<IntegrationEvent, Error> {
    Ok(match recorded.event_type.as_str() {
        INTEGRATION_CREATED => IntegrationEvent::Created(parse(recorded)?),
        INTEGRATION_CREATED_V1 => {
            let created = parse::<IntegrationCreatedV1>(recorded)?.upcast();
            IntegrationEvent::Created(Box::new(created.map_err(|source| broken(recorded, source))?))
        }
        INTEGRATION_UPDATED => IntegrationEvent::Updated(parse(recorded)?),
        INTEGRATION_DELETED => IntegrationEvent::Deleted(parse::<IntegrationDeleted>(recorded)?),
        INTEGRATION_SHARED => IntegrationEvent::Shared(parse::<IntegrationShared>(recorded)?),
        INTEGRATION_UNSHARED => IntegrationEvent::Unshared(parse::<IntegrationUnshared>(recorded)?),
        OWNERSHIP_TRANSFERRED => IntegrationEvent::OwnershipTransferred(parse::<OwnershipTransferred>(recorded)?),
        TAGS_SET => IntegrationEvent::TagsSet(parse::<TagsSet>(recorded)?),
        ICON_SET => IntegrationEvent::IconSet(parse::<IconSet>(recorded)?),
        ICON_REMOVED => IntegrationEvent::IconRemoved(parse::<IconRemoved>(recorded)?),
        _ => return Err(unknown(recorded)),
    })
}

/// Version 1 of `IntegrationCreated`, from before integrations could be embedded in libraries and told whether they
/// support uploads. Its settings are kept as text, so that `data` stays as it was given.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationCreatedV1 {
    slug: Slug,
    owner: PrincipalId,
    settings: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    secrets: Secrets,
}

impl IntegrationCreatedV1 {
    fn upcast(mut self) -> Result<IntegrationCreated, serde_json::Error> {
        self.settings.insert("supportsUpload".to_owned(), RawValue::from_string("false".to_owned())?);
        let settings: Settings = serde_json::from_str(&serde_json::to_string(&self.settings)?)?;
        Ok(IntegrationCreated { slug: self.slug, owner: self.owner, library: None, settings, secrets: self.secrets })
    }
}

/// Whether an event of this type may leave something behind that is to be destroyed. Of a type that this release does
/// not know nobody can tell: it may.
#[must_use]
pub fn may_leave_something(event_type: &str) -> bool {
    !matches!(
        event_type,
        INTEGRATION_CREATED
            | INTEGRATION_CREATED_V1
            | INTEGRATION_UPDATED
            | INTEGRATION_SHARED
            | INTEGRATION_UNSHARED
            | OWNERSHIP_TRANSFERRED
            | TAGS_SET
    )
}

/// Who holds a slug, as a slug's stream says.
///
/// # Errors
/// See [`enum@Error`].
pub fn slug_reserved(recorded: &RecordedEvent) -> Result<SlugReserved, Error> {
    parse_only(SLUG_RESERVED, recorded)
}

/// A wrapped data key, as a key's stream holds it.
///
/// # Errors
/// See [`enum@Error`].
pub fn data_key_wrapped(recorded: &RecordedEvent) -> Result<DataKeyWrapped, Error> {
    parse_only(DATA_KEY_WRAPPED, recorded)
}

/// A checkpoint, as a checkpoint's stream holds it.
///
/// # Errors
/// See [`enum@Error`].
pub fn checkpoint_reached(recorded: &RecordedEvent) -> Result<CheckpointReached, Error> {
    parse_only(CHECKPOINT_REACHED, recorded)
}

/// An event's metadata.
///
/// # Errors
/// [`Error::Broken`].
pub fn metadata(recorded: &RecordedEvent) -> Result<Metadata, Error> {
    serde_json::from_slice(&recorded.metadata).map_err(|source| broken(recorded, source))
}

fn parse_only<T: DeserializeOwned>(event_type: &str, recorded: &RecordedEvent) -> Result<T, Error> {
    if recorded.event_type == event_type { parse(recorded) } else { Err(unknown(recorded)) }
}

fn parse<T: DeserializeOwned>(recorded: &RecordedEvent) -> Result<T, Error> {
    serde_json::from_slice(&recorded.data).map_err(|source| broken(recorded, source))
}

fn unknown(recorded: &RecordedEvent) -> Error {
    Error::UnknownType { event_type: recorded.event_type.clone(), position: recorded.position.get() }
}

fn broken(recorded: &RecordedEvent, source: serde_json::Error) -> Error {
    Error::Broken { event_type: recorded.event_type.clone(), position: recorded.position.get(), source }
}
