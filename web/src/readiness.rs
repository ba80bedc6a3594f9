//! Whether the service is ready to serve, and which part it waits for.

use std::sync::{PoisonError, RwLock};

use crate::problem::{Kind, Problem};

/// What a process waits for before it serves.
#[derive(Debug)]
pub struct Readiness(RwLock<Option<&'static str>>);

impl Readiness {
    /// Not ready: it waits for a part.
    #[must_use]
    pub fn waiting_for(part: &'static str) -> Self {
        Self(RwLock::new(Some(part)))
    }

    /// It waits for nothing any more.
    pub fn set_ready(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Lets a request in once the service is ready.
    ///
    /// # Errors
    /// 503, naming the part that is not ready.
    pub fn check(&self) -> Result<(), Problem> {
        match *self.0.read().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(part) => Err(Problem::retry_after(Kind::NotReady, format!("Not ready yet: {part}."), 1)),
        }
    }
}
