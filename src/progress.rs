//! How far something long has come, on stderr: a line that is redrawn on a terminal, a line now and then elsewhere.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const REDRAW_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_WIDTH: u64 = 30;

/// The progress of one thing.
pub(crate) struct Progress {
    doing: &'static str,
    is_terminal: bool,
    started: Instant,
    told: Mutex<Told>,
}

struct Told {
    at: Instant,
    is_on_screen: bool,
}

impl Progress {
    /// Begins to tell of what is being done.
    pub(crate) fn new(doing: &'static str) -> Self {
        let (now, is_terminal) = (Instant::now(), std::io::stderr().is_terminal());
        Self { doing, is_terminal, started: now, told: Mutex::new(Told { at: now, is_on_screen: false }) }
    }

    /// Tells that `events` are done, and that this is as much of the whole as `passed` is of `all`. Nobody may be there
    /// to read it.
    pub(crate) fn tell(&self, events: u64, passed: u64, all: u64) {
        let every = if self.is_terminal { REDRAW_EVERY } else { LINE_EVERY };
        let Ok(mut told) = self.told.try_lock() else { return };
        if told.at.elapsed() < every {
            return;
        }
        told.at = Instant::now();
        told.is_on_screen = self.is_terminal;
        let (doing, percent, rate) = (self.doing, percent(passed, all), self.rate(events));
        let left = left(self.started.elapsed(), passed, all);
        let _ = if self.is_terminal {
            write!(std::io::stderr(), "\r{doing} [{}] {percent} %, {events} events, {rate}/s{left}\x1b[K", bar(percent))
        } else {
            writeln!(std::io::stderr(), "{doing}: {percent} %, {events} events, {rate}/s{left}")
        };
    }

    /// Tells only on a terminal.
    pub(crate) fn tell_on_a_terminal(&self, events: u64, passed: u64, all: u64) {
        if self.is_terminal {
            self.tell(events, passed, all);
        }
    }

    /// Events a second since the beginning.
    pub(crate) fn rate(&self, events: u64) -> u64 {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        events.saturating_mul(1_000) / ms
    }

    /// Takes the line from the terminal, so that something else can stand there.
    pub(crate) fn clear(&self) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_on_screen {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn percent(passed: u64, all: u64) -> u64 {
    passed.min(all).saturating_mul(100).checked_div(all).unwrap_or(100)
}

/// How long the rest takes at this pace; nothing where that cannot be told.
fn left(elapsed: Duration, passed: u64, all: u64) -> String {
    match all.checked_sub(passed) {
        Some(rest) if rest > 0 && passed > 0 => {
            format!(", {:.0} s left", elapsed.as_secs_f64() * rest as f64 / passed as f64)
        }
        _ => String::new(),
    }
}

fn bar(percent: u64) -> String {
    (0..BAR_WIDTH).map(|at| if at * 100 < percent * BAR_WIDTH { '#' } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_what_is_done_took() {
        let left = |passed, all| left(Duration::from_secs(30), passed, all);
        assert_eq!(left(25, 100), ", 90 s left");
        assert_eq!([left(0, 100), left(100, 100), left(120, 100), left(0, 0)], [""; 4]);
    }

    #[test]
    fn the_share_done_is_drawn() {
        assert_eq!((percent(0, 0), percent(1, 3), percent(9, 3)), (100, 33, 100));
        assert_eq!(bar(0), "-".repeat(30));
        assert_eq!(bar(50), format!("{}{}", "#".repeat(15), "-".repeat(15)));
        assert_eq!(bar(100), "#".repeat(30));
    }
}
