//! What a verified token takes in memory, so that their cache can be bounded in bytes.

use std::mem::size_of;

use serde_json::Value;

use super::Caller;

/// What the cache itself keeps for each entry, roughly, and what the allocator rounds up.
const ENTRY_BYTES: usize = 512;

/// Bytes of a token with its caller, roughly.
pub(super) fn weight(token: &str, caller: &Caller) -> u32 {
    let claims = &caller.claims;
    // The principal has user, tenant and groups once more.
    let ids = 2 * (claims.sub.as_str().len() + claims.tenant.as_str().len());
    let groups: usize = claims.groups.iter().map(|group| 2 * (size_of::<String>() + group.as_str().len())).sum();
    let permissions: usize = claims.permissions.iter().map(|one| size_of::<String>() + one.len()).sum();
    let texts = claims.name.as_ref().map_or(0, String::len) + claims.email.as_ref().map_or(0, String::len);
    let user: usize = claims.user.iter().map(|(name, value)| member(name, value)).sum();
    let bytes = ENTRY_BYTES + token.len() + size_of::<Caller>() + ids + groups + permissions + texts + user;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn member(name: &str, value: &Value) -> usize {
    // A tree keeps its entries in nodes that are half full at least.
    2 * (size_of::<String>() + size_of::<Value>()) + name.len() + content(value)
}

/// What a value has elsewhere, beside itself.
fn content(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 2 * size_of::<Value>() + content(item)).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| member(name, value)).sum(),
    }
}
