//! Taking up a changed master key file while commands go on.

use std::{fs::File, sync::Arc, time::Duration};

use events::{
    seal::{self, MasterKeys},
    store::Health,
};
use thiserror::Error;
use tokio::time::Instant;

use super::{KeyCheckError, KeyRing, file::Stamp};

/// How often an unknown master key may make a process look at the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is known of the file.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The state of it that was read last, whatever came of it.
    seen: Option<Stamp>,
    looked: Option<Instant>,
    /// Held for as long as the mark is true.
    mark: Option<File>,
}

/// Why a changed key file is not taken up. The keys in use stay in use.
#[derive(Debug, Error)]
pub(crate) enum TakeUpError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] seal::Error),
    /// The key that wraps what is being written is not in it, or another one under its id.
    #[error("it does not hold master key {0}, which is in use")]
    LacksActive(String),
    /// A key is gone from it that the log needs.
    #[error(transparent)]
    Needed(#[from] KeyCheckError),
    /// The mark cannot be written.
    #[error("cannot say which master key is in use")]
    Mark(#[source] std::io::Error),
    /// The store cannot tell yet what has become of its last append.
    #[error("the event log is not available")]
    StoreFails,
}

impl TakeUpError {
    /// Whether it stays so until the file is another one.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::LacksActive(_) | Self::Needed(KeyCheckError::DoesNotOpen(_) | KeyCheckError::NoFile) => true,
            Self::File(error) => !matches!(error, seal::Error::File(_)),
            Self::Needed(KeyCheckError::Store(_)) | Self::Mark(_) | Self::StoreFails => false,
        }
    }
}

impl KeyRing {
    /// Says at the start which key is in use. When that cannot be said, the janitor tries again.
    pub async fn announce(&self) {
        if let Err(error) = self.look().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot say which master key is in use");
        }
    }

    /// Looks at the file, and takes it up if it has changed since it was last read.
    pub(crate) async fn look(&self) -> Result<(), TakeUpError> {
        let mut known = self.known.lock().await;
        self.look_as(&mut known).await
    }

    /// Looks at the file unless that was done a moment ago.
    pub(super) async fn look_again(&self) -> Result<(), TakeUpError> {
        let mut known = self.known.lock().await;
        if known.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        known.looked = Some(Instant::now());
        self.look_as(&mut known).await
    }

    async fn look_as(&self, known: &mut Known) -> Result<(), TakeUpError> {
        // Taken before it is read: a change in between is seen the next time.
        let stamp = self.file.stamp().map_err(seal::Error::from)?;
        if known.seen.as_ref() != Some(&stamp) {
            let file = self.file.clone();
            let read = tokio::task::spawn_blocking(move || file.read()).await;
            let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error).into()));
            let taken = match read {
                Ok(masters) => self.take_up(masters, known).await,
                Err(error) => Err(error.into()),
            };
            known.seen = taken.as_ref().map_or_else(TakeUpError::is_final, |()| true).then_some(stamp);
            taken?;
        }
        if known.mark.is_none() {
            known.mark = Some(self.file.mark(self.masters().active()).map_err(TakeUpError::Mark)?);
        }
        Ok(())
    }

    async fn take_up(&self, masters: MasterKeys, known: &mut Known) -> Result<(), TakeUpError> {
        let current = self.masters();
        if !masters.opens_active_of(&current) {
            return Err(TakeUpError::LacksActive(current.active().to_owned()));
        }
        if !masters.opens_all_of(&current) {
            self.check_with(&masters).await?;
        }
        if masters.active() == current.active() {
            self.masters.store(Arc::new(masters));
            return Ok(());
        }
        // From here until the next mark nobody may rely on what the last one says.
        known.mark = None;
        let alone = self.wrapping.write().await;
        // An append that failed at its commit may yet come to be, until the log has been opened anew.
        if *self.store.health().borrow() != Health::Ready {
            return Err(TakeUpError::StoreFails);
        }
        self.masters.store(Arc::new(masters));
        drop(alone);
        Ok(())
    }
}
