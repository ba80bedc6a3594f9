//! Logs to stderr: text on a terminal, JSON otherwise. `RUST_LOG` says how much; `info` when it is not set.
//!
//! JSON lines are collected for some milliseconds, since a call of the system a line costs more than all the rest that
//! a request needs; a warning or an error is written at once, with all that came before it.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
    prelude::*,
};

use json::JsonLines;

mod json;
pub(crate) mod spans;

/// How long a line may wait.
const DELAY: Duration = Duration::from_millis(20);
/// How many bytes may wait.
const WAITING_MAX: usize = 32 * 1_024;

static LINES: LazyLock<Lines> = LazyLock::new(Lines::default);

/// Begins to log; ends when what it answers is dropped.
pub(crate) fn init() -> Flush {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = io::stderr().is_terminal();
    let text = is_terminal.then(|| fmt::layer().with_writer(io::stderr));
    let json = (!is_terminal).then(|| {
        let layer = fmt::layer().event_format(JsonLines);
        layer.with_writer(&*LINES)
    });
    // A second start in one process, which only tests do, keeps the first one's log.
    let _ = tracing_subscriber::registry().with(filter).with(text).with(json).try_init();
    if !is_terminal {
        // Without a thread every line waits for the next flush: nothing is lost but time.
        let _ = thread::Builder::new().name("log".to_owned()).spawn(|| LINES.write_waiting());
    }
    Flush
}

/// Writes what is left of the log when it is dropped.
#[derive(Debug)]
pub(crate) struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        write_all(&mut LINES.lock());
    }
}

/// Lines that wait to be written.
#[derive(Debug, Default)]
struct Lines {
    waiting: Mutex<Vec<u8>>,
    is_waiting: Condvar,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_waiting(&self) {
        loop {
            let waiting = self.is_waiting.wait_while(self.lock(), |waiting| waiting.is_empty());
            drop(waiting);
            thread::sleep(DELAY);
            write_all(&mut self.lock());
        }
    }
}

/// Nobody may be there to read them.
fn write_all(waiting: &mut Vec<u8>) {
    let _ = io::stderr().write_all(waiting);
    waiting.clear();
}

/// Takes one line.
struct Line {
    lines: &'static Lines,
    is_urgent: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lines.lock();
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(line);
        if self.is_urgent || waiting.len() >= WAITING_MAX {
            write_all(&mut waiting);
        } else if was_empty {
            self.lines.is_waiting.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for &'static Lines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { lines: self, is_urgent: true }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        Line { lines: self, is_urgent: *metadata.level() <= Level::WARN }
    }
}
