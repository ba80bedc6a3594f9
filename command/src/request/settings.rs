//! The settings and secrets of a body.

use events::{
    limits,
    seal::Secret,
    settings::{ApiKeyLocation, AuthType, Data, Mode},
    uri::{HttpUri, ImageUrl, InvalidUri},
};
use web::json::{Json, Member};

use super::{fields::Fields, headers};
use crate::decide::{Field, Patch, SecretPatch};

/// Reads every setting and secret that the body gives.
pub(super) fn read(fields: &mut Fields<'_>) -> (Patch, SecretPatch<Secret>) {
    let mut patch = Patch {
        category: fields.text("category", limits::CATEGORY_CHARS_MAX),
        description: fields.text_with("description", limits::DESCRIPTION_CHARS_MAX, is_description_char),
        scope: fields.parsed_with("scope", scope),
        auth_uri: uri(fields, "authUri"),
        token_uri: uri(fields, "tokenUri"),
        revocation_uri: uri(fields, "revocationUri"),
        api_base_uri: uri(fields, "apiBaseUri"),
        client_id: fields.text("clientId", limits::CLIENT_ID_CHARS_MAX),
        basic_token_auth: fields.boolean("basicTokenAuth"),
        api_key_location: fields.parsed("apiKeyLocation", str::parse::<ApiKeyLocation>, ApiKeyLocation::RULE),
        api_key_name: fields.parsed_with("apiKeyName", api_key_name),
        image_url: fields.parsed_with("imageUrl", |text| text.parse::<ImageUrl>().map_err(rule)),
        data: data(fields),
        ..Patch::default()
    };
    let name = fields.text("name", limits::NAME_CHARS_MAX);
    patch.name = fields.not_null("name", name);
    let driver_type = fields.text("type", limits::TYPE_CHARS_MAX);
    patch.r#type = fields.not_null("type", driver_type);
    let mode = fields.parsed("mode", str::parse::<Mode>, Mode::RULE);
    patch.mode = fields.not_null("mode", mode);
    let auth_type = fields.parsed("authType", |text| text.to_ascii_lowercase().parse::<AuthType>(), AuthType::RULE);
    patch.auth_type = fields.not_null("authType", auth_type);
    let mut secrets = SecretPatch {
        client_secret: secret(fields, "clientSecret"),
        api_key: secret(fields, "apiKey"),
        ..SecretPatch::default()
    };
    (patch.headers, secrets.headers) = headers::read(fields);
    (patch, secrets)
}

fn is_description_char(char: char) -> bool {
    !char.is_control() || matches!(char, '\t' | '\r' | '\n')
}

fn uri(fields: &mut Fields<'_>, name: &str) -> Field<HttpUri> {
    fields.parsed_with(name, |text| text.parse().map_err(rule))
}

fn rule(invalid: InvalidUri) -> String {
    invalid.to_string()
}

/// Scope tokens (RFC 6749 §3.3), joined by single spaces.
fn scope(text: &str) -> Result<String, String> {
    if text.chars().count() > limits::SCOPE_CHARS_MAX {
        return Err(format!("must be at most {} characters", limits::SCOPE_CHARS_MAX));
    }
    let is_token_byte = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let tokens: Vec<_> = text.split(' ').filter(|token| !token.is_empty()).collect();
    if tokens.iter().all(|token| token.bytes().all(is_token_byte)) {
        Ok(tokens.join(" "))
    } else {
        Err("must be scope tokens separated by spaces: visible ASCII without \" and \\".to_owned())
    }
}

fn api_key_name(text: &str) -> Result<String, String> {
    let is_valid = text.len() <= limits::HEADER_NAME_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid {
        Ok(text.to_owned())
    } else {
        Err(format!("must be at most {} characters of visible ASCII", limits::HEADER_NAME_CHARS_MAX))
    }
}

fn secret(fields: &mut Fields<'_>, name: &str) -> Field<Secret> {
    fields.parsed_with(name, |text| {
        if text.len() > limits::SECRET_BYTES_MAX {
            Err(format!("must be at most {} bytes", limits::SECRET_BYTES_MAX))
        } else {
            Ok(Secret::new(text.to_owned()))
        }
    })
}

fn data(fields: &mut Fields<'_>) -> Option<Data> {
    let Member { value, sent_bytes, .. } = match fields.take_field("data") {
        Field::Absent => return None,
        Field::Null => return Some(Data::default()),
        Field::Value(member) => member,
    };
    if !matches!(value, Json::Object(_)) {
        fields.fault("data", "must be an object");
        return None;
    }
    let (is_small, is_flat) = (sent_bytes <= limits::DATA_BYTES_MAX, value.depth() <= limits::DATA_DEPTH_MAX);
    if !is_small {
        fields.fault("data", format!("must be at most {} bytes", limits::DATA_BYTES_MAX));
    }
    if !is_flat {
        fields.fault("data", format!("must be at most {} deep", limits::DATA_DEPTH_MAX));
    }
    if is_small && is_flat { Data::new(value.compact()).ok() } else { None }
}

/// The canonical text of a create's body, each secret replaced by `true`.
pub(super) fn canonical_without_secrets(body: &Json<'_>) -> String {
    let Json::Object(members) = body else {
        return body.canonical();
    };
    let members = members.iter().map(|member| {
        let value = match (member.name.as_str(), &member.value) {
            ("clientSecret" | "apiKey", Json::String(text)) if !text.trim().is_empty() => Json::Bool(true),
            ("headers", Json::Object(given)) => Json::Object(given.iter().map(headers::without_secret).collect()),
            (_, value) => value.clone(),
        };
        Member { value, ..member.clone() }
    });
    Json::Object(members.collect()).canonical()
}
