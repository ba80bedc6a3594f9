//! What an update does: settings and secrets together, with the rule that secrets belong to the origins that they were
//! given for.

use std::collections::BTreeMap;

use events::{
    driver::Catalogue,
    event::{IntegrationEvent, IntegrationUpdated, SecretChange, SecretChanges},
    limits,
    principal::Level,
    seal::Sealed,
    settings::{ApiKeyLocation, AuthType, Changes, Data, Headers, Mode, Settings},
    uri::{HttpUri, ImageUrl, Origin},
};
use web::problem::Fault;

use super::{Context, Need, Rejection, admit};
use crate::aggregate::{Aggregate, Live, Origins};

/// A field of a patch: not given, given as null, or given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Not given: it stays.
    #[default]
    Absent,
    /// Given as null: it is cleared.
    Null,
    /// Given: it is set.
    Value(T),
}

impl<T> Field<T> {
    /// The value, if one was given.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }

    fn apply(self, target: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *target = None,
            Self::Value(value) => *target = Some(value),
        }
    }
}

/// Which settings are to change, and to what. Those that cannot be cleared have no null.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the setting of the same name")]
pub struct Patch {
    pub name: Option<String>,
    pub r#type: Option<String>,
    pub category: Field<String>,
    pub description: Field<String>,
    pub mode: Option<Mode>,
    pub auth_type: Option<AuthType>,
    pub scope: Field<String>,
    pub auth_uri: Field<HttpUri>,
    pub token_uri: Field<HttpUri>,
    pub revocation_uri: Field<HttpUri>,
    pub api_base_uri: Field<HttpUri>,
    pub client_id: Field<String>,
    pub basic_token_auth: Field<bool>,
    pub api_key_location: Field<ApiKeyLocation>,
    pub api_key_name: Field<String>,
    pub image_url: Field<ImageUrl>,
    pub headers: Field<HeadersPatch>,
    pub data: Option<Data>,
}

/// The headers that were given, by lower-case name.
pub type HeadersPatch = BTreeMap<String, HeaderPatch>;

/// What was given for a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderPatch {
    /// A value that everybody may read.
    Open {
        /// The name as given.
        name: String,
        /// The value.
        value: String,
    },
    /// A secret value, which stands elsewhere.
    Secret,
    /// Null.
    Cleared,
}

/// The secrets that were given or cleared: in clear on their way in, sealed where they are decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPatch<S> {
    /// OAuth client secret.
    pub client_secret: Field<S>,
    /// API key.
    pub api_key: Field<S>,
    /// Secret headers by name as given.
    pub headers: BTreeMap<String, S>,
}

impl<S> Default for SecretPatch<S> {
    fn default() -> Self {
        Self { client_secret: Field::Absent, api_key: Field::Absent, headers: BTreeMap::new() }
    }
}

impl<S> SecretPatch<S> {
    /// Whether any secret was given.
    #[must_use]
    pub fn gives_any(&self) -> bool {
        !self.headers.is_empty()
            || matches!(self.client_secret, Field::Value(_))
            || matches!(self.api_key, Field::Value(_))
    }

    /// Every secret that was given, with the name of its field, made into another.
    pub fn map<T>(&self, make: impl Fn(&str, &S) -> T) -> SecretPatch<T> {
        let field = |name: &str, field: &Field<S>| match field {
            Field::Absent => Field::Absent,
            Field::Null => Field::Null,
            Field::Value(secret) => Field::Value(make(name, secret)),
        };
        let header = |(name, secret): (&String, &S)| {
            (name.clone(), make(&format!("headers/{}", name.to_ascii_lowercase()), secret))
        };
        SecretPatch {
            client_secret: field("clientSecret", &self.client_secret),
            api_key: field("apiKey", &self.api_key),
            headers: self.headers.iter().map(header).collect(),
        }
    }
}

/// An update, as far as it could be understood, with the rules that it breaks by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateIntegration {
    /// The settings.
    pub patch: Patch,
    /// The secrets.
    pub secrets: SecretPatch<Sealed>,
    /// What was found wrong before.
    pub faults: Vec<Fault>,
}

pub(super) fn update(
    state: &Aggregate,
    command: UpdateIntegration,
    at: &Context,
) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = admit(state, &at.caller, &Need::Level(Level::Write))?;
    at.precondition.check(live)?;
    let UpdateIntegration { patch, secrets, mut faults } = command;
    let secrets = secret_changes(live, &patch.headers, secrets);
    let before = &live.integration.settings;
    let after = patch.applied_to(before.clone());
    faults.extend(header_count_fault(live, &after, &secrets));
    faults.extend(api_key_name_fault(&after));
    faults.extend(origin_faults(live, &after, &secrets));
    if !faults.is_empty() {
        return Err(Rejection::Invalid(faults));
    }
    let changes = Changes::between(before, &after);
    let is_change = !changes.is_empty() || !secrets.is_empty();
    Ok(is_change.then(|| IntegrationEvent::Updated(Box::new(IntegrationUpdated { changes, secrets }))))
}

impl Patch {
    /// The settings with this patch.
    #[must_use]
    pub fn applied_to(self, mut settings: Settings) -> Settings {
        let resolves_upload = self.r#type.is_some() || self.data.is_some();
        settings.name = self.name.unwrap_or(settings.name);
        settings.r#type = self.r#type.unwrap_or(settings.r#type);
        settings.mode = self.mode.unwrap_or(settings.mode);
        settings.auth_type = self.auth_type.unwrap_or(settings.auth_type);
        settings.data = self.data.unwrap_or(settings.data);
        self.category.apply(&mut settings.category);
        self.description.apply(&mut settings.description);
        self.scope.apply(&mut settings.scope);
        self.auth_uri.apply(&mut settings.auth_uri);
        self.token_uri.apply(&mut settings.token_uri);
        self.revocation_uri.apply(&mut settings.revocation_uri);
        self.api_base_uri.apply(&mut settings.api_base_uri);
        self.client_id.apply(&mut settings.client_id);
        self.basic_token_auth.apply(&mut settings.basic_token_auth);
        self.api_key_location.apply(&mut settings.api_key_location);
        self.api_key_name.apply(&mut settings.api_key_name);
        self.image_url.apply(&mut settings.image_url);
        settings.headers = open_headers(self.headers, settings.headers);
        if resolves_upload {
            settings.supports_upload = supports_upload(&settings);
        }
        settings
    }
}

/// What `data` says, else what the driver says.
fn supports_upload(settings: &Settings) -> bool {
    let driver = Catalogue::built_in().get(&settings.r#type);
    settings.data.supports_upload().unwrap_or_else(|| driver.is_some_and(|driver| driver.supports_upload))
}

fn open_headers(patch: Field<HeadersPatch>, before: Headers) -> Headers {
    let given = match patch {
        Field::Absent => return before,
        Field::Null => return Headers::default(),
        Field::Value(given) => given,
    };
    let mut headers = Headers::default();
    for header in given.values() {
        match header {
            HeaderPatch::Open { name, value } => headers.set(name, value),
            HeaderPatch::Secret | HeaderPatch::Cleared => {}
        }
    }
    headers
}

fn secret_changes(live: &Live, headers: &Field<HeadersPatch>, secrets: SecretPatch<Sealed>) -> SecretChanges {
    let names = &live.integration.secrets;
    let change = |field: Field<Sealed>, exists: bool| match field {
        Field::Absent => None,
        Field::Null => exists.then_some(SecretChange::Cleared),
        Field::Value(sealed) => Some(SecretChange::Set(sealed)),
    };
    // A name is open or secret, never both: whatever else was given under the name of a secret header ends it.
    let is_ended = |lower: &str| match headers {
        Field::Absent => false,
        Field::Null => true,
        Field::Value(given) => given.get(lower).is_some_and(|header| *header != HeaderPatch::Secret),
    };
    let ended = names.headers.iter().filter(|(lower, _)| is_ended(lower));
    let ended = ended.map(|(_, name)| (name.clone(), SecretChange::Cleared));
    let set = secrets.headers.into_iter().map(|(name, sealed)| (name, SecretChange::Set(sealed)));
    SecretChanges {
        client_secret: change(secrets.client_secret, names.client_secret),
        api_key: change(secrets.api_key, names.api_key),
        headers: ended.chain(set).collect(),
    }
}

fn header_count_fault(live: &Live, after: &Settings, secrets: &SecretChanges) -> Option<Fault> {
    let given: BTreeMap<_, _> =
        secrets.headers.iter().map(|(name, change)| (name.to_ascii_lowercase(), change)).collect();
    let kept = live.integration.secrets.headers.keys().filter(|name| !given.contains_key(*name)).count();
    let set = given.values().filter(|change| **change != &SecretChange::Cleared).count();
    let is_too_many = after.headers.len() + kept + set > limits::HEADERS_MAX;
    is_too_many.then(|| Fault::new("/headers", format!("an integration has at most {} headers", limits::HEADERS_MAX)))
}

/// An API key that goes into a header needs a header's name (RFC 9110 §5.1).
#[must_use]
pub fn api_key_name_fault(settings: &Settings) -> Option<Fault> {
    let name = settings.api_key_name.as_deref()?;
    let is_header = settings.api_key_location == Some(ApiKeyLocation::Header);
    let is_token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    (is_header && !is_token)
        .then(|| Fault::new("/apiKeyName", "must be a header's name (RFC 9110) when the key goes into a header"))
}

/// One of the four origins.
type OriginOf = fn(&Origins) -> &Option<Origin>;

/// Whoever may write must not be able to send stored secrets to a place of his own choice.
fn origin_faults(live: &Live, after: &Settings, changes: &SecretChanges) -> Vec<Fault> {
    let now = Origins::of(after);
    let touched: Vec<_> = changes.headers.keys().map(|name| name.to_ascii_lowercase()).collect();
    let origins = &live.origins;
    let client_secret = origins.client_secret.iter().filter(|_| changes.client_secret.is_none());
    let api_key = origins.api_key.iter().filter(|_| changes.api_key.is_none());
    let headers = origins.headers.iter().filter(|(name, _)| !touched.contains(name)).map(|(_, origins)| origins);
    let kept: Vec<_> = client_secret.chain(api_key).chain(headers).collect();
    let uris: [(&str, OriginOf); 4] = [
        ("/authUri", |origins| &origins.auth_uri),
        ("/tokenUri", |origins| &origins.token_uri),
        ("/revocationUri", |origins| &origins.revocation_uri),
        ("/apiBaseUri", |origins| &origins.api_base_uri),
    ];
    let is_foreign = |of: OriginOf| of(&now).is_some() && kept.iter().any(|remembered| of(remembered) != of(&now));
    let foreign = uris.into_iter().filter(|(_, of)| is_foreign(*of));
    foreign
        .map(|(pointer, _)| {
            Fault::new(pointer, "has another origin than the stored secrets were given for: give the secret again")
        })
        .collect()
}
