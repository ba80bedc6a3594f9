//! What a PUT can set on an integration: the one list of settings, and what changed between two of them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::uri::{HttpUri, ImageUrl};

/// Declares [`Settings`] and [`Changes`] from one list of fields.
macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// What a PUT can set, secrets apart.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct Settings {
            $($(#[$doc])* #[serde(skip_serializing_if = "Unset::is_unset")] pub $field: $type,)*
        }

        /// Each changed setting, before and after.
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct Changes {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<Change<$type>>,)*
        }

        impl Changes {
            /// What turns `before` into `after`.
            #[must_use]
            pub fn between(before: &Settings, after: &Settings) -> Self {
                Self { $($field: Change::between(&before.$field, &after.$field),)* }
            }

            /// Whether nothing changed.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                true $(&& self.$field.is_none())*
            }

            /// Makes the changes.
            pub fn apply(&self, settings: &mut Settings) {
                $(if let Some(change) = &self.$field {
                    settings.$field.clone_from(&change.to);
                })*
            }
        }
    };
}

settings! {
    /// The name that people see, 1 to 200 characters.
    name: String,
    /// The driver's type, from the catalogue or free.
    r#type: String,
    /// What kind of service it is, e.g. `storage`.
    category: Option<String>,
    /// A description for people.
    description: Option<String>,
    /// Whether each user connects for himself.
    mode: Mode,
    /// How calls are authenticated.
    auth_type: AuthType,
    /// OAuth scopes, separated by single spaces.
    scope: Option<String>,
    /// OAuth authorization endpoint.
    auth_uri: Option<HttpUri>,
    /// OAuth token endpoint.
    token_uri: Option<HttpUri>,
    /// OAuth revocation endpoint.
    revocation_uri: Option<HttpUri>,
    /// What the paths of proxied requests are joined to.
    api_base_uri: Option<HttpUri>,
    /// OAuth client id.
    client_id: Option<String>,
    /// Whether token requests carry the client's credentials in the Authorization header.
    basic_token_auth: Option<bool>,
    /// Where an API key goes.
    api_key_location: Option<ApiKeyLocation>,
    /// The header or query parameter that an API key goes into.
    api_key_name: Option<String>,
    /// Where the icon is when none was uploaded.
    image_url: Option<ImageUrl>,
    /// Custom headers that are no secrets.
    #[serde(default)]
    headers: Headers,
    /// Driver-specific configuration, public to all who may read.
    data: Data,
    /// Whether files can be uploaded through it, as resolved when the command was accepted.
    supports_upload: bool,
}

/// A value that is left out of stored JSON: what its absence means is its default. One that always stands there is not
/// made up when it is missing: the event is broken.
trait Unset {
    fn is_unset(&self) -> bool;
}

impl<T> Unset for Option<T> {
    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl Unset for Headers {
    fn is_unset(&self) -> bool {
        self.0.is_empty()
    }
}

/// Settings that always stand in stored JSON.
macro_rules! always_set {
    ($($type:ty),*) => {
        $(impl Unset for $type {
            fn is_unset(&self) -> bool {
                false
            }
        })*
    };
}

always_set!(String, bool, Mode, AuthType, Data);

/// One setting before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<T> {
    /// What it was.
    pub from: T,
    /// What it is now.
    pub to: T,
}

impl<T: Clone + PartialEq> Change<T> {
    fn between(from: &T, to: &T) -> Option<Self> {
        (from != to).then(|| Self { from: from.clone(), to: to.clone() })
    }
}

/// An enum whose values have one stable text each.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $($(#[$variant_doc:meta])* $variant:ident = $text:literal),*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// The rule that the text of a value keeps.
            pub const RULE: &'static str = $rule;

            /// The text of the value.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl FromStr for $name {
            type Err = &'static str;
            fn from_str(text: &str) -> Result<Self, &'static str> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(Self::RULE),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

text_enum! {
    /// Who connects: each user for himself, or one for all.
    Mode, "must be per-user or shared",
    /// Each user for himself.
    #[default] PerUser = "per-user",
    /// One for all.
    Shared = "shared"
}

text_enum! {
    /// How calls through an integration are authenticated.
    AuthType, "must be oauth2, apikey, basic or bearer",
    /// OAuth 2.0 (RFC 6749).
    #[default] Oauth2 = "oauth2",
    /// An API key in a header or query parameter.
    ApiKey = "apikey",
    /// HTTP Basic (RFC 7617).
    Basic = "basic",
    /// A bearer token (RFC 6750).
    Bearer = "bearer"
}

text_enum! {
    /// Where an API key goes.
    ApiKeyLocation, "must be header or query",
    /// Into a header.
    #[default] Header = "header",
    /// Into a query parameter.
    Query = "query"
}

/// Custom headers that are no secrets: each name once without regard to case, in the order of their lower-case names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(BTreeMap<String, (String, String)>);

impl Headers {
    /// Sets a header; one of the same name, in whatever case, is replaced.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_ascii_lowercase(), (name.to_owned(), value.to_owned()));
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.values().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is one of this name, in whatever case.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_ascii_lowercase())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut headers = Self::default();
        for (name, value) in BTreeMap::<String, String>::deserialize(deserializer)? {
            headers.set(&name, &value);
        }
        Ok(headers)
    }
}

/// Driver-specific configuration: the JSON object as it was given (its numbers and the order of its keys), without the
/// white space between.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Data(Box<RawValue>);

impl Data {
    /// Takes a JSON object's text.
    ///
    /// # Errors
    /// When it is not JSON. That it is an object is the caller's to check.
    pub fn new(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The JSON text, as serde_json passes it through verbatim.
    #[must_use]
    pub fn raw(&self) -> &RawValue {
        &self.0
    }

    /// Whether files can be uploaded, if `data.supportsUpload` says so with a boolean.
    #[must_use]
    pub fn supports_upload(&self) -> Option<bool> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Known<'a> {
            #[serde(borrow)]
            supports_upload: Option<&'a RawValue>,
        }
        let known: Known<'_> = serde_json::from_str(self.as_str()).ok()?;
        known.supports_upload?.get().parse().ok()
    }
}

impl Default for Data {
    fn default() -> Self {
        Self::new("{}".to_owned()).expect("an empty object is JSON")
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Data {}
