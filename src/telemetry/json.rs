//! A line of log as a JSON object: time, level, message, where in the code, and the event's fields as members.

use std::{
    cell::RefCell,
    fmt::{self, Debug, Write as _},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// The format. Spans are not shown: what a line is to tell stands in the line.
#[derive(Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        writer.write_str("{\"timestamp\":\"")?;
        write_now(&mut writer)?;
        for part in ["\",\"level\":\"", metadata.level().as_str(), "\""] {
            writer.write_str(part)?;
        }
        let mut members = Members { writer: writer.by_ref(), result: Ok(()) };
        event.record(&mut members);
        members.result?;
        for part in [",\"target\":\"", metadata.target(), "\"}\n"] {
            writer.write_str(part)?;
        }
        Ok(())
    }
}

/// Writes each field as a member.
struct Members<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() {
            // The names are those that the code gives.
            self.result = ([",\"", field.name(), "\":"].into_iter())
                .try_for_each(|part| self.writer.write_str(part))
                .and_then(|()| write(&mut self.writer));
        }
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no other numbers.
        if value.is_finite() {
            self.member(field, |writer| write!(writer, "{value}"));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |writer| {
            writer.write_char('"')?;
            Escaping(writer.by_ref()).write_str(value)?;
            writer.write_char('"')
        });
    }

    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        self.member(field, |writer| {
            writer.write_char('"')?;
            let mut text = Escaping(writer.by_ref());
            write!(text, "{error}")?;
            let mut source = error.source();
            while let Some(error) = source {
                write!(text, ": {error}")?;
                source = error.source();
            }
            writer.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.member(field, |writer| {
            writer.write_char('"')?;
            write!(Escaping(writer.by_ref()), "{value:?}")?;
            writer.write_char('"')
        });
    }
}

/// Writes text into a JSON string (RFC 8259 §7).
struct Escaping<'a>(Writer<'a>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        // Nearly always: and a whole text is looked through faster than one that may end anywhere.
        if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            return self.0.write_str(text);
        }
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            if is_plain(byte) {
                continue;
            }
            self.0.write_str(&text[plain..at])?;
            plain = at + 1;
            match byte {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                _ => write!(self.0, "\\u{byte:04x}")?,
            }
        }
        self.0.write_str(&text[plain..])
    }
}

/// Writes the time, as RFC 3339 in UTC with microseconds.
#[expect(clippy::disallowed_methods, reason = "the edge: when a line is logged")]
fn write_now(writer: &mut Writer<'_>) -> fmt::Result {
    thread_local! {
        /// The second that was written last: most lines are of the same one as the line before.
        static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let now = chrono::Utc::now();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.timestamp() {
            *second = now.timestamp();
            *text = now.format("%Y-%m-%dT%H:%M:%S").to_string();
        }
        write!(writer, "{text}.{:06}Z", now.timestamp_subsec_micros())
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use proptest::prelude::*;
    use tracing_subscriber::{fmt, prelude::*};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> serde_json::Value {
        let written = Written::default();
        let writer = written.clone();
        let layer = fmt::layer().event_format(JsonLines).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = written.0.lock().expect("nobody panics").clone();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        serde_json::from_slice(&bytes).expect("a line is JSON")
    }

    #[test]
    fn a_line_has_every_field_as_a_member() {
        let cause = io::Error::other("below");
        let line = logged(|| {
            tracing::warn!(
                number = 7_u64,
                negative = -7_i64,
                ratio = 0.25,
                nan = f64::NAN,
                yes = true,
                none = None::<&str>,
                some = "text",
                shown = %"display",
                debug = ?Some(1),
                error = &cause as &dyn std::error::Error,
                "what happened to {}",
                "it"
            );
        });
        let time = line["timestamp"].as_str().expect("a text");
        assert!(time.len() == 27 && chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        let mut rest = line.clone();
        rest.as_object_mut().expect("an object").remove("timestamp");
        let expected = serde_json::json!({
            "level": "WARN", "message": "what happened to it", "target": "integrations::telemetry::json::tests",
            "number": 7, "negative": -7, "ratio": 0.25, "yes": true, "some": "text", "shown": "display",
            "debug": "Some(1)", "error": "below",
        });
        assert_eq!(rest, expected);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "(\\PC|[\\x00-\\x20\"\\\\])*") {
            let line = logged(|| tracing::info!(text = text.as_str(), shown = %text, "{text}"));
            prop_assert_eq!(line["text"].as_str(), Some(text.as_str()));
            prop_assert_eq!(line["shown"].as_str(), Some(text.as_str()));
            prop_assert_eq!(line["message"].as_str(), Some(text.as_str()));
        }
    }
}
