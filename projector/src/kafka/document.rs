//! The public document of an integration: the members of the API's detail, without links and custom headers, with tags
//! and shares. A test at the root holds it to what the API shows.

use events::{
    ids::{IntegrationId, TagId},
    integration::Integration,
    time::Timestamp,
    uri::HttpUri,
};
use serde::Serialize;
use serde_json::value::RawValue;

/// What the state topic holds of an integration, and what its creation tells.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a> {
    id: IntegrationId,
    name: &'a str,
    slug: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    mode: &'a str,
    auth_type: &'a str,
    owner_id: &'a str,
    embedded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    library_id: Option<&'a str>,
    supports_upload: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    has_client_secret: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_token_auth: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_base_uri: Option<&'a str>,
    has_api_key: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_location: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
    data: &'a RawValue,
    tags: &'a [TagId],
    sharing: Vec<Grant<'a>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What a principal may do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant<'a> {
    pub(super) principal_id: &'a str,
    pub(super) access_level: u8,
}

impl<'a> Document<'a> {
    /// Shows an integration.
    #[must_use]
    pub fn of(integration: &'a Integration) -> Self {
        let settings = &integration.settings;
        let uri = |uri: &'a Option<HttpUri>| uri.as_ref().map(HttpUri::as_str);
        let shares = integration.shares.iter();
        Self {
            id: integration.id,
            name: &settings.name,
            slug: integration.slug.as_str(),
            r#type: &settings.r#type,
            category: settings.category.as_deref(),
            description: settings.description.as_deref(),
            mode: settings.mode.as_str(),
            auth_type: settings.auth_type.as_str(),
            owner_id: integration.owner.as_str(),
            embedded: integration.library.is_some(),
            library_id: integration.library.as_ref().map(|library| library.as_str()),
            supports_upload: settings.supports_upload,
            client_id: settings.client_id.as_deref(),
            has_client_secret: integration.secrets.client_secret,
            basic_token_auth: settings.basic_token_auth,
            scope: settings.scope.as_deref(),
            auth_uri: uri(&settings.auth_uri),
            token_uri: uri(&settings.token_uri),
            revocation_uri: uri(&settings.revocation_uri),
            api_base_uri: uri(&settings.api_base_uri),
            has_api_key: integration.secrets.api_key,
            api_key_location: settings.api_key_location.map(|location| location.as_str()),
            api_key_name: settings.api_key_name.as_deref(),
            image_url: settings.image_url.as_ref().map(|url| url.as_str()),
            data: settings.data.raw(),
            tags: &integration.tags,
            sharing: shares.map(|(principal, share)| Grant::of(principal.as_str(), share.level)).collect(),
            created_at: integration.created_at,
            updated_at: integration.updated_at,
        }
    }
}

impl<'a> Grant<'a> {
    pub(super) fn of(principal_id: &'a str, level: events::principal::Level) -> Self {
        Self { principal_id, access_level: level.into() }
    }
}
