//! The one place that turns an integration into the API's JSON: command and query both answer with it, so that one tag
//! never stands over two different bodies.

use events::{
    ids::{IntegrationId, PrincipalId, TagId},
    integration::{FOLD_VERSION, Integration, Share},
    time::Timestamp,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::conditional::Shape;

mod flat;

pub use flat::{FlatIntegration, Grant, to_flat_json};

/// Changes whenever the same state is rendered to other bytes: every entity tag carries it.
pub const RENDER_VERSION: u32 = 1;

/// The shape of a detail, whose bytes are the same for all who may see it.
pub const DETAIL_SHAPE: Shape<'static> =
    Shape { resource: "integration", version: FOLD_VERSION, query: "", audience: None };

/// The bytes of a JSON answer.
///
/// # Panics
/// Never: representations are structs with string keys.
#[must_use]
pub fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("representations are structs with string keys")
}

/// The path of an integration.
#[must_use]
pub fn integration_href(id: IntegrationId) -> String {
    format!("/api/integrations/{id}")
}

/// A link (HAL).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// A path, or a path template (RFC 6570).
    pub href: String,
    /// Whether `href` is a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templated: Option<bool>,
}

impl Link {
    /// A link to a path.
    #[must_use]
    pub fn to(href: impl Into<String>) -> Self {
        Self { href: href.into(), templated: None }
    }

    /// A link to a template.
    #[must_use]
    pub fn template(href: impl Into<String>) -> Self {
        Self { href: href.into(), templated: Some(true) }
    }
}

/// The link of a resource to itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SelfLink {
    /// Itself.
    #[serde(rename = "self")]
    pub this: Link,
}

/// An integration in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IntegrationItem<'a> {
    #[serde(rename = "_links")]
    links: SelfLink,
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
    /// Whether it belongs to a library.
    embedded: bool,
    /// OAuth scopes, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    /// OAuth authorization endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_uri: Option<&'a str>,
    /// OAuth token endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_uri: Option<&'a str>,
    /// Base of the paths of proxied requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_base_uri: Option<&'a str>,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it changed last.
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
}

impl<'a> IntegrationItem<'a> {
    /// Shows an integration in a list.
    #[must_use]
    pub fn of(integration: &'a Integration) -> Self {
        let settings = &integration.settings;
        Self {
            links: SelfLink { this: Link::to(integration_href(integration.id)) },
            id: integration.id,
            name: &settings.name,
            slug: integration.slug.as_str(),
            r#type: &settings.r#type,
            category: settings.category.as_deref(),
            description: settings.description.as_deref(),
            mode: settings.mode.as_str(),
            auth_type: settings.auth_type.as_str(),
            embedded: integration.library.is_some(),
            scope: settings.scope.as_deref(),
            auth_uri: settings.auth_uri.as_ref().map(|uri| uri.as_str()),
            token_uri: settings.token_uri.as_ref().map(|uri| uri.as_str()),
            api_base_uri: settings.api_base_uri.as_ref().map(|uri| uri.as_str()),
            created_at: integration.created_at,
            updated_at: integration.updated_at,
        }
    }
}

/// The links of an integration's detail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailLinks {
    #[serde(rename = "self")]
    this: Link,
    #[serde(rename = "inf:icon")]
    icon: Link,
    #[serde(rename = "inf:connect")]
    connect: Link,
    #[serde(rename = "inf:connection")]
    connection: Link,
    #[serde(rename = "inf:request")]
    request: Link,
    #[serde(rename = "inf:integration-owner")]
    owner: Link,
    #[serde(rename = "inf:integration-shares")]
    shares: Link,
    #[serde(rename = "inf:integration-share")]
    share: Link,
    #[serde(rename = "inf:integration-tags")]
    tags: Link,
    #[serde(rename = "inf:history")]
    history: Link,
}

impl DetailLinks {
    fn of(id: IntegrationId) -> Self {
        let base = integration_href(id);
        let link = |rest: &str| Link::to(format!("{base}/{rest}"));
        Self {
            this: Link::to(base.clone()),
            icon: link("icon"),
            connect: link("connect"),
            connection: link("connection"),
            request: link("request"),
            owner: link("owner"),
            shares: link("shares"),
            share: Link::template(format!("{base}/shares/{{principalId}}")),
            tags: link("tags"),
            history: link("history"),
        }
    }
}

/// An integration with full details. Secrets are never part of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IntegrationDetail<'a> {
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
    /// The library that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    library_id: Option<&'a str>,
    /// Whether files can be uploaded through it.
    supports_upload: bool,
    /// OAuth client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    /// Whether there is an OAuth client secret.
    has_client_secret: bool,
    /// Whether token requests carry the client's credentials in the Authorization header.
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_token_auth: Option<bool>,
    /// OAuth scopes, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    /// OAuth authorization endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_uri: Option<&'a str>,
    /// OAuth token endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_uri: Option<&'a str>,
    /// OAuth revocation endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_uri: Option<&'a str>,
    /// Base of the paths of proxied requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_base_uri: Option<&'a str>,
    /// Whether there is an API key.
    has_api_key: bool,
    /// `header` or `query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_location: Option<&'a str>,
    /// The header or query parameter that an API key goes into.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_name: Option<&'a str>,
    /// Where the icon is when none was uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
    /// Custom headers that are no secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HashMap<String, String>>)]
    headers: Option<&'a events::settings::Headers>,
    /// The names of the custom headers that are secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    secret_headers: Vec<&'a str>,
    /// Driver-specific configuration, public to all who may read.
    #[schema(value_type = Object)]
    data: &'a RawValue,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it changed last.
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
    #[serde(rename = "_links")]
    links: DetailLinks,
}

impl<'a> IntegrationDetail<'a> {
    /// Shows an integration.
    #[must_use]
    pub fn of(integration: &'a Integration) -> Self {
        let settings = &integration.settings;
        let uri = |uri: &'a Option<events::uri::HttpUri>| uri.as_ref().map(|uri| uri.as_str());
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
            headers: (!settings.headers.is_empty()).then_some(&settings.headers),
            secret_headers: integration.secrets.headers.values().map(String::as_str).collect(),
            data: settings.data.raw(),
            created_at: integration.created_at,
            updated_at: integration.updated_at,
            links: DetailLinks::of(integration.id),
        }
    }
}

/// What the creation of an integration answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreatedIntegration<'a> {
    /// Unique within the tenant.
    #[schema(value_type = String, format = "uuid")]
    id: IntegrationId,
    /// The name that people see.
    name: &'a str,
    /// The readable name in paths.
    slug: &'a str,
    /// The driver's type.
    r#type: &'a str,
    /// `per-user` or `shared`.
    mode: &'a str,
    /// `oauth2`, `apikey`, `basic` or `bearer`.
    auth_type: &'a str,
}

impl<'a> CreatedIntegration<'a> {
    /// Shows a new integration.
    #[must_use]
    pub fn of(integration: &'a Integration) -> Self {
        Self {
            id: integration.id,
            name: &integration.settings.name,
            slug: integration.slug.as_str(),
            r#type: &integration.settings.r#type,
            mode: integration.settings.mode.as_str(),
            auth_type: integration.settings.auth_type.as_str(),
        }
    }
}

/// One share.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareDetail<'a> {
    /// The shared integration.
    #[schema(value_type = String, format = "uuid")]
    integration_id: IntegrationId,
    /// The user or team that it is shared with.
    principal_id: &'a str,
    /// 1 read, 2 write, 3 admin.
    #[schema(minimum = 1, maximum = 3)]
    access_level: u8,
    /// Since when it is shared.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// Since when at this level.
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
}

impl<'a> ShareDetail<'a> {
    /// Shows a share.
    #[must_use]
    pub fn of(integration: IntegrationId, principal: &'a PrincipalId, share: &Share) -> Self {
        Self {
            integration_id: integration,
            principal_id: principal.as_str(),
            access_level: share.level.into(),
            created_at: share.created_at,
            updated_at: share.updated_at,
        }
    }
}

/// The tags of an integration.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TagList<'a> {
    /// Tag ids, in the order given.
    #[schema(value_type = Vec<String>)]
    pub tags: &'a [TagId],
}
