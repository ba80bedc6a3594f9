//! The lines of an export: a header, an event a line in the order of positions, and a trailer that shows a cut.
//!
//! Data and metadata are JSON *strings* with the stored text in them, byte for byte, so that hashes check after any
//! journey; an icon's bytes are base64.

use std::{
    borrow::Cow,
    io::{BufRead, Read as _, Write},
};

use anyhow::anyhow;
use data_encoding::BASE64;
use events::{
    envelope::{Digest, RecordedEvent},
    ids::{EventId, Position, Revision},
    stream::StreamName,
    time::Timestamp,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::Failure;

const FORMAT: &str = "integrations-log";
const VERSION: u32 = 1;
/// What the trailer begins with, and no other line.
const TRAILER: &[u8] = br#"{"events":"#;
/// Far above what an event can have; a longer line is not kept in memory.
const LINE_BYTES_MAX: u64 = 16 * 1_024 * 1_024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    /// The highest position that was ever given.
    head: Position,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    position: Position,
    stream: Cow<'a, str>,
    revision: Revision,
    id: EventId,
    #[serde(rename = "type")]
    event_type: Cow<'a, str>,
    at: Timestamp,
    /// The stored JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, str>>,
    /// Base64, where the stored data is bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    /// The stored JSON text.
    metadata: Cow<'a, str>,
    hash: Digest,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    events: u64,
    /// Of all lines before, with their ends.
    sha256: Digest,
}

/// Writes an export.
pub(crate) struct Writer<W> {
    out: W,
    hasher: Sha256,
    events: u64,
}

impl<W: Write> Writer<W> {
    /// Begins one of a log with this head.
    pub(crate) fn begin(out: W, head: Position) -> anyhow::Result<Self> {
        let mut writer = Self { out, hasher: Sha256::new(), events: 0 };
        writer.line(&Header { format: FORMAT.to_owned(), version: VERSION, head })?;
        Ok(writer)
    }

    /// Writes an event.
    pub(crate) fn event(&mut self, event: &RecordedEvent) -> anyhow::Result<()> {
        let has_bytes = event.stream.kind().holds_bytes();
        let data = if has_bytes { None } else { Some(std::str::from_utf8(&event.data)?) };
        self.events += 1;
        self.line(&Line {
            position: event.position,
            stream: event.stream.as_str().into(),
            revision: event.revision,
            id: event.id,
            event_type: event.event_type.as_str().into(),
            at: event.at,
            data: data.map(Cow::from),
            bytes: has_bytes.then(|| BASE64.encode(&event.data)),
            metadata: std::str::from_utf8(&event.metadata)?.into(),
            hash: event.hash,
        })
    }

    /// How many events it has written.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Writes the trailer, and answers what it wrote to.
    pub(crate) fn finish(mut self) -> anyhow::Result<W> {
        let sha256 = Digest::new(self.hasher.clone().finalize().into());
        self.line(&Trailer { events: self.events, sha256 })?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn line(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.hasher.update(&text);
        Ok(self.out.write_all(&text)?)
    }
}

/// Reads an export. Whatever it refuses, it names the line.
pub(crate) struct Reader<R> {
    input: R,
    hasher: Sha256,
    text: Vec<u8>,
    number: u64,
    events: u64,
    head: Position,
}

impl<R: BufRead> Reader<R> {
    /// Begins to read.
    pub(crate) fn begin(input: R) -> Result<Self, Failure> {
        let (hasher, text) = (Sha256::new(), Vec::new());
        let mut reader = Self { input, hasher, text, number: 0, events: 0, head: Position::START };
        reader.advance()?;
        let header: Header = reader.parse("the header of an export")?;
        if header.format != FORMAT {
            return Err(reader.refuse("it is not the header of an export of this service"));
        }
        if header.version > VERSION {
            let found = header.version;
            return Err(reader.refuse(format!("the export has format {found}, and this release knows up to {VERSION}")));
        }
        if i64::try_from(header.head.get()).is_err() {
            return Err(reader.refuse("the head is no position"));
        }
        reader.head = header.head;
        Ok(reader)
    }

    /// The highest position that was ever given in the log that was exported.
    pub(crate) fn head(&self) -> Position {
        self.head
    }

    /// The next event; `None` after the last one, when the trailer agrees.
    pub(crate) fn event(&mut self) -> Result<Option<RecordedEvent>, Failure> {
        let before = self.hasher.clone();
        self.advance()?;
        if self.text.starts_with(TRAILER) {
            return self.check_end(before).map(|()| None);
        }
        let line: Line<'_> = self.parse("an event")?;
        self.events += 1;
        self.recorded(line).map(Some)
    }

    /// Refuses the line that was read last.
    pub(crate) fn refuse(&self, why: impl std::fmt::Display) -> Failure {
        Failure::Configuration(anyhow!("line {}: {why}", self.number))
    }

    fn recorded(&self, line: Line<'_>) -> Result<RecordedEvent, Failure> {
        let stream = StreamName::parse(&line.stream).map_err(|error| self.refuse(error))?;
        let data = match (line.data, line.bytes) {
            (Some(data), None) if !stream.kind().holds_bytes() => data.into_owned().into(),
            (None, Some(bytes)) if stream.kind().holds_bytes() => {
                BASE64.decode(bytes.as_bytes()).map_err(|_| self.refuse("the bytes are not base64"))?.into()
            }
            (Some(_) | None, Some(_) | None) => return Err(self.refuse("the event has not the data of its stream")),
        };
        Ok(RecordedEvent {
            position: line.position,
            stream,
            revision: line.revision,
            id: line.id,
            event_type: line.event_type.into_owned(),
            at: line.at,
            data,
            metadata: line.metadata.into_owned().into(),
            hash: line.hash,
        })
    }

    fn check_end(&mut self, before: Sha256) -> Result<(), Failure> {
        let trailer: Trailer = self.parse("the trailer")?;
        if trailer.events != self.events {
            return Err(self.refuse(format!("the export had {} events, and here are {}", trailer.events, self.events)));
        }
        if trailer.sha256 != Digest::new(before.finalize().into()) {
            return Err(self.refuse("the lines above are not those that were exported"));
        }
        if self.input.fill_buf().map_err(cannot_read)?.is_empty() {
            return Ok(());
        }
        self.number += 1;
        Err(self.refuse("it stands after the trailer"))
    }

    /// Reads a line.
    fn advance(&mut self) -> Result<(), Failure> {
        self.number += 1;
        self.text.clear();
        self.input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.text).map_err(cannot_read)?;
        self.hasher.update(&self.text);
        match self.text.last() {
            Some(b'\n') => Ok(()),
            Some(_) => Err(self.refuse("the line has no end: the export is cut, or is none")),
            None => Err(self.refuse("the export is cut: it has no trailer")),
        }
    }

    fn parse<T: DeserializeOwned>(&self, what: &str) -> Result<T, Failure> {
        serde_json::from_slice(&self.text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => self.refuse(format!("it is not {what}")),
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => self.refuse("it is not JSON"),
        })
    }
}

fn cannot_read(error: std::io::Error) -> Failure {
    Failure::Service(anyhow!(error).context("cannot read the export"))
}
