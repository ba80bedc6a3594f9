//! Custom headers: which may be set, which are secrets, which variables they may have.

use std::collections::BTreeMap;

use events::{limits, seal::Secret};
use web::json::{Json, Member};

use super::fields::{Fields, Purpose};
use crate::decide::{Field, HeaderPatch, HeadersPatch};

/// A header whose name has one of these in it is a secret, unless its value has a variable.
const SECRET_WORDS: [&str; 8] = ["auth", "token", "secret", "key", "password", "cookie", "session", "signature"];
/// Headers that belong to the connection or to the message's framing (RFC 9110 §7.6.1, RFC 9112 §6).
const FORBIDDEN: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// Reads the member `headers`: the open ones and which names were given, and the secret ones apart.
pub(super) fn read(fields: &mut Fields<'_>) -> (Field<HeadersPatch>, BTreeMap<String, Secret>) {
    let members = match fields.take_field("headers") {
        Field::Absent => return (Field::Absent, BTreeMap::new()),
        Field::Null => return (Field::Null, BTreeMap::new()),
        Field::Value(Member { value: Json::Object(members), .. }) => members,
        Field::Value(Member { value: Json::String(text), .. }) if text.trim().is_empty() => {
            return (fields.null(), BTreeMap::new());
        }
        Field::Value(_) => {
            fields.fault("headers", "must be an object");
            return (Field::Absent, BTreeMap::new());
        }
    };
    if members.iter().filter(|member| member.value != Json::Null).count() > limits::HEADERS_MAX {
        fields.fault("headers", format!("an integration has at most {} headers", limits::HEADERS_MAX));
        return (Field::Absent, BTreeMap::new());
    }
    let (mut patch, mut secrets) = (HeadersPatch::new(), BTreeMap::new());
    for member in members {
        let pointer = format!("headers/{}", member.name.replace('~', "~0").replace('/', "~1"));
        let lower = member.name.to_ascii_lowercase();
        let header = match header(member, fields.purpose()) {
            Ok(header) => header,
            Err(rule) => {
                fields.fault(&pointer, rule);
                continue;
            }
        };
        let header = match header {
            Given::Nothing => continue,
            Given::Header(header) => header,
            Given::Secret(name, secret) => {
                secrets.insert(name, secret);
                HeaderPatch::Secret
            }
        };
        if patch.insert(lower, header).is_some() {
            fields.fault(&pointer, "is given twice: names are the same but for case");
        }
    }
    (Field::Value(patch), secrets)
}

enum Given {
    Nothing,
    Header(HeaderPatch),
    Secret(String, Secret),
}

fn header(member: Member<'_>, purpose: Purpose) -> Result<Given, String> {
    let Member { name, value, .. } = member;
    check_name(&name)?;
    let value = match value {
        Json::String(value) => value,
        Json::Null => {
            return Ok(match purpose {
                Purpose::Create => Given::Nothing,
                Purpose::Update => Given::Header(HeaderPatch::Cleared),
            });
        }
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) | Json::TooDeep => {
            return Err("must be a text".to_owned());
        }
    };
    let value = value.trim().to_owned();
    check_value(&value)?;
    if is_secret(&name, &value) {
        Ok(Given::Secret(name, Secret::new(value)))
    } else {
        Ok(Given::Header(HeaderPatch::Open { name, value }))
    }
}

fn is_secret(name: &str, value: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word)) && !value.contains("${")
}

/// A header's name is a token (RFC 9110 §5.1).
fn check_name(name: &str) -> Result<(), String> {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > limits::HEADER_NAME_CHARS_MAX || !name.bytes().all(is_token_byte) {
        let max = limits::HEADER_NAME_CHARS_MAX;
        return Err(format!("must be named by a token of RFC 9110 of at most {max} characters"));
    }
    if FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
        return Err("belongs to the connection and cannot be set".to_owned());
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), String> {
    if value.len() > limits::SECRET_BYTES_MAX {
        return Err(format!("must be at most {} bytes", limits::SECRET_BYTES_MAX));
    }
    if value.chars().any(char::is_control) {
        return Err("must not have control characters".to_owned());
    }
    check_variables(value)
}

fn check_variables(value: &str) -> Result<(), String> {
    for rest in value.split("${").skip(1) {
        let variable = rest.split_once('}').map(|(variable, _)| variable);
        let field = variable.and_then(|name| name.strip_prefix("user.").or_else(|| name.strip_prefix("tenant.")));
        let is_valid = field.is_some_and(|field| {
            !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        });
        if !is_valid {
            return Err("may have only variables ${user.FIELD} and ${tenant.FIELD}".to_owned());
        }
    }
    Ok(())
}

/// A member of `headers`, its value replaced by `true` if it is a secret.
pub(super) fn without_secret<'a>(member: &Member<'a>) -> Member<'a> {
    let is_secret = matches!(&member.value, Json::String(value) if is_secret(&member.name, value.trim()));
    let value = if is_secret { Json::Bool(true) } else { member.value.clone() };
    Member { value, ..member.clone() }
}
