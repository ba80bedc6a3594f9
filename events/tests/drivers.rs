//! The built-in driver catalogue: how much there is, and ten drivers' values, written out.

use events::{
    driver::{AccountEndpoint, Catalogue, Driver, PerCustomerUri},
    settings::AuthType,
    uri::HttpUri,
};

#[test]
fn there_are_at_least_30_drivers_each_with_a_source() {
    let catalogue = Catalogue::built_in();
    assert!(catalogue.len() >= 30, "{}", catalogue.len());
    assert_eq!(catalogue.iter().count(), catalogue.len());
    for driver in catalogue.iter() {
        assert!(driver.source.as_str().starts_with("https://"), "{}", driver.r#type);
        assert_eq!(catalogue.get(&driver.r#type), Some(driver));
    }
    assert_eq!(catalogue.get("no-such-driver"), None);
}

#[test]
fn types_and_categories_are_kebab_case() {
    let is_kebab_case = |text: &str| {
        text.split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
    };
    for driver in Catalogue::built_in().iter() {
        assert!(is_kebab_case(&driver.r#type), "{}", driver.r#type);
        assert!(is_kebab_case(&driver.category), "{}: {}", driver.r#type, driver.category);
    }
}

#[test]
fn every_driver_has_an_api_base_uri_or_says_that_it_is_each_customers_own() {
    for driver in Catalogue::built_in().iter() {
        let own = driver.per_customer_host.contains(&PerCustomerUri::ApiBaseUri);
        assert!(driver.api_base_uri.is_some() || own, "{}", driver.r#type);
    }
}

#[test]
fn every_uri_is_https_and_needs_no_filling_in() {
    for driver in Catalogue::built_in().iter() {
        let uris = [&driver.auth_uri, &driver.token_uri, &driver.revocation_uri, &driver.api_base_uri];
        for uri in uris.into_iter().flatten().map(HttpUri::as_str) {
            assert!(uri.starts_with("https://"), "{}: {uri}", driver.r#type);
            assert!(!uri.contains(['{', '<', '$', '[']), "{}: {uri}", driver.r#type);
            assert!(!uri.ends_with('/'), "{}: {uri}", driver.r#type);
        }
    }
}

#[test]
fn only_oauth_has_oauth_uris_and_scopes() {
    for driver in Catalogue::built_in().iter().filter(|driver| driver.auth_type != AuthType::Oauth2) {
        let uris = [&driver.auth_uri, &driver.token_uri, &driver.revocation_uri];
        assert!(uris.into_iter().all(Option::is_none), "{}", driver.r#type);
        assert_eq!(driver.scope(), None, "{}", driver.r#type);
    }
}

#[test]
fn every_way_of_authentication_has_a_driver() {
    for auth_type in [AuthType::Oauth2, AuthType::ApiKey, AuthType::Basic, AuthType::Bearer] {
        assert!(Catalogue::built_in().iter().any(|driver| driver.auth_type == auth_type), "{auth_type}");
    }
}

#[track_caller]
fn check(expected: &Driver) {
    assert_eq!(Catalogue::built_in().get(&expected.r#type), Some(expected));
}

fn uri(text: &str) -> HttpUri {
    text.parse().expect("a URI")
}

fn scopes(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|scope| (*scope).to_owned()).collect()
}

fn account(path: &str, email: Option<&str>, display_name: Option<&str>, account_id: Option<&str>) -> AccountEndpoint {
    let owned = |pointer: Option<&str>| pointer.map(str::to_owned);
    AccountEndpoint {
        path: path.to_owned(),
        email: owned(email),
        display_name: owned(display_name),
        account_id: owned(account_id),
    }
}

#[test]
fn google_drive_is_as_google_says() {
    check(&Driver {
        r#type: "google-drive".to_owned(),
        name: "Google Drive".to_owned(),
        category: "storage".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: true,
        auth_uri: Some(uri("https://accounts.google.com/o/oauth2/v2/auth")),
        token_uri: Some(uri("https://oauth2.googleapis.com/token")),
        revocation_uri: Some(uri("https://oauth2.googleapis.com/revoke")),
        api_base_uri: Some(uri("https://www.googleapis.com/drive/v3")),
        scopes: scopes(&["https://www.googleapis.com/auth/drive.readonly"]),
        account: Some(account(
            "/about?fields=user",
            Some("/user/emailAddress"),
            Some("/user/displayName"),
            Some("/user/permissionId"),
        )),
        per_customer_host: vec![],
        source: uri("https://developers.google.com/identity/protocols/oauth2/web-server"),
    });
}

#[test]
fn onedrive_is_as_microsoft_says() {
    check(&Driver {
        r#type: "onedrive".to_owned(),
        name: "Microsoft OneDrive".to_owned(),
        category: "storage".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: true,
        auth_uri: Some(uri("https://login.microsoftonline.com/common/oauth2/v2.0/authorize")),
        token_uri: Some(uri("https://login.microsoftonline.com/common/oauth2/v2.0/token")),
        revocation_uri: None,
        api_base_uri: Some(uri("https://graph.microsoft.com/v1.0")),
        scopes: scopes(&["offline_access", "User.Read", "Files.ReadWrite"]),
        account: Some(account("/me", Some("/mail"), Some("/displayName"), Some("/id"))),
        per_customer_host: vec![],
        source: uri("https://learn.microsoft.com/en-us/graph/auth-v2-user"),
    });
}

#[test]
fn dropbox_is_as_dropbox_says() {
    check(&Driver {
        r#type: "dropbox".to_owned(),
        name: "Dropbox".to_owned(),
        category: "storage".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: true,
        auth_uri: Some(uri("https://www.dropbox.com/oauth2/authorize")),
        token_uri: Some(uri("https://api.dropboxapi.com/oauth2/token")),
        revocation_uri: Some(uri("https://api.dropboxapi.com/2/auth/token/revoke")),
        api_base_uri: Some(uri("https://api.dropboxapi.com/2")),
        scopes: scopes(&["account_info.read", "files.metadata.read", "files.content.read", "files.content.write"]),
        account: None,
        per_customer_host: vec![],
        source: uri("https://www.dropbox.com/developers/documentation/http/documentation"),
    });
}

#[test]
fn slack_is_as_slack_says() {
    check(&Driver {
        r#type: "slack".to_owned(),
        name: "Slack".to_owned(),
        category: "communication".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: true,
        auth_uri: Some(uri("https://slack.com/oauth/v2/authorize")),
        token_uri: Some(uri("https://slack.com/api/oauth.v2.access")),
        revocation_uri: Some(uri("https://slack.com/api/auth.revoke")),
        api_base_uri: Some(uri("https://slack.com/api")),
        scopes: scopes(&["channels:read", "channels:history", "chat:write", "files:read", "files:write", "users:read"]),
        account: Some(account("/auth.test", None, Some("/user"), Some("/user_id"))),
        per_customer_host: vec![],
        source: uri("https://docs.slack.dev/authentication/installing-with-oauth"),
    });
}

#[test]
fn github_is_as_github_says() {
    check(&Driver {
        r#type: "github".to_owned(),
        name: "GitHub".to_owned(),
        category: "development".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: true,
        auth_uri: Some(uri("https://github.com/login/oauth/authorize")),
        token_uri: Some(uri("https://github.com/login/oauth/access_token")),
        revocation_uri: None,
        api_base_uri: Some(uri("https://api.github.com")),
        scopes: scopes(&["repo", "read:user", "user:email"]),
        account: Some(account("/user", Some("/email"), Some("/name"), Some("/id"))),
        per_customer_host: vec![],
        source: uri("https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps"),
    });
}

#[test]
fn jira_is_as_atlassian_says() {
    check(&Driver {
        r#type: "jira".to_owned(),
        name: "Jira".to_owned(),
        category: "project-management".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: true,
        auth_uri: Some(uri("https://auth.atlassian.com/authorize")),
        token_uri: Some(uri("https://auth.atlassian.com/oauth/token")),
        revocation_uri: None,
        api_base_uri: Some(uri("https://api.atlassian.com")),
        scopes: scopes(&["offline_access", "read:me", "read:jira-user", "read:jira-work", "write:jira-work"]),
        account: Some(account("/me", Some("/email"), Some("/name"), Some("/account_id"))),
        per_customer_host: vec![],
        source: uri("https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/"),
    });
}

#[test]
fn notion_is_as_notion_says() {
    check(&Driver {
        r#type: "notion".to_owned(),
        name: "Notion".to_owned(),
        category: "documents".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: true,
        auth_uri: Some(uri("https://api.notion.com/v1/oauth/authorize")),
        token_uri: Some(uri("https://api.notion.com/v1/oauth/token")),
        revocation_uri: Some(uri("https://api.notion.com/v1/oauth/revoke")),
        api_base_uri: Some(uri("https://api.notion.com/v1")),
        scopes: vec![],
        account: Some(account(
            "/users/me",
            Some("/bot/owner/user/person/email"),
            Some("/bot/owner/user/name"),
            Some("/bot/owner/user/id"),
        )),
        per_customer_host: vec![],
        source: uri("https://developers.notion.com/docs/authorization"),
    });
}

#[test]
fn salesforce_is_as_salesforce_says() {
    check(&Driver {
        r#type: "salesforce".to_owned(),
        name: "Salesforce".to_owned(),
        category: "crm".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: true,
        auth_uri: Some(uri("https://login.salesforce.com/services/oauth2/authorize")),
        token_uri: Some(uri("https://login.salesforce.com/services/oauth2/token")),
        revocation_uri: Some(uri("https://login.salesforce.com/services/oauth2/revoke")),
        api_base_uri: None,
        scopes: scopes(&["api", "refresh_token", "openid", "id"]),
        account: Some(account(
            "https://login.salesforce.com/services/oauth2/userinfo",
            Some("/email"),
            Some("/name"),
            Some("/user_id"),
        )),
        per_customer_host: vec![PerCustomerUri::ApiBaseUri],
        source: uri("https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_endpoints.htm&type=5"),
    });
}

#[test]
fn stripe_is_as_stripe_says() {
    check(&Driver {
        r#type: "stripe".to_owned(),
        name: "Stripe".to_owned(),
        category: "payments".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: false,
        auth_uri: Some(uri("https://connect.stripe.com/oauth/authorize")),
        token_uri: Some(uri("https://connect.stripe.com/oauth/token")),
        revocation_uri: None,
        api_base_uri: Some(uri("https://api.stripe.com/v1")),
        scopes: scopes(&["read_write"]),
        account: Some(account("/account", Some("/email"), Some("/settings/dashboard/display_name"), Some("/id"))),
        per_customer_host: vec![],
        source: uri("https://docs.stripe.com/connect/oauth-reference"),
    });
}

#[test]
fn zendesk_is_as_zendesk_says() {
    check(&Driver {
        r#type: "zendesk".to_owned(),
        name: "Zendesk".to_owned(),
        category: "support".to_owned(),
        auth_type: AuthType::Oauth2,
        supports_upload: true,
        auth_uri: None,
        token_uri: None,
        revocation_uri: None,
        api_base_uri: None,
        scopes: scopes(&["read", "write"]),
        account: Some(account("/users/me", Some("/user/email"), Some("/user/name"), Some("/user/id"))),
        per_customer_host: vec![PerCustomerUri::AuthUri, PerCustomerUri::TokenUri, PerCustomerUri::ApiBaseUri],
        source: uri("https://support.zendesk.com/hc/en-us/articles/4408845965210"),
    });
}
