//! Which master keys the data keys of a log need.

use std::collections::BTreeMap;

use super::walk::Read;
use crate::stored;

/// How many data keys need which master key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wraps {
    /// How many each master key wraps, by its id.
    pub by_master_key: BTreeMap<String, u64>,
    /// How many cannot be read: each may need any master key.
    pub unreadable: u64,
}

impl Wraps {
    /// Counts a data key of the log.
    pub fn count(&mut self, read: &Read) {
        match read.as_ref().ok().and_then(|recorded| stored::data_key_wrapped(recorded).ok()) {
            Some(form) => *self.by_master_key.entry(form.wrapped.master_key().to_owned()).or_default() += 1,
            None => self.unreadable += 1,
        }
    }
}
