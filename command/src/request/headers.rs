//! Custom headers: which may be set, which are secrets, which variables they may have.

use std::collections::{BTreeMap, BTreeSet};

use events::{limits, seal::Secret};
use web::json::{Json, Member};

use super::fields::{Fields, Purpose, is_null};
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
        Field::Value(_) => {
            fields.fault("headers", "must be an object");
            return (Field::Absent, BTreeMap::new());
        }
    };
    let is_too_many = members.iter().filter(|member| !is_null(&member.value)).count() > limits::HEADERS_MAX;
    if is_too_many {
        fields.fault("headers", format!("an integration has at most {} headers", limits::HEADERS_MAX));
    }
    let (mut patch, mut secrets) = (HeadersPatch::new(), BTreeMap::new());
    let mut names = BTreeSet::new();
    for Member { name, value, .. } in members {
        let pointer = format!("headers/{}", name.replace('~', "~0").replace('/', "~1"));
        let lower = name.to_ascii_lowercase();
        if let Err(rule) = check_name(&name) {
            fields.fault(&pointer, rule);
        }
        let given = match given(value, fields.purpose()) {
            Ok(Given::Nothing) => continue,
            Ok(given) => Some(given),
            Err(rules) => {
                rules.into_iter().for_each(|rule| fields.fault(&pointer, rule));
                None
            }
        };
        if !names.insert(lower.clone()) {
            fields.fault(&pointer, "is given twice: names are the same but for case");
        }
        match given {
            Some(Given::Value(value)) if is_secret(&name, &value) => {
                secrets.insert(name, Secret::new(value));
                patch.insert(lower, HeaderPatch::Secret);
            }
            Some(Given::Value(value)) => {
                patch.insert(lower, HeaderPatch::Open { name, value });
            }
            Some(Given::Cleared) => {
                patch.insert(lower, HeaderPatch::Cleared);
            }
            Some(Given::Nothing) | None => {}
        }
    }
    if is_too_many { (Field::Absent, BTreeMap::new()) } else { (Field::Value(patch), secrets) }
}

enum Given {
    Nothing,
    Cleared,
    Value(String),
}

fn given(value: Json<'_>, purpose: Purpose) -> Result<Given, Vec<String>> {
    if is_null(&value) {
        return Ok(match purpose {
            Purpose::Create => Given::Nothing,
            Purpose::Update => Given::Cleared,
        });
    }
    let Json::String(value) = value else { return Err(vec!["must be a text".to_owned()]) };
    check_value(value.trim()).map(|()| Given::Value(value.trim().to_owned()))
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

fn check_value(value: &str) -> Result<(), Vec<String>> {
    let mut rules = Vec::new();
    if value.len() > limits::SECRET_BYTES_MAX {
        rules.push(format!("must be at most {} bytes", limits::SECRET_BYTES_MAX));
    }
    if value.chars().any(char::is_control) {
        rules.push("must not have control characters".to_owned());
    }
    if !value.split("${").skip(1).all(begins_with_variable) {
        rules.push("may have only variables ${user.FIELD} and ${tenant.FIELD}".to_owned());
    }
    if rules.is_empty() { Ok(()) } else { Err(rules) }
}

/// Whether what follows `${` is a variable up to a `}`. A custom field of a user or a tenant may have any name.
fn begins_with_variable(rest: &str) -> bool {
    let variable = rest.split_once('}').map(|(variable, _)| variable);
    let field = variable.and_then(|name| name.strip_prefix("user.").or_else(|| name.strip_prefix("tenant.")));
    field.is_some_and(|field| !field.trim().is_empty() && !field.contains(['$', '{']))
}

/// A member of `headers`, its value replaced by `true` if it is a secret.
pub(super) fn without_secret<'a>(member: &Member<'a>) -> Member<'a> {
    let is_secret = matches!(&member.value, Json::String(value) if is_secret(&member.name, value.trim()));
    let value = if is_secret { Json::Bool(true) } else { member.value.clone() };
    Member { value, ..member.clone() }
}
