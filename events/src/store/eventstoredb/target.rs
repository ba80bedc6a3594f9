//! Which server: what a connection string says, for the crate's client and for our own half.

use std::{fmt, time::Duration};

use eventstore::{ClientSettings, ClientSettingsParseError, Credentials, Endpoint};
use percent_encoding::percent_decode_str;

use super::OpenError;

/// Said before whatever the connection string says: the crate would wait half a second before it connects.
const BEFORE: &str = "discoveryInterval=10";
/// Said behind it: only the leader takes appends, and only it has what they were told is there.
const BEHIND: &str = "nodePreference=leader";
/// The least that the protocol's pings may be apart; the crate takes no shorter ones.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What a connection string says.
#[derive(Clone)]
pub(super) struct Target {
    settings: ClientSettings,
    query: String,
    user: Option<(String, String)>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("seeds", &self.seeds()).finish_non_exhaustive()
    }
}

impl Target {
    /// Takes `esdb://`, `esdb+discover://`, and the same with `kurrentdb`.
    ///
    /// # Errors
    /// [`OpenError::Url`], which never shows what may be a password.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let url = url.replacen("kurrentdb", "esdb", usize::from(url.starts_with("kurrentdb")));
        let (_, rest) = url.split_once("://").ok_or_else(|| refuse("it has no scheme"))?;
        let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
        let user = before_query.rsplit_once('@').map(|(user, _)| user.split_once(':').unwrap_or((user, "")));
        let user = user.map(|(name, password)| Some((decode(name)?, decode(password)?)));
        let user = match user {
            Some(None) => return Err(refuse("user or password is not UTF-8")),
            Some(user) => user,
            None => None,
        };
        let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
        if names.any(|name| name.eq_ignore_ascii_case("defaultDeadline")) {
            return Err(refuse("defaultDeadline is the adapter's own"));
        }
        let settings: ClientSettings = url.parse().map_err(|error: ClientSettingsParseError| {
            let is_safe = error.error().is_none() && !error.message().contains(['@', '/']);
            refuse(if is_safe { error.message() } else { "it cannot be parsed" })
        })?;
        Ok(Self { settings, query: query.to_owned(), user })
    }

    /// The hosts that are named.
    pub(super) fn seeds(&self) -> &[Endpoint] {
        self.settings.hosts()
    }

    /// Whether the node that leads is to be asked for.
    pub(super) fn is_cluster(&self) -> bool {
        self.settings.is_dns_discovery_enabled() || self.seeds().len() > 1
    }

    /// User and password, as they are.
    pub(super) fn user(&self) -> Option<&(String, String)> {
        self.user.as_ref()
    }

    pub(super) fn tls(&self) -> Option<Tls<'_>> {
        self.settings.is_secure_mode_enabled().then(|| Tls {
            ca_file: self.settings.tls_ca_file().map(String::as_str),
            is_verified: self.settings.is_tls_certificate_verification_enabled(),
            identity: self.settings.user_certificate().map(|(cert, key)| (cert.as_str(), key.as_str())),
        })
    }

    /// How long to wait for gossip.
    pub(super) fn gossip_timeout(&self) -> Duration {
        self.settings.gossip_timeout()
    }

    pub(super) fn origin(&self, node: &Endpoint) -> http::Uri {
        self.settings.to_uri(node)
    }

    pub(super) fn keep_alive(&self) -> Duration {
        KEEP_ALIVE
    }

    /// The crate's settings for one node, without user and password: it would take them as they stand in the
    /// connection string, percent-encoded.
    ///
    /// # Errors
    /// When a node's name is none that a connection string can hold.
    pub(super) fn settings_for(&self, node: &Endpoint) -> Result<ClientSettings, ClientSettingsParseError> {
        format!("esdb://{}:{}?{BEFORE}&{}&{BEHIND}", node.host, node.port, self.query).parse()
    }

    /// User and password, for the crate's calls.
    pub(super) fn credentials(&self) -> Option<Credentials> {
        self.user.clone().map(|(name, password)| Credentials::new(name, password))
    }
}

/// How connections are secured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tls<'a> {
    pub(super) ca_file: Option<&'a str>,
    pub(super) is_verified: bool,
    /// Files with the client's certificate and its key.
    pub(super) identity: Option<(&'a str, &'a str)>,
}

fn refuse(why: &str) -> OpenError {
    OpenError::Url(why.to_owned())
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Endpoint {
        Endpoint { host: "node".to_owned(), port: 7 }
    }

    #[test]
    fn a_connection_string_says_hosts_user_and_tls() {
        let target = Target::parse("esdb://ad%40min:p%3Aw%2F@a:1,b:2?tls=false&discoveryInterval=70").expect("valid");
        let hosts: Vec<_> = target.seeds().iter().map(|host| (host.host.as_str(), host.port)).collect();
        assert_eq!(hosts, [("a", 1), ("b", 2)]);
        assert!(target.is_cluster());
        assert!(target.tls().is_none());
        assert_eq!(target.user(), Some(&("ad@min".to_owned(), "p:w/".to_owned())));
        let settings = target.settings_for(&node()).expect("the form is known");
        assert_eq!(settings.hosts(), &vec![node()]);
        assert_eq!(settings.discovery_interval(), Duration::from_millis(70));
        assert_eq!(settings.default_authenticated_user(), &None);
        assert_eq!(target.credentials(), Some(Credentials::new("ad@min", "p:w/")));
        assert!(!settings.is_secure_mode_enabled());
        assert_eq!(settings.node_preference(), eventstore::NodePreference::Leader);
    }

    #[test]
    fn one_host_is_no_cluster_and_is_secured_unless_it_says_otherwise() {
        let target = Target::parse("kurrentdb://db.example?tlsVerifyCert=false&tlsCaFile=/ca.pem").expect("valid");
        assert!(!target.is_cluster());
        let tls = target.tls().expect("by default");
        assert_eq!((tls.ca_file, tls.is_verified), (Some("/ca.pem"), false));
        assert_eq!(target.seeds()[0].port, 2113);
        let settings = target.settings_for(&node()).expect("the form is known");
        assert_eq!(settings.discovery_interval(), Duration::from_millis(10));
        assert!(settings.is_secure_mode_enabled());
        assert_eq!(target.credentials(), None);
        assert!(Target::parse("esdb+discover://db.example").expect("valid").is_cluster());
    }

    #[test]
    fn a_refusal_shows_no_password() {
        for url in [
            "postgres://u:secret@h",
            "esdb://u:secret@h:x",
            "esdb://u:secret@h:1,i:x?tls=maybe",
            "esdb://u:secret@h/path",
            "esdb://u:secret@h?defaultDeadline=-1",
            "esdb://u:secret@h?tls=maybe",
            "esdb:u:secret@h",
        ] {
            let refused = Target::parse(url).expect_err(url);
            assert!(!format!("{refused} {refused:?}").contains("secret"), "{refused}");
        }
        assert!(!format!("{:?}", Target::parse("esdb://u:secret@h").expect("valid")).contains("secret"));
    }
}
