//! Collections in HAL: links, what is embedded, paging.

use events::{
    driver::Driver,
    ids::IntegrationId,
    integration::{Integration, Share},
    limits,
};
use projector::view::access_by_principal::Access;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use web::{
    params::{Params, Query, Times},
    representation::{IntegrationItem, Link, SelfLink, integration_href},
};

/// The query parameters of a page.
pub(crate) const PAGE_PARAMS: [(&str, Times); 2] = [("start", Times::Once), ("limit", Times::Once)];

/// How the query asks for a page, in the API's description.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is described, not made")]
pub(crate) struct PageQuery {
    /// The first item of the page, from 0
    start: Option<u64>,
    /// Items of the page, 1 to 500; 50 if not given
    limit: Option<u64>,
    /// `name`, `createdAt`, `updatedAt` or `type`, with `-` for descending
    sort: Option<String>,
}

/// The part of a collection that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) start: usize,
    pub(crate) limit: usize,
}

impl Page {
    /// The page that the query asks for.
    pub(crate) fn of(params: &mut Params) -> Self {
        let start = params.number("start", 0..=usize::MAX).unwrap_or(0);
        let limit = params.number("limit", 1..=limits::PAGE_LIMIT_MAX).unwrap_or(limits::PAGE_LIMIT_DEFAULT);
        Self { start, limit }
    }
}

/// The links of a collection: to itself, and to other pages as they apply.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageLinks {
    #[serde(rename = "self")]
    this: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Link>,
}

impl PageLinks {
    /// The links of a collection that is not paged.
    pub(crate) fn unpaged(path: &str) -> Self {
        Self { this: Link::to(path), first: None, prev: None, next: None, last: None }
    }

    /// The links of a page of `total` items.
    pub(crate) fn of(path: &str, query: &Query, page: Page, total: usize) -> Self {
        let at = |start: usize| Link::to(format!("{path}{}", query.string(&[("start", start.to_string())])));
        let last = total.saturating_sub(1) / page.limit * page.limit;
        let has_before = page.start > 0;
        let has_after = page.start.saturating_add(page.limit) < total;
        Self {
            this: Link::to(format!("{path}{}", query.string(&[]))),
            first: has_before.then(|| at(0)),
            prev: has_before.then(|| at(page.start.saturating_sub(page.limit).min(last))),
            next: has_after.then(|| at(page.start + page.limit)),
            last: has_after.then(|| at(last_after(page, total))),
        }
    }
}

/// Where the last page begins, counted from the page that is shown.
fn last_after(page: Page, total: usize) -> usize {
    page.start + (total - 1 - page.start) / page.limit * page.limit
}

/// Declares a collection with its relation.
macro_rules! collection {
    ($(#[$doc:meta])* $name:ident, $embedded:ident, $rel:tt, $item:ty) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name<'a> {
            #[serde(rename = "_links")]
            links: PageLinks,
            #[serde(rename = "_embedded")]
            embedded: $embedded<'a>,
            /// Where in the whole collection the items begin, from 0.
            start: usize,
            /// How many items there are here.
            count: usize,
            /// How many items there are in the whole collection.
            total: usize,
        }

        /// The items of the collection.
        #[derive(Debug, Serialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $embedded<'a> {
            #[serde(rename = $rel)]
            items: Vec<$item>,
        }

        impl<'a> $name<'a> {
            /// A page of a collection of `total` items.
            pub(crate) fn new(links: PageLinks, items: Vec<$item>, start: usize, total: usize) -> Self {
                Self { links, count: items.len(), embedded: $embedded { items }, start, total }
            }
        }
    };
}

collection! {
    /// Integrations.
    IntegrationCollection, EmbeddedIntegrations, "inf:integration", IntegrationItem<'a>
}
collection! {
    /// The shares of an integration.
    ShareCollection, EmbeddedShares, "inf:integration-share", ShareItem<'a>
}
collection! {
    /// The driver catalogue.
    DriverCollection, EmbeddedDrivers, "inf:integration-driver", DriverItem<'a>
}

collection! {
    /// What a user or team reaches.
    ReachableCollection, EmbeddedReachable, "inf:integration", ReachableItem<'a>
}

/// An integration that a user or team reaches.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReachableItem<'a> {
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
    /// Who owns it.
    owner_id: &'a str,
    /// Whether it belongs to a library.
    embedded: bool,
    /// What the user or team may do with it: 1 read, 2 write, 3 admin.
    #[schema(minimum = 1, maximum = 3)]
    access_level: u8,
}

impl<'a> ReachableItem<'a> {
    /// Shows an integration that is reached like this.
    pub(crate) fn of(integration: &'a Integration, access: Access) -> Self {
        Self {
            links: SelfLink { this: Link::to(integration_href(integration.id)) },
            id: integration.id,
            name: &integration.settings.name,
            slug: integration.slug.as_str(),
            r#type: &integration.settings.r#type,
            owner_id: integration.owner.as_str(),
            embedded: integration.library.is_some(),
            access_level: access.level().into(),
        }
    }
}

/// A share in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ShareItem<'a> {
    /// The shared integration.
    #[schema(value_type = String, format = "uuid")]
    integration_id: IntegrationId,
    /// The user or team that it is shared with.
    principal_id: &'a str,
    /// 1 read, 2 write, 3 admin.
    #[schema(minimum = 1, maximum = 3)]
    access_level: u8,
    /// The user or team.
    principal: PrincipalItem<'a>,
}

impl<'a> ShareItem<'a> {
    /// Shows a share.
    pub(crate) fn of(integration: IntegrationId, principal: &'a events::ids::PrincipalId, share: &Share) -> Self {
        Self {
            integration_id: integration,
            principal_id: principal.as_str(),
            access_level: share.level.into(),
            principal: PrincipalItem {
                id: principal.as_str(),
                name: principal.name(),
                r#type: principal_type(principal),
            },
        }
    }
}

/// A user or team.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrincipalItem<'a> {
    /// Its id.
    id: &'a str,
    /// The id without `team:`.
    name: &'a str,
    /// `user` or `team`.
    r#type: &'a str,
}

/// `team` for what begins with `team:`, else `user`.
pub(crate) fn principal_type(principal: &events::ids::PrincipalId) -> &'static str {
    if principal.is_team() { "team" } else { "user" }
}

/// A driver.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DriverItem<'a> {
    /// What integrations of it have as their type.
    r#type: &'a str,
    /// Its name, for people.
    name: &'a str,
    /// What kind of service it is.
    category: &'a str,
    /// `oauth2`, `apikey`, `basic` or `bearer`.
    auth_type: &'a str,
    /// Whether files can be uploaded through it.
    supports_upload: bool,
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
    /// The usual OAuth scopes.
    scopes: &'a [String],
}

impl<'a> DriverItem<'a> {
    /// Shows a driver.
    pub(crate) fn of(driver: &'a Driver) -> Self {
        let uri = |uri: &'a Option<events::uri::HttpUri>| uri.as_ref().map(|uri| uri.as_str());
        Self {
            r#type: &driver.r#type,
            name: &driver.name,
            category: &driver.category,
            auth_type: driver.auth_type.as_str(),
            supports_upload: driver.supports_upload,
            auth_uri: uri(&driver.auth_uri),
            token_uri: uri(&driver.token_uri),
            revocation_uri: uri(&driver.revocation_uri),
            api_base_uri: uri(&driver.api_base_uri),
            scopes: &driver.scopes,
        }
    }
}
