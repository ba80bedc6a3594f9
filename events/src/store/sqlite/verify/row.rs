//! A row as SQLite shows it, borrowed, and whether it fits its own hash. Nothing is copied and nothing parsed as JSON.

use rusqlite::Row;
use uuid::Uuid;

use super::super::writer::TOMBSTONE;
use crate::{
    envelope::{Digest, HASH_SUFFIX_LEN, hash_parts, time_of},
    stream::Kind,
};

const TIME_FIRST: &[u8] = br#"{"time":""#;
const TIME: &[u8] = br#","time":""#;
const ZEROS: &[u8] = &[b'0'; 64];

#[derive(Debug, Clone, Copy)]
pub(super) struct StoredRow<'a> {
    pub(super) position: i64,
    pub(super) stream: &'a str,
    pub(super) revision: i64,
    pub(super) event_type: &'a [u8],
    pub(super) data: &'a [u8],
    id: &'a [u8],
    at: &'a [u8],
    metadata: &'a [u8],
    hash: &'a [u8],
}

impl<'a> StoredRow<'a> {
    /// Takes a row of the reader's columns; `None` when a column does not even have its type.
    pub(super) fn of(row: &'a Row<'_>) -> Option<Self> {
        let bytes = |column| row.get_ref(column).ok()?.as_bytes().ok();
        Some(Self {
            position: row.get(0).ok()?,
            stream: std::str::from_utf8(bytes(1)?).ok()?,
            revision: row.get(2).ok()?,
            id: bytes(3)?,
            event_type: bytes(4)?,
            at: bytes(5)?,
            data: bytes(6)?,
            metadata: bytes(7)?,
            hash: bytes(8)?,
        })
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        Kind::of(self.stream)
    }

    pub(super) fn is_tombstone(&self) -> bool {
        self.event_type == TOMBSTONE.as_bytes()
    }

    /// Whether it is what the store writes for a tombstone.
    pub(super) fn is_whole_tombstone(&self) -> bool {
        self.data == b"{}" && self.metadata == b"{}" && self.hash == ZEROS
    }

    /// The hash that it is said to have.
    pub(super) fn told_hash(&self) -> Option<[u8; 32]> {
        decode(self.hash)
    }

    /// The hash that its metadata ends with.
    pub(super) fn sealed_hash(metadata: &[u8]) -> Option<[u8; 32]> {
        let (_, suffix) = metadata.split_at_checked(metadata.len().checked_sub(HASH_SUFFIX_LEN)?)?;
        decode(suffix.strip_prefix(br#","hash":""#)?.strip_suffix(br#""}"#)?)
    }

    /// Whether every byte of it is what its hash was made of; `previous` as in [`crate::envelope::Place`].
    pub(super) fn is_whole(&self, previous: &[u8; 32]) -> bool {
        self.computed(previous).is_some_and(|computed| {
            let mut hex = [0; 64];
            data_encoding::HEXLOWER.encode_mut(computed.as_bytes(), &mut hex);
            hex == *self.hash && self.metadata.ends_with(&suffix(&hex)) && self.has_time()
        })
    }

    fn computed(&self, previous: &[u8; 32]) -> Option<Digest> {
        let unhashed = self.metadata.get(..self.metadata.len().checked_sub(HASH_SUFFIX_LEN)?)?;
        let revision = u64::try_from(self.revision).ok()?.to_be_bytes();
        let id = Uuid::try_parse_ascii(self.id).ok()?;
        let is_written_so = id.hyphenated().encode_lower(&mut [0; 36]).as_bytes() == self.id;
        let parts = [
            previous.as_slice(),
            self.stream.as_bytes(),
            &revision,
            id.as_bytes(),
            self.event_type,
            self.data,
            unhashed,
        ];
        is_written_so.then(|| hash_parts(parts))
    }

    /// Whether the time is the metadata's. In JSON no string can hold what it is looked for by, as quotes within are
    /// escaped; what is not found so is parsed.
    fn has_time(&self) -> bool {
        let rest = self.metadata.strip_prefix(TIME_FIRST).or_else(|| {
            let at = self.metadata.windows(TIME.len()).position(|window| window == TIME)?;
            self.metadata.get(at + TIME.len()..)
        });
        let is_so = rest.and_then(|rest| rest.strip_prefix(self.at)).is_some_and(|rest| rest.first() == Some(&b'"'));
        is_so || time_of(self.metadata).is_some_and(|time| time.to_string().as_bytes() == self.at)
    }
}

fn suffix(hex: &[u8; 64]) -> [u8; HASH_SUFFIX_LEN] {
    let mut suffix = *br#","hash":"0000000000000000000000000000000000000000000000000000000000000000"}"#;
    suffix[9..73].copy_from_slice(hex);
    suffix
}

fn decode(hex: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let is_hex = hex.len() == 64 && data_encoding::HEXLOWER.decode_mut(hex, &mut bytes).is_ok();
    is_hex.then_some(bytes)
}
