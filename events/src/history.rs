//! An event of an integration as its history shows it: what it changed, from what, to what. Pure, and from the event
//! alone. Of secrets it tells only that they changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    envelope::{Digest, RecordedEvent},
    event::{
        IconSet, IntegrationCreated, IntegrationDeleted, IntegrationEvent, IntegrationUpdated, OwnershipTransferred,
        TagsSet,
    },
    ids::{BlobId, PrincipalId, Revision},
    stored::{self, Error, integration_fact},
    time::Timestamp,
};

/// One event, rendered.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its place in the integration's stream.
    pub revision: Revision,
    /// What happened: the event's type without the version that it is stored in.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Who did it; none for what the service does by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<PrincipalId>,
    /// The request that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Why, in the actor's words. The contract's entry has no such member.
    #[serde(skip)]
    pub reason: Option<String>,
    /// What it changed, in the order of paths within each part; empty for a type that this release does not know.
    pub changes: Vec<Change>,
    /// The event's hash.
    pub hash: Digest,
}

/// Something that an event changed.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// What: a JSON Pointer (RFC 6901), by the names that the integration's detail, shares and tags have.
    pub path: String,
    /// What it was; none when there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<RawValue>>,
    /// What it is now; none when there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Box<RawValue>>,
    /// Set for a secret, of which nothing else is told.
    #[serde(rename = "changed", skip_serializing_if = "std::ops::Not::not")]
    pub is_secret: bool,
}

/// Renders an event of an integration's stream.
///
/// # Errors
/// [`Error::Broken`], [`Error::Misplaced`]. An unknown type is shown by its name.
pub fn entry(recorded: &RecordedEvent) -> Result<Entry, Error> {
    let metadata = stored::metadata(recorded)?;
    let changes = match integration_fact(recorded) {
        Ok(fact) => changes(&fact.event),
        Err(Error::UnknownType { .. }) => Vec::new(),
        Err(error @ (Error::Broken { .. } | Error::Misplaced(_))) => return Err(error),
    };
    Ok(Entry {
        revision: recorded.revision,
        event_type: name(&recorded.event_type).to_owned(),
        at: recorded.at,
        actor: metadata.actor,
        correlation_id: metadata.correlation_id,
        reason: metadata.reason,
        changes,
        hash: recorded.hash,
    })
}

/// A type without its version.
fn name(event_type: &str) -> &str {
    event_type.rsplit_once(".v").map_or(event_type, |(name, _)| name)
}

fn changes(event: &IntegrationEvent) -> Vec<Change> {
    match event {
        IntegrationEvent::Created(created) => of_creation(created),
        IntegrationEvent::Updated(updated) => of_update(updated),
        IntegrationEvent::Deleted(deleted) => of_deletion(deleted),
        IntegrationEvent::Shared(shared) => {
            vec![change(share(&shared.principal), shared.previous.as_ref(), Some(&shared.level))]
        }
        IntegrationEvent::Unshared(unshared) => vec![gone(share(&unshared.principal), &unshared.level)],
        IntegrationEvent::OwnershipTransferred(transfer) => of_transfer(transfer),
        IntegrationEvent::TagsSet(tags) => of_tags(tags),
        IntegrationEvent::IconSet(icon) => vec![of_icon(icon)],
        IntegrationEvent::IconRemoved(icon) => vec![gone("/icon", &blob(icon.blob))],
    }
}

fn of_creation(created: &IntegrationCreated) -> Vec<Change> {
    let mut changes = vec![new("/slug", &created.slug), new("/ownerId", &created.owner)];
    changes.extend(created.library.iter().map(|library| new("/libraryId", library)));
    for (name, value) in members::<Box<RawValue>>(&created.settings) {
        if name == "headers" {
            changes.extend(of_headers(None, Some(&value)));
        } else {
            changes.push(new(pointer(&[&name]), &value));
        }
    }
    let secrets = &created.secrets;
    changes.extend(of_secrets(secrets.client_secret.is_some(), secrets.api_key.is_some(), secrets.headers.keys()));
    changes
}

fn of_update(updated: &IntegrationUpdated) -> Vec<Change> {
    #[derive(Deserialize)]
    struct Stored {
        from: Option<Box<RawValue>>,
        to: Option<Box<RawValue>>,
    }
    let mut changes = Vec::new();
    for (name, Stored { from, to }) in members::<Stored>(&updated.changes) {
        if name == "headers" {
            changes.extend(of_headers(from.as_deref(), to.as_deref()));
        } else {
            changes.push(change(pointer(&[&name]), from.as_ref(), to.as_ref()));
        }
    }
    let secrets = &updated.secrets;
    changes.extend(of_secrets(secrets.client_secret.is_some(), secrets.api_key.is_some(), secrets.headers.keys()));
    changes
}

fn of_deletion(deleted: &IntegrationDeleted) -> Vec<Change> {
    let mut changes = vec![gone("/slug", &deleted.slug), gone("/ownerId", &deleted.owner)];
    changes.extend(deleted.library.iter().map(|library| gone("/libraryId", library)));
    changes.extend(deleted.shares.iter().map(|(principal, level)| gone(share(principal), level)));
    changes.extend(deleted.tags.iter().map(|tag| gone(pointer(&["tags", tag.as_str()]), tag)));
    changes.extend(deleted.icon.map(|icon| gone("/icon", &blob(icon))));
    changes
}

fn of_transfer(transfer: &OwnershipTransferred) -> Vec<Change> {
    let owner = change("/ownerId", Some(&transfer.from), Some(&transfer.to));
    let ended = transfer.ended_share.iter().map(|level| gone(share(&transfer.to), level));
    std::iter::once(owner).chain(ended).collect()
}

/// Each tag that came or went. The event does not tell the order before, so that another order shows the new one alone.
fn of_tags(tags: &TagsSet) -> Vec<Change> {
    if tags.added.is_empty() && tags.removed.is_empty() {
        return vec![new("/tags", &tags.tags)];
    }
    let removed = tags.removed.iter().map(|tag| gone(pointer(&["tags", tag.as_str()]), tag));
    removed.chain(tags.added.iter().map(|tag| new(pointer(&["tags", tag.as_str()]), tag))).collect()
}

fn of_icon(icon: &IconSet) -> Change {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Icon<'a> {
        blob: BlobId,
        media_type: &'a str,
        size: u64,
        sha256: Digest,
    }
    let to = Icon { blob: icon.blob, media_type: icon.media_type.as_str(), size: icon.size, sha256: icon.sha256 };
    Change { to: raw(&to), ..change("/icon", icon.replaces.map(blob).as_ref(), None) }
}

/// What an icon is known by in events that do not say more of it.
fn blob(blob: BlobId) -> BTreeMap<&'static str, BlobId> {
    BTreeMap::from([("blob", blob)])
}

fn of_headers(from: Option<&RawValue>, to: Option<&RawValue>) -> Vec<Change> {
    let parse = |headers: Option<&RawValue>| -> BTreeMap<String, String> {
        headers.and_then(|headers| serde_json::from_str(headers.get()).ok()).unwrap_or_default()
    };
    let (from, to) = (parse(from), parse(to));
    let names: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let changed = names.into_iter().filter(|name| from.get(*name) != to.get(*name));
    changed.map(|name| change(pointer(&["headers", name]), from.get(name), to.get(name))).collect()
}

fn of_secrets<'a>(
    client_secret: bool,
    api_key: bool,
    headers: impl Iterator<Item = &'a String>,
) -> impl Iterator<Item = Change> {
    let fields = [("/clientSecret", client_secret), ("/apiKey", api_key)];
    let fields = fields.into_iter().filter(|(_, is_changed)| *is_changed).map(|(path, _)| path.to_owned());
    let paths = fields.chain(headers.map(|name| pointer(&["headers", name])));
    paths.map(|path| Change { path, from: None, to: None, is_secret: true })
}

fn share(principal: &PrincipalId) -> String {
    pointer(&["shares", principal.as_str()])
}

fn pointer(names: &[&str]) -> String {
    names.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

fn new<T: Serialize>(path: impl Into<String>, to: &T) -> Change {
    change(path, None, Some(to))
}

fn gone<T: Serialize>(path: impl Into<String>, from: &T) -> Change {
    change(path, Some(from), None)
}

fn change<T: Serialize>(path: impl Into<String>, from: Option<&T>, to: Option<&T>) -> Change {
    Change { path: path.into(), from: from.and_then(raw), to: to.and_then(raw), is_secret: false }
}

/// The JSON of a value, verbatim where it is kept so; null is nothing.
fn raw<T: Serialize>(value: &T) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value).ok().filter(|raw| raw.get() != "null")
}

/// The members of what is stored as a JSON object.
fn members<T: serde::de::DeserializeOwned>(stored: &impl Serialize) -> BTreeMap<String, T> {
    let text = serde_json::to_string(stored).expect("settings are structs with string keys");
    serde_json::from_str(&text).expect("what was just written can be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_escaped_as_json_pointers_are() {
        assert_eq!(pointer(&["shares", "a/b~c"]), "/shares/a~1b~0c");
    }
}
