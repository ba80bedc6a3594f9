//! Traces: where a request stands in one (W3C Trace Context), and the port to whoever collects what was done for it.
//!
//! What a span can tell is a closed list, so that no tenant, id or secret can ever stand in one.

use std::fmt;

/// How many spans one batch of work begins at most: what comes after a long absence is not to crowd out everything else.
pub const SPANS_OF_A_BATCH_MAX: usize = 128;

/// What of a `traceparent`'s flags is known: sampled, and random (W3C Trace Context, level 2, §3.2.2.5).
const KNOWN_FLAGS: u8 = 0b11;
const SAMPLED: u8 = 0b01;

/// What the method of a request is called that has one of no route's.
pub const OTHER_METHOD: &str = "other";

/// A place in a trace, as `traceparent` carries it (W3C Trace Context §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; never 0.
    pub trace: u128,
    /// The span that what follows hangs below; never 0.
    pub span: u64,
    /// Whether the trace is collected, and how its id was made.
    pub flags: u8,
}

impl TraceParent {
    /// What a text says, if it is valid. Of a version to come, what is known of this one is taken.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<_> = text.split('-').collect();
        let [version, trace, span, flags] = parts.as_slice() else {
            return None;
        };
        let is_hex = |part: &str, len: usize| {
            part.len() == len && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_valid =
            is_hex(version, 2) && *version != "ff" && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
        let trace = u128::from_str_radix(trace, 16).ok()?;
        let span = u64::from_str_radix(span, 16).ok()?;
        let flags = u8::from_str_radix(flags, 16).ok()? & KNOWN_FLAGS;
        (is_valid && trace != 0 && span != 0).then_some(Self { trace, span, flags })
    }

    /// What a text says, if it is valid and its trace is collected.
    #[must_use]
    pub fn parse_sampled(text: &str) -> Option<Self> {
        Self::parse(text).filter(|parent| parent.is_sampled())
    }

    /// Whether whoever began the trace collects it.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, flags } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

/// What a span is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work<'a> {
    /// Answering a request.
    Answer {
        /// Its method, or [`OTHER_METHOD`].
        method: &'static str,
    },
    /// Taking an event into a view.
    Project {
        /// The view's name.
        view: &'static str,
    },
    /// Publishing an event.
    Publish {
        /// Where to.
        topic: &'a str,
    },
}

/// How the work of a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The request was answered.
    Answered {
        /// The route that took it, as a template.
        route: Option<&'a str>,
        /// The status.
        status: u16,
    },
    /// It was done.
    Done,
    /// It was not done.
    Failed,
}

/// Whoever collects spans. Nothing here ever waits for him.
pub trait Collector: fmt::Debug + Send + Sync {
    /// Begins a span below a place in a trace, or a trace of its own; `None` where it is not to be collected.
    fn begin(&self, work: Work<'_>, parent: Option<TraceParent>) -> Option<Box<dyn Span>>;
}

/// Work that goes on. It ends at the latest when it is dropped.
pub trait Span: fmt::Debug + Send + Sync {
    /// Where what follows from it hangs.
    fn place(&self) -> TraceParent;

    /// Tells how it ended.
    fn end(self: Box<Self>, outcome: Outcome<'_>);
}

/// Ends the spans of a batch, all alike.
pub fn end_all(spans: impl IntoIterator<Item = Box<dyn Span>>, outcome: Outcome<'_>) {
    spans.into_iter().for_each(|span| span.end(outcome));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_text_comes_back() {
        let parent = TraceParent::parse(TEXT).expect("it is valid");
        assert_eq!(parent.to_string(), TEXT);
        assert!(parent.is_sampled());
        let small = "00-0000000000000000000000000000000a-000000000000000b-02";
        assert_eq!(TraceParent::parse(small).expect("it is valid").to_string(), small);
        assert_eq!(TraceParent::parse_sampled(small), None);
    }

    #[test]
    fn a_version_to_come_and_unknown_flags_are_written_as_what_is_known() {
        let later = TEXT.replacen("00-", "cc-", 1).replace("-01", "-ff");
        let parent = TraceParent::parse(&later).expect("it is valid");
        assert_eq!(parent.to_string(), TEXT.replace("-01", "-03"));
    }

    #[test]
    fn what_is_not_valid_is_nothing() {
        let zeros = (
            TEXT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            TEXT.replace("b7ad6b7169203331", &"0".repeat(16)),
        );
        let wrong = [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            &zeros.0,
            &zeros.1,
        ];
        for text in wrong {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }
}
