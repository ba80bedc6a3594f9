//! A wrapped data key as the log holds it, and the ways in which it may not open.

use events::{
    envelope::{Digest, RecordedEvent},
    ids::{IntegrationId, Revision, TenantId},
    seal::{self, DataKey, MasterKeys, WrappedKey},
    store::{Cause, Damaged, walk::Read},
    stored,
    stream::StreamName,
};
use thiserror::Error;

/// A data key that cannot be had, for a reason of its own: it concerns its integration and nothing else.
#[derive(Debug, Error)]
#[error(
    "the data key in revision {revision} of stream {stream} cannot be read: a later release wrote it, or it is damaged"
)]
pub(crate) struct Unreadable {
    pub(super) stream: StreamName,
    pub(super) revision: Revision,
    #[source]
    pub(super) cause: Cause,
}

impl Unreadable {
    fn of(recorded: &RecordedEvent, cause: impl Into<Cause>) -> Self {
        Self { stream: recorded.stream.clone(), revision: recorded.revision, cause: cause.into() }
    }
}

impl From<Damaged> for Unreadable {
    fn from(damaged: Damaged) -> Self {
        Self { stream: damaged.stream.clone(), revision: damaged.revision, cause: damaged.into() }
    }
}

/// Why a wrap does not open.
pub(super) enum Shut {
    /// Its bytes are not those that were written.
    Altered(Unreadable),
    /// They are, and its master key is in the file. That one is another key, or the wrap was damaged before it was
    /// written.
    Closed(Unreadable),
    /// Its master key is not in the file.
    Unknown(seal::Error),
}

/// A wrapped data key.
pub(super) struct Wrap<'a> {
    recorded: &'a RecordedEvent,
    pub(super) tenant: TenantId,
    pub(super) id: IntegrationId,
    wrapped: WrappedKey,
}

impl<'a> Wrap<'a> {
    /// What was read, if it can be told what it is.
    pub(super) fn of(read: &'a Read) -> Result<Self, Unreadable> {
        match read {
            Ok(recorded) => Self::of_event(recorded),
            Err(damaged) => Err(damaged.clone().into()),
        }
    }

    pub(super) fn of_event(recorded: &'a RecordedEvent) -> Result<Self, Unreadable> {
        let unreadable = |error| Unreadable::of(recorded, error);
        let misplaced = || stored::Error::Misplaced(recorded.stream.to_string());
        let (tenant, id) = recorded.stream.integration_of().ok_or_else(misplaced).map_err(unreadable)?;
        let wrapped = stored::data_key_wrapped(recorded).map_err(unreadable)?.wrapped;
        Ok(Self { recorded, tenant, id, wrapped })
    }

    /// The id of the master key that it says that it needs.
    pub(super) fn master_key(&self) -> &str {
        self.wrapped.master_key()
    }

    pub(super) fn revision(&self) -> Revision {
        self.recorded.revision
    }

    /// The data key in it.
    pub(super) fn open(&self, masters: &MasterKeys) -> Result<DataKey, Shut> {
        let opened = masters.unwrap(&self.tenant, self.id, &self.wrapped);
        opened.map_err(|error| match self.recorded.check_hash(Digest::ZERO) {
            Err(altered) => Shut::Altered(Unreadable::of(self.recorded, altered)),
            Ok(()) if matches!(error, seal::Error::UnknownMasterKey(_)) => Shut::Unknown(error),
            Ok(()) => Shut::Closed(Unreadable::of(self.recorded, error)),
        })
    }
}
