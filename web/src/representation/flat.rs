//! The flat list. It is as long as what somebody may see, so that its bytes are written by hand: three times as fast as by
//! way of the types, which describe it, and with which a test compares it.

use std::borrow::Borrow;

use events::{
    ids::{IntegrationId, TagId},
    integration::Integration,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// About how many bytes an item takes.
const ITEM_BYTES: usize = 320;

/// An integration in the flat list of galleries and pickers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlatIntegration<'a> {
    /// Unique within the tenant.
    #[schema(value_type = String, format = "uuid")]
    id: IntegrationId,
    /// The name that people see.
    name: &'a str,
    /// The readable name in paths.
    slug: &'a str,
    /// The driver's type.
    r#type: &'a str,
    /// What kind of service it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    /// A description for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// `per-user` or `shared`.
    mode: &'a str,
    /// `oauth2`, `apikey`, `basic` or `bearer`.
    auth_type: &'a str,
    /// Who owns it.
    owner_id: &'a str,
    /// Whether it belongs to a library.
    embedded: bool,
    /// Whether it has a share.
    shared: bool,
    /// Tag ids, in the order given.
    #[schema(value_type = Vec<String>)]
    tags: &'a [TagId],
    /// With whom it is shared, sorted by principal.
    sharing: Vec<Grant<'a>>,
}

/// What a principal may do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant<'a> {
    /// The user or team.
    principal_id: &'a str,
    /// 1 read, 2 write, 3 admin.
    #[schema(minimum = 1, maximum = 3)]
    access_level: u8,
}

/// The JSON of a flat list: an array of [`FlatIntegration`].
#[must_use]
pub fn to_flat_json(integrations: &[impl Borrow<Integration>]) -> Vec<u8> {
    let mut json = Vec::with_capacity(integrations.len() * ITEM_BYTES + 2);
    json.push(b'[');
    for (at, integration) in integrations.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        write_item(&mut json, integration.borrow());
    }
    json.push(b']');
    json
}

fn write_item(json: &mut Vec<u8>, integration: &Integration) {
    let settings = &integration.settings;
    json.extend_from_slice(b"{\"id\":\"");
    json.extend_from_slice(integration.id.uuid().hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    json.extend_from_slice(b"\",\"name\":");
    write_text(json, &settings.name);
    json.extend_from_slice(b",\"slug\":");
    write_text(json, integration.slug.as_str());
    json.extend_from_slice(b",\"type\":");
    write_text(json, &settings.r#type);
    for (name, text) in [("category", &settings.category), ("description", &settings.description)] {
        if let Some(text) = text {
            json.extend_from_slice(b",\"");
            json.extend_from_slice(name.as_bytes());
            json.extend_from_slice(b"\":");
            write_text(json, text);
        }
    }
    json.extend_from_slice(b",\"mode\":");
    write_text(json, settings.mode.as_str());
    json.extend_from_slice(b",\"authType\":");
    write_text(json, settings.auth_type.as_str());
    json.extend_from_slice(b",\"ownerId\":");
    write_text(json, integration.owner.as_str());
    json.extend_from_slice(if integration.library.is_some() { b",\"embedded\":true" } else { b",\"embedded\":false" });
    json.extend_from_slice(if integration.shares.is_empty() { b",\"shared\":false" } else { b",\"shared\":true" });
    json.extend_from_slice(b",\"tags\":[");
    for (at, tag) in integration.tags.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        write_text(json, tag.as_str());
    }
    json.extend_from_slice(b"],\"sharing\":[");
    for (at, (principal, share)) in integration.shares.iter().enumerate() {
        json.extend_from_slice(if at > 0 { b",{\"principalId\":" } else { b"{\"principalId\":" });
        write_text(json, principal.as_str());
        json.extend_from_slice(b",\"accessLevel\":");
        json.push(b'0' + u8::from(share.level));
        json.push(b'}');
    }
    json.extend_from_slice(b"]}");
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (byte >= b' ' && byte != b'"' && byte != b'\\'));
    if is_plain {
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    } else {
        json.extend_from_slice(&super::to_json(&text));
    }
}

#[cfg(test)]
mod tests;
