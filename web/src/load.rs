//! How many requests are in flight, and how many wait for a position: each bounded by itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use events::limits;

use crate::problem::{Kind, Problem};

/// The two counts and their bounds.
#[derive(Debug)]
pub struct Load {
    in_flight: AtomicUsize,
    in_flight_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Default for Load {
    /// Nothing yet, within the bounds that `docs/LIMITS.md` tells.
    fn default() -> Self {
        Self::within(limits::IN_FLIGHT_MAX, limits::WAITING_MAX)
    }
}

impl Load {
    /// Nothing yet, within these bounds.
    #[must_use]
    pub fn new(in_flight_max: usize, waiting_max: usize) -> Arc<Self> {
        Arc::new(Self::within(in_flight_max, waiting_max))
    }

    fn within(in_flight_max: usize, waiting_max: usize) -> Self {
        Self { in_flight: AtomicUsize::new(0), in_flight_max, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests that wait for a position.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// 429 when as many are in flight as may be.
    pub fn enter(self: &Arc<Self>) -> Result<InFlight, Problem> {
        if take(&self.in_flight, self.in_flight_max) {
            Ok(InFlight(Arc::clone(self)))
        } else {
            Err(Problem::retry_after(Kind::TooManyRequests, "Too many requests are in flight.", 1))
        }
    }
}

fn take(count: &AtomicUsize, max: usize) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < max).then_some(count + 1)).is_ok()
}

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Load>);

impl InFlight {
    /// Counts the request as waiting, and not as in flight, until the answer is dropped.
    ///
    /// # Errors
    /// 503 when as many wait as may.
    pub fn wait(&self) -> Result<Waiting<'_>, Problem> {
        if !take(&self.0.waiting, self.0.waiting_max) {
            return Err(Problem::retry_after(Kind::NotYetVisible, "Too many requests wait for a position.", 1));
        }
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        Ok(Waiting(self))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that waits, until it is dropped.
#[derive(Debug)]
pub struct Waiting<'a>(&'a InFlight);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.0.in_flight.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_request_is_not_in_flight() {
        let load = Load::new(1, 1);
        let first = load.enter().expect("there is room");
        assert_eq!(load.enter().expect_err("full").kind(), Kind::TooManyRequests);
        let waiting = first.wait().expect("there is room");
        assert_eq!((load.in_flight(), load.waiting()), (0, 1));
        let second = load.enter().expect("the first one waits");
        assert_eq!(second.wait().expect_err("full").kind(), Kind::NotYetVisible);
        drop(second);
        drop(waiting);
        assert_eq!((load.in_flight(), load.waiting()), (1, 0));
        drop(first);
        assert_eq!((load.in_flight(), load.waiting()), (0, 0));
    }
}
