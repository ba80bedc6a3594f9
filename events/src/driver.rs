//! The driver catalogue: what is known of the services that integrations connect to, and the check of its file.

use std::{fmt, sync::LazyLock};

use serde::Deserialize;
use thiserror::Error;

use crate::{limits, settings::AuthType, uri::HttpUri};

/// What is known of one service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// The type that an integration names it by, e.g. `google-drive`.
    pub r#type: String,
    /// The name that people know it by.
    pub name: String,
    /// What kind of service it is, e.g. `storage`.
    pub category: String,
    /// How its calls are authenticated.
    pub auth_type: AuthType,
    /// Whether files can be put there.
    pub supports_upload: bool,
    /// OAuth authorization endpoint.
    pub auth_uri: Option<HttpUri>,
    /// OAuth token endpoint.
    pub token_uri: Option<HttpUri>,
    /// Where a token can be sent to be revoked; many services have no such endpoint.
    pub revocation_uri: Option<HttpUri>,
    /// What the paths of requests are joined to.
    pub api_base_uri: Option<HttpUri>,
    /// The OAuth scopes that are usually asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Where it tells whose credentials it was called with.
    pub account: Option<AccountEndpoint>,
    /// The URIs that are unset because each customer has a host of his own.
    #[serde(default)]
    pub per_customer_host: Vec<PerCustomerUri>,
    /// The vendor's page that all this was taken from.
    pub source: HttpUri,
}

/// Where a service tells, when asked with GET, whose credentials it was called with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountEndpoint {
    /// A path under the API base URI, beginning with `/`; or an `https` URI when it is elsewhere.
    pub path: String,
    /// JSON Pointer (RFC 6901) to the account's email address.
    pub email: Option<String>,
    /// JSON Pointer to the name that people see.
    pub display_name: Option<String>,
    /// JSON Pointer to the account's id, a string or a number.
    pub account_id: Option<String>,
}

/// A URI of a driver that can be each customer's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PerCustomerUri {
    /// [`Driver::auth_uri`].
    AuthUri,
    /// [`Driver::token_uri`].
    TokenUri,
    /// [`Driver::revocation_uri`].
    RevocationUri,
    /// [`Driver::api_base_uri`].
    ApiBaseUri,
}

impl fmt::Display for PerCustomerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AuthUri => "auth_uri",
            Self::TokenUri => "token_uri",
            Self::RevocationUri => "revocation_uri",
            Self::ApiBaseUri => "api_base_uri",
        })
    }
}

/// The drivers, in the order of their types.
///
/// ```
/// use events::driver::Catalogue;
/// let driver = Catalogue::built_in().get("google-drive").unwrap();
/// assert_eq!(driver.scope().as_deref(), Some("https://www.googleapis.com/auth/drive.readonly"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue(Vec<Driver>);

impl Catalogue {
    /// The catalogue in the repository, `drivers.toml`.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| {
            Catalogue::parse(include_str!("../drivers.toml")).expect("the tests have parsed the built-in catalogue")
        });
        &BUILT_IN
    }

    /// Reads and checks a catalogue.
    ///
    /// # Errors
    /// When it is not TOML of this form, or a driver in it is not what it should be.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let File { driver: mut drivers } = toml::from_str(text)?;
        for driver in &drivers {
            driver.check().map_err(|fault| CatalogueError::of(driver, fault))?;
        }
        drivers.sort_by(|left, right| left.r#type.cmp(&right.r#type));
        match drivers.windows(2).find(|pair| pair[0].r#type == pair[1].r#type) {
            Some(pair) => Err(CatalogueError::of(&pair[0], Fault::Duplicate)),
            None => Ok(Self(drivers)),
        }
    }

    /// The driver of this type.
    #[must_use]
    pub fn get(&self, r#type: &str) -> Option<&Driver> {
        let at = self.0.binary_search_by(|driver| driver.r#type.as_str().cmp(r#type)).ok()?;
        self.0.get(at)
    }

    /// Every driver, in the order of the types.
    pub fn iter(&self) -> impl Iterator<Item = &Driver> {
        self.0.iter()
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

/// The form of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    driver: Vec<Driver>,
}

/// Why a text is not a catalogue.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// It is not TOML of the catalogue's form; the message shows the place.
    #[error("not a list of drivers: {0}")]
    Form(#[from] toml::de::Error),
    /// A driver in it is not what it should be.
    #[error("driver {driver:?}: {fault}")]
    Driver {
        /// The driver's type.
        driver: String,
        /// What is wrong with it.
        fault: Fault,
    },
}

impl CatalogueError {
    fn of(driver: &Driver, fault: Fault) -> Self {
        Self::Driver { driver: driver.r#type.clone(), fault }
    }
}

/// What is wrong with a driver.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// Another driver has the same type.
    #[error("its type is there twice")]
    Duplicate,
    /// The type is empty or too long.
    #[error("its type must be 1 to {} characters", limits::TYPE_CHARS_MAX)]
    Type,
    /// The name is empty or too long.
    #[error("its name must be 1 to {} characters", limits::NAME_CHARS_MAX)]
    Name,
    /// The category is empty or too long.
    #[error("its category must be 1 to {} characters", limits::CATEGORY_CHARS_MAX)]
    Category,
    /// OAuth does not work without this URI, and it is not each customer's own either.
    #[error("{0} is missing")]
    Missing(PerCustomerUri),
    /// The URI cannot be set and each customer's own at once.
    #[error("{0} is set although per_customer_host names it")]
    SetPerCustomer(PerCustomerUri),
    /// A scope that could not be sent among others.
    #[error("{0:?} is not a scope-token of RFC 6749")]
    Scope(String),
    /// The account endpoint is neither a path nor an `https` URI.
    #[error("account.path must begin with a single / or be an https URI")]
    AccountPath,
    /// A JSON Pointer that does not begin with `/`.
    #[error("{0:?} is not a JSON Pointer that begins with /")]
    Pointer(String),
    /// The source is not an `https` URI.
    #[error("its source must be an https URI")]
    Source,
}

impl Driver {
    /// The usual scopes, separated by single spaces; none when there are no scopes.
    #[must_use]
    pub fn scope(&self) -> Option<String> {
        (!self.scopes.is_empty()).then(|| self.scopes.join(" "))
    }

    fn check(&self) -> Result<(), Fault> {
        ensure(is_text(&self.r#type, limits::TYPE_CHARS_MAX), || Fault::Type)?;
        ensure(is_text(&self.name, limits::NAME_CHARS_MAX), || Fault::Name)?;
        ensure(is_text(&self.category, limits::CATEGORY_CHARS_MAX), || Fault::Category)?;
        self.check_uris()?;
        for scope in &self.scopes {
            ensure(is_scope_token(scope), || Fault::Scope(scope.clone()))?;
        }
        if let Some(account) = &self.account {
            account.check()?;
        }
        ensure(is_https(&self.source), || Fault::Source)
    }

    fn check_uris(&self) -> Result<(), Fault> {
        for own in &self.per_customer_host {
            ensure(self.uri(*own).is_none(), || Fault::SetPerCustomer(*own))?;
        }
        if self.auth_type == AuthType::Oauth2 {
            for needed in [PerCustomerUri::AuthUri, PerCustomerUri::TokenUri] {
                let known = self.uri(needed).is_some() || self.per_customer_host.contains(&needed);
                ensure(known, || Fault::Missing(needed))?;
            }
        }
        Ok(())
    }

    fn uri(&self, which: PerCustomerUri) -> Option<&HttpUri> {
        match which {
            PerCustomerUri::AuthUri => self.auth_uri.as_ref(),
            PerCustomerUri::TokenUri => self.token_uri.as_ref(),
            PerCustomerUri::RevocationUri => self.revocation_uri.as_ref(),
            PerCustomerUri::ApiBaseUri => self.api_base_uri.as_ref(),
        }
    }
}

impl AccountEndpoint {
    fn check(&self) -> Result<(), Fault> {
        ensure(is_account_path(&self.path), || Fault::AccountPath)?;
        for pointer in [&self.email, &self.display_name, &self.account_id].into_iter().flatten() {
            ensure(pointer.starts_with('/'), || Fault::Pointer(pointer.clone()))?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, fault: impl FnOnce() -> Fault) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(fault()) }
}

fn is_text(text: &str, chars_max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= chars_max
}

/// RFC 6749 §3.3.
fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

fn is_account_path(path: &str) -> bool {
    if path.starts_with("//") {
        return false;
    }
    // A path is what makes a valid URI behind a host.
    let uri = if path.starts_with('/') { format!("https://host.example{path}") } else { path.to_owned() };
    uri.parse().is_ok_and(|uri| is_https(&uri))
}

fn is_https(uri: &HttpUri) -> bool {
    uri.origin().to_string().starts_with("https:")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = r#"
        [[driver]]
        type = "example"
        name = "Example"
        category = "storage"
        auth_type = "oauth2"
        supports_upload = true
        auth_uri = "https://example.com/authorize"
        token_uri = "https://example.com/token"
        scopes = ["read", "write"]
        account = { path = "/me", email = "/email" }
        source = "https://example.com/docs"
    "#;

    #[track_caller]
    fn refusal(replaced: &str, by: &str) -> String {
        let text = VALID.replace(replaced, by);
        assert_ne!(text, VALID, "nothing was replaced");
        Catalogue::parse(&text).expect_err("must be refused").to_string()
    }

    #[track_caller]
    fn check_refused(replaced: &str, by: &str, fault: &str) {
        assert_eq!(refusal(replaced, by), format!("driver \"example\": {fault}"));
    }

    #[track_caller]
    fn check_accepted(replaced: &str, by: &str) {
        let text = VALID.replace(replaced, by);
        assert_ne!(text, VALID, "nothing was replaced");
        assert_eq!(Catalogue::parse(&text).unwrap().len(), 1);
    }

    #[test]
    fn drivers_are_sorted_and_found_by_their_type() {
        let text = VALID.replace("\"example\"", "\"zebra\"") + &VALID.replace("\"example\"", "\"ant\"") + VALID;
        let catalogue = Catalogue::parse(&text).unwrap();
        assert_eq!(catalogue.iter().map(|driver| &driver.r#type).collect::<Vec<_>>(), ["ant", "example", "zebra"]);
        for driver in catalogue.iter() {
            assert_eq!(catalogue.get(&driver.r#type), Some(driver));
        }
        assert_eq!(catalogue.get("Example"), None);
        assert!(!catalogue.is_empty());
        assert!(Catalogue::parse("").unwrap().is_empty());
    }

    #[test]
    fn the_scope_is_its_scopes_with_single_spaces_between() {
        let scope = |text: &str| Catalogue::parse(text).unwrap().get("example").unwrap().scope();
        assert_eq!(scope(VALID).as_deref(), Some("read write"));
        assert_eq!(scope(&VALID.replace(r#"scopes = ["read", "write"]"#, "")), None);
    }

    #[test]
    fn a_type_is_there_once() {
        let error = Catalogue::parse(&(VALID.to_owned() + VALID)).expect_err("must be refused");
        assert_eq!(error.to_string(), "driver \"example\": its type is there twice");
    }

    #[test]
    fn a_type_has_1_to_64_characters() {
        let long = "t".repeat(65);
        let fault = "its type must be 1 to 64 characters";
        assert_eq!(refusal("\"example\"", "\"\""), format!("driver \"\": {fault}"));
        assert_eq!(refusal("\"example\"", &format!("{long:?}")), format!("driver {long:?}: {fault}"));
        check_accepted("\"example\"", &format!("{:?}", "t".repeat(64)));
    }

    #[test]
    fn a_name_has_1_to_200_characters() {
        check_refused("\"Example\"", "\"\"", "its name must be 1 to 200 characters");
        check_refused("\"Example\"", "\" \"", "its name must be 1 to 200 characters");
        check_refused("\"Example\"", &format!("{:?}", "n".repeat(201)), "its name must be 1 to 200 characters");
        check_accepted("\"Example\"", &format!("{:?}", "n".repeat(200)));
    }

    #[test]
    fn a_category_has_1_to_64_characters() {
        check_refused("\"storage\"", "\"\"", "its category must be 1 to 64 characters");
        check_refused("\"storage\"", &format!("{:?}", "c".repeat(65)), "its category must be 1 to 64 characters");
        check_accepted("\"storage\"", &format!("{:?}", "c".repeat(64)));
    }

    #[test]
    fn oauth_has_its_two_uris_unless_they_are_each_customers_own() {
        const AUTH_URI: &str = r#"auth_uri = "https://example.com/authorize""#;
        const TOKEN_URI: &str = r#"token_uri = "https://example.com/token""#;
        check_refused(AUTH_URI, "", "auth_uri is missing");
        check_refused(TOKEN_URI, "", "token_uri is missing");
        check_accepted(AUTH_URI, r#"per_customer_host = ["auth_uri"]"#);
        check_accepted(TOKEN_URI, r#"per_customer_host = ["token_uri", "api_base_uri"]"#);
        let bearer = VALID.replace(AUTH_URI, "").replace(TOKEN_URI, "").replace("oauth2", "bearer");
        assert_eq!(Catalogue::parse(&bearer).unwrap().len(), 1);
    }

    #[test]
    fn a_uri_is_not_set_and_each_customers_own_at_once() {
        for set in ["auth_uri", "token_uri"] {
            let own = format!("per_customer_host = [\"{set}\"]\nsource");
            check_refused("source", &own, &format!("{set} is set although per_customer_host names it"));
        }
        for unset in ["revocation_uri", "api_base_uri"] {
            let both = format!("{unset} = \"https://example.com/\"\nper_customer_host = [\"{unset}\"]\nsource");
            check_refused("source", &both, &format!("{unset} is set although per_customer_host names it"));
        }
    }

    #[test]
    fn a_scope_is_a_scope_token() {
        check_refused("\"read\"", "\"read all\"", "\"read all\" is not a scope-token of RFC 6749");
        check_refused("\"read\"", "\"\"", "\"\" is not a scope-token of RFC 6749");
        check_refused("\"read\"", "'a\\b'", "\"a\\\\b\" is not a scope-token of RFC 6749");
        check_refused("\"read\"", "'a\"b'", "\"a\\\"b\" is not a scope-token of RFC 6749");
        check_refused("\"read\"", "\"\u{e9}\"", "\"\u{e9}\" is not a scope-token of RFC 6749");
        check_accepted("\"read\"", "\"https://example.com/auth/files.read\"");
    }

    #[test]
    fn an_account_endpoint_is_a_path_or_an_https_uri() {
        const FAULT: &str = "account.path must begin with a single / or be an https URI";
        for path in ["me", "", "//evil.example/me", "/a b", "/me#top", "http://example.com/me"] {
            check_refused("\"/me\"", &format!("{path:?}"), FAULT);
        }
        check_accepted("\"/me\"", "\"/me?fields=user\"");
        check_accepted("\"/me\"", "\"https://login.example.com/me\"");
    }

    #[test]
    fn a_json_pointer_begins_with_a_slash() {
        for key in ["email", "display_name", "account_id"] {
            check_refused(
                "email = \"/email\"",
                &format!("{key} = \"a/b\""),
                "\"a/b\" is not a JSON Pointer that begins with /",
            );
        }
        check_refused("\"/email\"", "\"\"", "\"\" is not a JSON Pointer that begins with /");
    }

    #[test]
    fn a_source_is_an_https_uri() {
        check_refused("https://example.com/docs", "http://example.com/docs", "its source must be an https URI");
    }

    #[test]
    fn what_the_form_does_not_know_is_refused_where_it_stands() {
        assert!(refusal("source", "colour = \"red\"\nsource").contains("colour"));
        assert!(refusal("email =", "mail =").contains("mail"));
        assert!(
            refusal("https://example.com/token", "example.com/token").contains("must be an absolute http or https URI")
        );
        assert!(refusal("source", "per_customer_host = [\"source\"]\nsource").contains("unknown variant"));
        assert!(refusal("oauth2", "oauth1").contains("oauth1"));
    }
}
