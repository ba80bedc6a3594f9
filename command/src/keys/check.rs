//! Whether master keys open a log: a file that lacks one, or has another one under its id, is told from data keys that are
//! damaged, of which each concerns its own integration alone.

use std::collections::{BTreeMap, BTreeSet};

use events::{
    ids::Position,
    seal::{self, MasterKeys},
    store::{
        Error as StoreError, EventStore,
        walk::{Read, Reads, read_page},
    },
    stream::Kind,
};
use thiserror::Error;

use super::wrap::{Shut, Unreadable, Wrap};

/// How many events are looked at at once.
const PAGE: usize = 1_000;

/// Why the log's keys cannot be used with these master keys.
#[derive(Debug, Error)]
pub enum KeyCheckError {
    /// A key is wrapped by a master key that is not in the file, or by another one of the same id.
    #[error("the log holds data keys that the master key file does not open")]
    DoesNotOpen(#[source] seal::Error),
    /// There is no file, and a key that may be wrapped by any.
    #[error("the log holds data keys, and there is no master key file")]
    NoFile,
    /// The store failed.
    #[error("cannot read the log's data keys")]
    Store(#[from] StoreError),
}

/// What a look at every data key of a log has found.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// How many are not under the active master key, or cannot be said to be.
    pub(super) to_rewrap: u64,
    /// Those that cannot be had.
    pub(super) unreadable: Vec<Unreadable>,
}

/// Makes sure that a log without a master key file has no data keys.
///
/// # Errors
/// [`KeyCheckError`].
pub async fn check_has_no_keys(store: &dyn EventStore) -> Result<(), KeyCheckError> {
    let mut after = Position::START;
    loop {
        let page = keys_after(store, after).await?;
        if let Some(read) = page.reads.first() {
            let Ok(wrap) = Wrap::of(read) else { return Err(KeyCheckError::NoFile) };
            let unknown = seal::Error::UnknownMasterKey(wrap.master_key().to_owned());
            return Err(KeyCheckError::DoesNotOpen(unknown));
        }
        if page.is_last {
            return Ok(());
        }
        after = page.through;
    }
}

/// Checks that master keys open the data keys of a log, as far as these can be had.
pub(super) async fn check_all(store: &dyn EventStore, masters: &MasterKeys) -> Result<Checked, KeyCheckError> {
    let (mut after, mut check) = (Position::START, Check::with(masters));
    loop {
        let page = keys_after(store, after).await?;
        for read in &page.reads {
            check.take(read)?;
        }
        if page.is_last {
            return check.finish();
        }
        after = page.through;
    }
}

/// The log's next data keys.
pub(crate) async fn keys_after(store: &dyn EventStore, after: Position) -> Result<Reads, StoreError> {
    read_page(store, after, &[Kind::Key], PAGE).await
}

struct Check<'a> {
    masters: &'a MasterKeys,
    /// The ids of master keys that have opened something: each is the key that it says it is.
    proven: BTreeSet<String>,
    /// What did not open, by the id of its master key.
    closed: BTreeMap<String, Vec<Unreadable>>,
    found: Checked,
}

impl<'a> Check<'a> {
    fn with(masters: &'a MasterKeys) -> Self {
        Self { masters, proven: BTreeSet::new(), closed: BTreeMap::new(), found: Checked::default() }
    }

    fn take(&mut self, read: &Read) -> Result<(), KeyCheckError> {
        let wrap = match Wrap::of(read) {
            Ok(wrap) => wrap,
            Err(unreadable) => {
                self.found.to_rewrap += 1;
                self.found.unreadable.push(unreadable);
                return Ok(());
            }
        };
        let id = wrap.master_key();
        self.found.to_rewrap += u64::from(id != self.masters.active());
        match wrap.open(self.masters) {
            Ok(_) if self.proven.contains(id) => {}
            Ok(_) => drop(self.proven.insert(id.to_owned())),
            Err(Shut::Altered(unreadable)) => self.found.unreadable.push(unreadable),
            Err(Shut::Closed(unreadable)) => self.closed.entry(id.to_owned()).or_default().push(unreadable),
            Err(Shut::Unknown(error)) => return Err(KeyCheckError::DoesNotOpen(error)),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Checked, KeyCheckError> {
        for (id, closed) in self.closed {
            if !self.proven.contains(&id) {
                return Err(KeyCheckError::DoesNotOpen(seal::Error::DoesNotOpen));
            }
            self.found.unreadable.extend(closed);
        }
        Ok(self.found)
    }
}
