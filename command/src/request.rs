//! JSON bodies to commands: every fault at once, each with its JSON Pointer.

use std::collections::BTreeMap;

use events::{
    driver::Catalogue,
    envelope::Digest,
    ids::{IntegrationId, LibraryId, PrincipalId, TagId},
    integration::Integration,
    principal::{Level, Principal},
    seal::Secret,
    settings::{ApiKeyLocation, AuthType, Data, Headers, Mode, Settings},
    uri::HttpUri,
};
use serde_json::{Value, value::RawValue};
use web::{
    json::{Json, Member},
    problem::Fault,
    representation::{IntegrationDetail, to_json},
};

use self::fields::{Fields, Purpose};
use crate::decide::{Field, Patch, SecretPatch, UpdateIntegration, api_key_name_fault, tag_count_fault};

mod fields;
mod headers;
pub(crate) mod schema;
mod settings;

/// A create, as asked for.
#[derive(Debug)]
pub(crate) struct CreateRequest {
    pub(crate) id: Option<IntegrationId>,
    pub(crate) library: Option<LibraryId>,
    pub(crate) settings: Settings,
    pub(crate) secrets: SecretPatch<Secret>,
    /// SHA-256 of caller and body, each secret replaced by `true`.
    pub(crate) request: Digest,
}

/// An update, as asked for.
#[derive(Debug)]
pub(crate) struct UpdateRequest {
    pub(crate) patch: Patch,
    pub(crate) secrets: SecretPatch<Secret>,
    faults: Vec<Fault>,
    /// The read-only members that were sent back.
    echoes: Vec<(String, Option<Value>)>,
}

/// The members of a detail that no PUT changes, and that a form may send back as they are.
const READ_ONLY: [&str; 12] = [
    "id",
    "slug",
    "ownerId",
    "embedded",
    "libraryId",
    "supportsUpload",
    "hasClientSecret",
    "hasApiKey",
    "secretHeaders",
    "createdAt",
    "updatedAt",
    "_links",
];

/// Reads the body of a create.
pub(crate) fn create(body: Json<'_>, caller: &Principal) -> Result<CreateRequest, Vec<Fault>> {
    let canonical = settings::canonical_without_secrets(&body);
    let mut fields = Fields::of(body, Purpose::Create)?;
    let (patch, secrets) = settings::read(&mut fields);
    let id = fields.parsed("id", IntegrationId::parse, IntegrationId::RULE).value();
    let library = library(&mut fields);
    if patch.name.is_none() {
        fields.require("name", "must be given");
    }
    if patch.r#type.is_none() {
        fields.require("type", "must be given");
    }
    fields.refuse_rest();
    let settings = with_defaults(patch);
    fields.faults.extend(api_key_name_fault(&settings));
    if fields.faults.is_empty() {
        let request = fingerprint(caller, &canonical);
        Ok(CreateRequest { id, library, settings, secrets, request })
    } else {
        Err(fields.faults)
    }
}

/// The library of an embedded integration: `embedded` and `libraryId` each demand the other.
fn library(fields: &mut Fields<'_>) -> Option<LibraryId> {
    let faults = fields.faults.len();
    let embedded = fields.boolean("embedded").value().unwrap_or(false);
    let embedded_is_faulty = fields.faults.len() > faults;
    let library = fields.id("libraryId", |text| LibraryId::parse(text), LibraryId::RULE).value();
    match (embedded, &library) {
        (true, None) => fields.require("libraryId", "must be given with embedded"),
        (false, Some(_)) if !embedded_is_faulty => fields.fault("libraryId", "must not be given without embedded"),
        (true | false, _) => {}
    }
    library
}

fn fingerprint(caller: &Principal, canonical: &str) -> Digest {
    let id = caller.id.as_str();
    Digest::of(format!("{}:{id}{canonical}", id.len()).as_bytes())
}

/// The settings of a new integration: the defaults, what was given, what the driver contributes.
fn with_defaults(mut patch: Patch) -> Settings {
    let driver_type = patch.r#type.clone().unwrap_or_default();
    let auth_type = patch.auth_type.unwrap_or_default();
    if let Some(driver) = Catalogue::built_in().get(&driver_type).filter(|driver| driver.auth_type == auth_type) {
        let fill = |field: &mut Field<HttpUri>, uri: &Option<HttpUri>| {
            if let (Field::Absent, Some(uri)) = (&field, uri) {
                *field = Field::Value(uri.clone());
            }
        };
        fill(&mut patch.auth_uri, &driver.auth_uri);
        fill(&mut patch.token_uri, &driver.token_uri);
        fill(&mut patch.revocation_uri, &driver.revocation_uri);
        fill(&mut patch.api_base_uri, &driver.api_base_uri);
        fill_text(&mut patch.scope, driver.scope());
        fill_text(&mut patch.category, Some(driver.category.clone()));
    }
    if auth_type == AuthType::ApiKey {
        if patch.api_key_location == Field::Absent {
            patch.api_key_location = Field::Value(ApiKeyLocation::default());
        }
        fill_text(&mut patch.api_key_name, Some("X-API-Key".to_owned()));
    }
    // Whether uploads are supported is resolved where type or data is given, as it is here in any case.
    patch.applied_to(empty_settings())
}

fn fill_text(field: &mut Field<String>, text: Option<String>) {
    if let (Field::Absent, Some(text)) = (&field, text) {
        *field = Field::Value(text);
    }
}

fn empty_settings() -> Settings {
    Settings {
        name: String::new(),
        r#type: String::new(),
        category: None,
        description: None,
        mode: Mode::default(),
        auth_type: AuthType::default(),
        scope: None,
        auth_uri: None,
        token_uri: None,
        revocation_uri: None,
        api_base_uri: None,
        client_id: None,
        basic_token_auth: None,
        api_key_location: None,
        api_key_name: None,
        image_url: None,
        headers: Headers::default(),
        data: Data::default(),
        supports_upload: false,
    }
}

/// Reads the body of an update. What is wrong with it is told when the state is known: a stale tag comes first.
pub(crate) fn update(body: Json<'_>) -> UpdateRequest {
    let mut fields = match Fields::of(body, Purpose::Update) {
        Ok(fields) => fields,
        Err(faults) => {
            let (patch, secrets) = (Patch::default(), SecretPatch::default());
            return UpdateRequest { patch, secrets, faults, echoes: Vec::new() };
        }
    };
    let (patch, secrets) = settings::read(&mut fields);
    let mut echoes = Vec::new();
    for name in READ_ONLY {
        if let Some(Member { value, .. }) = fields.take(name) {
            echoes.push((name.to_owned(), value.to_value()));
        }
    }
    fields.refuse_rest();
    UpdateRequest { patch, secrets, faults: fields.faults, echoes }
}

impl UpdateRequest {
    /// The command, with whatever is wrong with the request in this state.
    pub(crate) fn command(
        &self,
        integration: &Integration,
        secrets: SecretPatch<events::seal::Sealed>,
    ) -> UpdateIntegration {
        let mut faults = self.faults.clone();
        faults.extend(self.echo_faults(integration));
        UpdateIntegration { patch: self.patch.clone(), secrets, faults }
    }

    fn echo_faults(&self, integration: &Integration) -> Vec<Fault> {
        if self.echoes.is_empty() {
            return Vec::new();
        }
        let detail = to_json(&IntegrationDetail::of(integration));
        // Only what was sent back is looked at: `data` may hold numbers that serde_json has no value for.
        let shown: BTreeMap<String, &RawValue> = serde_json::from_slice(&detail).unwrap_or_default();
        let shown = |name: &str| shown.get(name).and_then(|text| serde_json::from_str(text.get()).ok());
        let changed = self.echoes.iter().filter(|(name, sent)| {
            let is_free = matches!(name.as_str(), "_links" | "updatedAt");
            !is_free && *sent != Some(shown(name).unwrap_or(Value::Null))
        });
        changed
            .map(|(name, _)| Fault::new(format!("/{name}"), "cannot be changed: leave it out, or send what GET shows"))
            .collect()
    }
}

/// Reads the body of a share: `{accessLevel}`; no body is level 1.
pub(crate) fn share(body: Option<Json<'_>>) -> Result<Level, Vec<Fault>> {
    let Some(body) = body else {
        return Ok(Level::Read);
    };
    let mut fields = Fields::of(body, Purpose::Create)?;
    let level = fields.take("accessLevel").and_then(|member| level(&member.value));
    if level.is_none() {
        fields.fault("accessLevel", Level::RULE);
    }
    finish(fields, level)
}

fn level(value: &Json<'_>) -> Option<Level> {
    match value {
        Json::Number(text) => text.parse::<u8>().ok().and_then(|number| Level::try_from(number).ok()),
        Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) | Json::TooDeep => None,
    }
}

/// Reads the body of a transfer: `{ownerId}`.
pub(crate) fn owner(body: Json<'_>) -> Result<PrincipalId, Vec<Fault>> {
    let mut fields = Fields::of(body, Purpose::Create)?;
    let owner = fields.id("ownerId", |text| PrincipalId::parse(text), PrincipalId::RULE).value();
    if owner.is_none() {
        fields.require("ownerId", PrincipalId::RULE);
    }
    finish(fields, owner)
}

/// Reads the body of a replacement of tags: `{tags}`.
pub(crate) fn tags(body: Json<'_>) -> Result<Vec<TagId>, Vec<Fault>> {
    let mut fields = Fields::of(body, Purpose::Create)?;
    let Some(Member { value: Json::Array(items), .. }) = fields.take("tags") else {
        fields.fault("tags", "must be an array of tag ids");
        return finish(fields, None);
    };
    let mut tags = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        match text(item).and_then(|id| TagId::parse(id).ok()) {
            Some(tag) => tags.push(tag),
            None => fields.fault(&format!("tags/{at}"), TagId::RULE),
        }
    }
    fields.faults.extend(tag_count_fault(&tags));
    finish(fields, Some(tags))
}

fn text(value: Json<'_>) -> Option<String> {
    match value {
        Json::String(text) => Some(text),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) | Json::TooDeep => None,
    }
}

fn finish<T>(mut fields: Fields<'_>, read: Option<T>) -> Result<T, Vec<Fault>> {
    fields.refuse_rest();
    match read {
        Some(read) if fields.faults.is_empty() => Ok(read),
        Some(_) | None => Err(fields.faults),
    }
}
