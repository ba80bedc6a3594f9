//! The file: a mark, then each append as one record with its length before it. What was torn off at the end is cut.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::Arc,
};

use prost::{Message as _, bytes::Bytes};
use uuid::Uuid;

use super::{Event, Proposed};
use crate::wire::file::{Entry, Record};

const MARK: &[u8; 8] = b"peerlog1";
const LENGTH_BYTES: u64 = 4;

/// Where what is written goes.
#[derive(Debug)]
pub(super) struct LogFile {
    file: Option<File>,
    end: u64,
}

impl LogFile {
    /// Opens the file of a directory, or none; answers what stands there.
    pub(super) fn open(directory: Option<&Path>) -> io::Result<(Self, Vec<Vec<Event>>)> {
        let Some(directory) = directory else {
            return Ok((Self { file: None, end: MARK.len() as u64 }, Vec::new()));
        };
        std::fs::create_dir_all(directory)?;
        let path = directory.join("peer.log");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if bytes.len() < MARK.len() {
            file.rewind()?;
            file.write_all(MARK)?;
            bytes = MARK.to_vec();
        }
        let Some(entries) = bytes.strip_prefix(MARK) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "peer.log is not a log of this peer"));
        };
        let (end, entries) = read(entries)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok((Self { file: Some(file), end }, entries))
    }

    /// The position of the event that is written next.
    pub(super) fn next_position(&self) -> u64 {
        self.end + LENGTH_BYTES
    }

    /// Writes the events of one append, each with its revision.
    pub(super) fn write(&mut self, stream: &Arc<str>, events: Vec<(u64, Proposed)>) -> io::Result<Vec<Event>> {
        let records = events.iter().map(|(revision, proposed)| Record {
            stream: stream.to_string(),
            revision: *revision,
            id: Bytes::copy_from_slice(proposed.id.as_bytes()),
            metadata: proposed.metadata.clone(),
            custom_metadata: proposed.custom_metadata.clone(),
            data: proposed.data.clone(),
        });
        let body = Entry { records: records.collect() }.encode_to_vec();
        let length = u32::try_from(body.len()).map_err(|_| io::Error::other("an append is too large"))?;
        if let Some(file) = &mut self.file {
            let bytes = [length.to_le_bytes().as_slice(), &body].concat();
            file.write_all(&bytes).inspect_err(|_| {
                // What was written of it would be taken for the beginning of what comes next.
                let _ = file.set_len(self.end).and_then(|()| file.seek(SeekFrom::Start(self.end)));
            })?;
        }
        let first = self.next_position();
        self.end = first + u64::from(length);
        let place =
            |(position, (revision, proposed))| Event { position, stream: Arc::clone(stream), revision, proposed };
        Ok((first..).zip(events).map(place).collect())
    }
}

/// The entries that are whole, and where they end.
fn read(mut bytes: &[u8]) -> io::Result<(u64, Vec<Vec<Event>>)> {
    let (mut end, mut entries) = (MARK.len() as u64, Vec::new());
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let Some(body) = rest.get(..u32::from_le_bytes(*length) as usize) else { break };
        let entry = Entry::decode(body).map_err(io::Error::other)?;
        let first = end + LENGTH_BYTES;
        let events = (first..).zip(entry.records).map(|(position, record)| event(position, record));
        entries.push(events.collect::<io::Result<_>>()?);
        end = first + body.len() as u64;
        bytes = &rest[body.len()..];
    }
    Ok((end, entries))
}

fn event(position: u64, record: Record) -> io::Result<Event> {
    Ok(Event {
        position,
        stream: record.stream.into(),
        revision: record.revision,
        proposed: Proposed {
            id: Uuid::from_slice(&record.id).map_err(io::Error::other)?,
            metadata: record.metadata,
            custom_metadata: record.custom_metadata,
            data: record.data,
        },
    })
}
