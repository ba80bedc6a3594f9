//! The bodies of the write routes as the API's description shows them. They are read by hand, so that every fault is
//! told at once; these types are for documentation only.
#![expect(dead_code, reason = "they are described, not made")]

use std::collections::HashMap;

use serde::Deserialize;
use utoipa::ToSchema;

/// Declares a body with the settings and secrets that create and update have in common.
macro_rules! settings_body {
    ($(#[$doc:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(crate) struct $name {
            $($own)*
            /// Category (e.g. storage, communication).
            #[schema(max_length = 64)]
            category: Option<String>,
            /// A description for people.
            #[schema(max_length = 4000)]
            description: Option<String>,
            /// Connection mode: `per-user` or `shared`.
            #[schema(example = "per-user")]
            mode: Option<String>,
            /// `oauth2`, `apikey`, `basic` or `bearer`, in any case.
            #[schema(example = "oauth2")]
            auth_type: Option<String>,
            /// OAuth scopes, separated by spaces.
            #[schema(max_length = 4000)]
            scope: Option<String>,
            /// OAuth authorization endpoint.
            #[schema(max_length = 2048)]
            auth_uri: Option<String>,
            /// OAuth token endpoint.
            #[schema(max_length = 2048)]
            token_uri: Option<String>,
            /// OAuth revocation endpoint.
            #[schema(max_length = 2048)]
            revocation_uri: Option<String>,
            /// Base of the paths of proxied requests.
            #[schema(max_length = 2048)]
            api_base_uri: Option<String>,
            /// OAuth client id.
            #[schema(max_length = 512)]
            client_id: Option<String>,
            /// OAuth client secret: sealed, never shown again.
            #[schema(write_only)]
            client_secret: Option<String>,
            /// Whether token requests carry the client's credentials in the Authorization header.
            basic_token_auth: Option<bool>,
            /// API key: sealed, never shown again.
            #[schema(write_only)]
            api_key: Option<String>,
            /// `header` or `query`.
            api_key_location: Option<String>,
            /// The header or query parameter that the API key goes into.
            api_key_name: Option<String>,
            /// Where the icon is when none was uploaded: a URI, or a path of this host.
            image_url: Option<String>,
            /// Custom headers; values may have the variables `${user.FIELD}` and `${tenant.FIELD}`. Those whose name
            /// tells a secret are sealed, unless their value has a variable. Null or an empty text clears one.
            headers: Option<HashMap<String, Option<String>>>,
            /// Driver-specific configuration, public to all who may read.
            #[schema(value_type = Option<Object>)]
            data: Option<serde_json::Value>,
        }
    };
}

settings_body! {
    /// A new integration.
    CreateBody {
        /// A UUID of the client's own choice.
        #[schema(format = "uuid")]
        id: Option<String>,
        /// The name that people see.
        #[schema(max_length = 200, example = "Google Drive - Engineering")]
        name: String,
        /// Integration driver type, from the catalogue or free.
        #[schema(max_length = 64, example = "google-drive")]
        r#type: String,
        /// Whether it belongs to a library.
        embedded: Option<bool>,
        /// The library that it belongs to.
        #[schema(max_length = 64)]
        library_id: Option<String>,
    }
}

settings_body! {
    /// What is to change. The read-only members of the detail, from `id` to `_links`, may be sent back as GET shows them.
    UpdateBody {
        /// As GET shows it.
        #[schema(format = "uuid")]
        id: Option<String>,
        /// As GET shows it.
        slug: Option<String>,
        /// As GET shows it.
        owner_id: Option<String>,
        /// As GET shows it.
        embedded: Option<bool>,
        /// As GET shows it.
        library_id: Option<String>,
        /// As GET shows it.
        supports_upload: Option<bool>,
        /// As GET shows it.
        has_client_secret: Option<bool>,
        /// As GET shows it.
        has_api_key: Option<bool>,
        /// As GET shows it.
        secret_headers: Option<Vec<String>>,
        /// As GET shows it.
        #[schema(format = "date-time")]
        created_at: Option<String>,
        /// Not looked at.
        updated_at: Option<serde_json::Value>,
        /// Not looked at.
        #[serde(rename = "_links")]
        links: Option<serde_json::Value>,
        /// The name that people see.
        #[schema(max_length = 200)]
        name: Option<String>,
        /// Integration driver type.
        #[schema(max_length = 64)]
        r#type: Option<String>,
    }
}

/// A share.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ShareBody {
    /// 1 read, 2 write, 3 admin.
    #[schema(minimum = 1, maximum = 3)]
    access_level: u8,
}

/// A new owner.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OwnerBody {
    /// A user or team.
    owner_id: String,
}

/// All tags.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagsBody {
    /// Tag ids.
    #[schema(max_items = 100)]
    tags: Vec<String>,
}
