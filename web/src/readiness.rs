//! Whether the service is ready to serve, and which parts it waits for.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::problem::{Kind, Problem};

/// Something without which nothing can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// What reads are served from.
    Views = 1,
    /// The identity provider's keys.
    TokenKeys = 2,
    /// The database of the views.
    ViewStore = 4,
    /// The view of this release's version, in that database.
    View = 8,
    /// The log, where it is on a server.
    Log = 16,
}

impl Part {
    const ALL: [Self; 5] = [Self::Log, Self::Views, Self::TokenKeys, Self::ViewStore, Self::View];

    /// 503, naming the part.
    #[must_use]
    pub fn not_ready(self) -> Problem {
        let state = match self {
            Self::Views => "the views are being replayed from the log",
            Self::TokenKeys => "the token keys cannot be fetched",
            Self::ViewStore => "the database of the views cannot be reached",
            Self::Log => "the event log cannot be reached",
            Self::View => "no projector has made the view of this release yet",
        };
        Problem::retry_after(Kind::NotReady, format!("Not ready yet: {state}."), 1)
    }
}

/// What a process waits for before it serves; by default nothing.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// Not ready: it waits for each of these parts.
    #[must_use]
    pub fn waiting_for(parts: &[Part]) -> Self {
        Self(AtomicU8::new(parts.iter().fold(0, |waiting, part| waiting | *part as u8)))
    }

    /// It does not wait for this part any more.
    pub fn set_ready(&self, part: Part) {
        self.0.fetch_and(!(part as u8), Ordering::Release);
    }

    /// Lets a request in once the service is ready.
    ///
    /// # Errors
    /// 503, naming a part that is not ready.
    pub fn check(&self) -> Result<(), Problem> {
        let waiting = self.0.load(Ordering::Acquire);
        let part = Part::ALL.into_iter().find(|part| waiting & *part as u8 != 0);
        part.map_or(Ok(()), |part| Err(part.not_ready()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_waited_for_by_itself() {
        let readiness = Readiness::waiting_for(&Part::ALL);
        readiness.set_ready(Part::Views);
        assert!(readiness.check().is_err());
        readiness.set_ready(Part::TokenKeys);
        readiness.set_ready(Part::ViewStore);
        assert!(readiness.check().is_err());
        readiness.set_ready(Part::View);
        assert!(readiness.check().is_err());
        readiness.set_ready(Part::Log);
        assert!(readiness.check().is_ok());
        assert!(Readiness::waiting_for(&[]).check().is_ok());
    }
}
