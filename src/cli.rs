//! Every verb and option, typed. The doc comments are the help.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use events::{
    ids::{IntegrationRef, PrincipalId, TenantId},
    limits,
};
use http::HeaderValue;
use ipnet::IpNet;
#[cfg(feature = "kafka")]
use projector::kafka::settings::TOPIC_PREFIX;

/// Manage integrations: connectors to third-party APIs, shared between the users and teams of a tenant
#[derive(Debug, Parser)]
#[command(name = "integrations", version)]
pub(crate) struct Cli {
    /// Where the event log and the keys are; a service makes it when it is not there
    #[arg(long, global = true, env = "INTEGRATIONS_DATA_DIR", value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the service, everything in one process
    Serve(Serve),
    /// Run the role that takes commands and writes the log
    Command(Command),
    /// Run the role that makes views of the log, in PostgreSQL; of many that run, one works
    Projector(Projector),
    /// Run the role that answers reads from the views in PostgreSQL
    Query(Query),
    /// Look after the views in PostgreSQL
    #[command(subcommand)]
    Views(Views),
    /// Mint a token; it is the last line of the output
    Token(Token),
    /// Look after the master keys
    #[command(subcommand)]
    Keys(Keys),
    /// Write the log verbatim as JSON lines; a running service is not in the way
    Export(Transfer),
    /// Write an export, checked line by line, into a log that is empty or not there yet
    Import(Transfer),
    /// Check every event of the log against its hash; a running service is not in the way
    Verify(Verify),
    /// Print what happened to an integration, a deleted one too
    History(History),
    /// Print a script that completes this command line in a shell
    Completion(Completion),
}

/// The option of the service's own tokens.
#[derive(Debug, Args)]
pub(crate) struct OwnTokens {
    /// The key that signs tokens, at least 32 bytes [default: jwt.key in the data directory, made when it is not there]
    #[arg(long, env = "INTEGRATIONS_JWT_KEY_FILE", value_name = "FILE")]
    pub(crate) jwt_key_file: Option<PathBuf>,
}

/// Options of an identity provider whose tokens are trusted.
#[derive(Debug, Args)]
pub(crate) struct Provider {
    /// The keys of the identity provider whose tokens are taken instead of the service's own (RS256, ES256): a JSON Web
    /// Key Set, by its https URL (http on a loopback host only) or in a file
    #[arg(long, env = "INTEGRATIONS_JWKS", value_name = "URL|FILE")]
    pub(crate) jwks: Option<String>,
    /// What the claim `iss` of tokens must be; with --jwks
    #[arg(long, env = "INTEGRATIONS_ISSUER", value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,
    /// What the claim `aud` of tokens must contain; with --jwks
    #[arg(long, env = "INTEGRATIONS_AUDIENCE", value_name = "AUDIENCE")]
    pub(crate) audience: Option<String>,
}

/// Where the log is, if it is not in the data directory.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Keep the log on EventStoreDB or KurrentDB: its connection string, esdb://… or esdb+discover://…
    #[cfg(feature = "eventstoredb")]
    #[arg(long, env = "INTEGRATIONS_EVENT_STORE", value_name = "URL", hide_env_values = true)]
    event_store: Option<String>,
}

impl Log {
    /// The connection string of the server that has it.
    pub(crate) fn server(&self) -> Option<&str> {
        #[cfg(feature = "eventstoredb")]
        return self.event_store.as_deref();
        #[cfg(not(feature = "eventstoredb"))]
        None
    }
}

/// Options of the change feed on Kafka.
#[cfg(feature = "kafka")]
#[derive(Debug, Args)]
pub(crate) struct Kafka {
    /// Publish what happens to Kafka: its brokers, as HOST:PORT, separated by commas
    #[arg(long, env = "INTEGRATIONS_KAFKA", value_name = "BROKERS")]
    pub(crate) kafka: Option<String>,
    /// What the names of the topics begin with
    #[arg(long, env = "INTEGRATIONS_KAFKA_TOPIC_PREFIX", value_name = "PREFIX", default_value = TOPIC_PREFIX)]
    pub(crate) kafka_topic_prefix: String,
    /// Properties of librdkafka, e.g. for TLS and SASL, a NAME=VALUE a line
    #[arg(long, env = "INTEGRATIONS_KAFKA_PROPERTIES", value_name = "FILE")]
    pub(crate) kafka_properties: Option<PathBuf>,
}

/// Options of `export` and `import`.
#[derive(Debug, Args)]
pub(crate) struct Transfer {
    #[command(flatten)]
    pub(crate) log: Log,
    /// The file with the export; `-` is the standard output or input
    #[arg(value_name = "FILE|-", value_parser = place)]
    pub(crate) place: Place,
}

/// Where an export goes or comes from.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Standard,
    File(PathBuf),
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) log: Log,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `history`.
#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    pub(crate) log: Log,
    /// The integration's id, or, with --tenant, its slug
    #[arg(value_name = "ID", value_parser = IntegrationRef::parse)]
    pub(crate) id: IntegrationRef,
    /// The tenant [default: every tenant that has or had an integration of this id]
    #[arg(long)]
    pub(crate) tenant: Option<TenantId>,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `completion`.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    pub(crate) shell: Shell,
}

/// A shell that can complete the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) identity: Identity,
    #[command(flatten)]
    pub(crate) log: Log,
    #[cfg(feature = "kafka")]
    #[command(flatten)]
    pub(crate) kafka: Kafka,
    /// Where to listen
    #[arg(long, env = "INTEGRATIONS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) http: Http,
    #[command(flatten)]
    pub(crate) writing: Writing,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// Options of `command`.
#[derive(Debug, Args)]
pub(crate) struct Command {
    #[command(flatten)]
    pub(crate) identity: Identity,
    #[command(flatten)]
    pub(crate) log: Log,
    /// Where to listen
    #[arg(long, env = "INTEGRATIONS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) http: Http,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// Options of `projector`.
#[derive(Debug, Args)]
pub(crate) struct Projector {
    #[command(flatten)]
    pub(crate) log: Log,
    #[cfg(feature = "kafka")]
    #[command(flatten)]
    pub(crate) kafka: Kafka,
    /// Where to listen, for health and metrics only
    #[arg(long, env = "INTEGRATIONS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8083")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) http: Http,
    #[command(flatten)]
    pub(crate) view_store: ViewStore,
}

/// Options of `query`.
#[derive(Debug, Args)]
pub(crate) struct Query {
    #[command(flatten)]
    pub(crate) identity: Identity,
    #[command(flatten)]
    pub(crate) log: Log,
    /// Where to listen
    #[arg(long, env = "INTEGRATIONS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) http: Http,
    #[command(flatten)]
    pub(crate) view_store: ViewStore,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Mebibytes that the tenants of each view may take, which are loaded from PostgreSQL on first use
    #[arg(long, env = "INTEGRATIONS_VIEW_CACHE_MIB", value_name = "MIB", default_value_t = 512)]
    pub(crate) view_cache_mib: u64,
}

/// What to do with the views.
#[derive(Debug, Subcommand)]
pub(crate) enum Views {
    /// Print every generation of every view
    List(ListViews),
    /// Make a view anew beside the one that is read, compare the two, and put it in its place; reads go on meanwhile
    Rebuild(RebuildView),
    /// Remove generations that another one has taken the place of
    Prune(PruneViews),
    /// Have a running projector try parked streams again: those with an event that could not be read
    Retry(RetryView),
}

/// Options of `views list`.
#[derive(Debug, Args)]
pub(crate) struct ListViews {
    #[command(flatten)]
    pub(crate) view_store: ViewStore,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `views prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneViews {
    #[command(flatten)]
    pub(crate) view_store: ViewStore,
    /// Those of older versions of a view too, when no projector of theirs runs any more
    #[arg(long)]
    pub(crate) older_versions: bool,
}

/// Options of `views retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryView {
    #[command(flatten)]
    pub(crate) view_store: ViewStore,
    /// The view [default: every view]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// Options of `views rebuild`.
#[derive(Debug, Args)]
pub(crate) struct RebuildView {
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) view_store: ViewStore,
    /// The view
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// No more than so many events a second
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<NonZeroU32>,
}

/// Whose tokens are trusted.
#[derive(Debug, Args)]
pub(crate) struct Identity {
    #[command(flatten)]
    pub(crate) own_tokens: OwnTokens,
    #[command(flatten)]
    pub(crate) provider: Provider,
}

/// Options of everything that answers requests.
#[derive(Debug, Args)]
pub(crate) struct Http {
    /// Where to serve /metrics instead
    #[arg(long, env = "INTEGRATIONS_METRICS_LISTEN", value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Hand spans of requests, and of what follows from them, to a collector: its URL for OTLP over HTTP [default: none]
    #[arg(long, env = "INTEGRATIONS_OTLP", value_name = "URL", hide_env_values = true)]
    pub(crate) otlp: Option<String>,
    /// A front end elsewhere, by its origin (scheme, host, port); may be repeated
    #[arg(long, env = "INTEGRATIONS_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub(crate) cors_origin: Vec<HeaderValue>,
    /// A proxy, as an address or network, whose word on the client's address is taken; may be repeated
    #[arg(long, env = "INTEGRATIONS_TRUSTED_PROXY", value_name = "NET", value_delimiter = ',', value_parser = network)]
    pub(crate) trusted_proxy: Vec<IpNet>,
    /// Requests in flight; the next is 429
    #[arg(long, env = "INTEGRATIONS_MAX_IN_FLIGHT", value_name = "N", default_value_t = limits::IN_FLIGHT_MAX)]
    pub(crate) max_in_flight: usize,
    /// Requests that wait for a position; the next is 503
    #[arg(long, env = "INTEGRATIONS_MAX_WAITING", value_name = "N", default_value_t = limits::WAITING_MAX)]
    pub(crate) max_waiting: usize,
}

/// Options of what takes commands.
#[derive(Debug, Args)]
pub(crate) struct Writing {
    /// The master keys, one `<id> <base64>` a line, the last active [default: master.key in the data directory, made
    /// when it is not there]
    #[arg(long, env = "INTEGRATIONS_MASTER_KEY_FILE", value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// Mebibytes that the folded states of integrations may take, which commands are decided on
    #[arg(long, env = "INTEGRATIONS_STATE_CACHE_MIB", value_name = "MIB", default_value_t = 64)]
    pub(crate) state_cache_mib: u64,
}

/// Options of what answers reads.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Mebibytes that what reads make may take: who sees what, and bodies as they are sent
    #[arg(long, env = "INTEGRATIONS_READ_CACHE_MIB", value_name = "MIB", default_value_t = 48)]
    pub(crate) read_cache_mib: u64,
}

/// Where the views are.
#[derive(Debug, Args)]
pub(crate) struct ViewStore {
    /// The PostgreSQL database of the views: a URL, or keywords and values. TLS is used for every host but this one
    #[arg(long, env = "INTEGRATIONS_VIEWS", value_name = "URL", hide_env_values = true)]
    pub(crate) views: String,
    /// A file with the password, so that the URL need not have it
    #[arg(long, env = "INTEGRATIONS_VIEWS_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) views_password_file: Option<PathBuf>,
    /// The certificates of the authorities that may have signed the server's (PEM) [default: those that the system
    /// trusts]
    #[arg(long, env = "INTEGRATIONS_VIEWS_CA", value_name = "FILE")]
    pub(crate) views_ca: Option<PathBuf>,
}

/// Options of `token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(flatten)]
    pub(crate) own_tokens: OwnTokens,
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: TenantId,
    /// The user
    #[arg(long)]
    pub(crate) user: PrincipalId,
    /// A team of the user's; may be repeated
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Vec<PrincipalId>,
    /// A permission, e.g. permission.integrations.create; may be repeated
    #[arg(long, value_name = "PERMISSION")]
    pub(crate) permission: Vec<String>,
    /// The user's e-mail address
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// The user's display name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How long the token is valid: 90s, 15m, 24h, 7d
    #[arg(long, default_value = "24h", value_parser = duration)]
    pub(crate) ttl: Duration,
}

/// What to do with the master keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Add a fresh master key, the active one from now on; a running service takes it up within a second and puts every
    /// data key under it
    Rotate(Rotate),
}

/// Options of `keys rotate`.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    pub(crate) log: Log,
    /// The master keys [default: master.key in the data directory]
    #[arg(long, env = "INTEGRATIONS_MASTER_KEY_FILE", value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// Add none, but remove all that are not active; refused while a data key needs one of them
    #[arg(long)]
    pub(crate) drop: bool,
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    const RULE: &str = "must be a number with s, m, h or d after it, e.g. 24h";
    let unit = text.chars().last().ok_or(RULE)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(RULE),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| RULE)?;
    number.checked_mul(seconds).filter(|seconds| *seconds <= u64::from(u32::MAX)).map(Duration::from_secs).ok_or(RULE)
}

#[expect(clippy::unnecessary_wraps, reason = "the form that clap asks for")]
fn place(text: &str) -> Result<Place, std::convert::Infallible> {
    Ok(if text == "-" { Place::Standard } else { Place::File(text.into()) })
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| address()).map_err(|_| "must be an address or a network, e.g. 10.0.0.0/8")
}

/// An origin as browsers send it (RFC 6454 §7): scheme, host and port without anything behind.
fn origin(text: &str) -> Result<HeaderValue, &'static str> {
    const RULE: &str = "must be scheme, host and port only, e.g. https://app.example.com";
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(RULE)?;
    let is_bare = !authority.is_empty() && !authority.contains(['/', '?', '#', '@', '*', ' ']);
    if is_bare { HeaderValue::from_str(text).map_err(|_| RULE) } else { Err(RULE) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_takes_a_data_directory() {
        fn check(verb: &clap::Command) {
            assert!(verb.get_arguments().any(|argument| argument.get_long() == Some("data-dir")), "{verb}");
            verb.get_subcommands().filter(|verb| verb.get_name() != "help").for_each(check);
        }
        let mut all = Cli::command();
        all.build();
        check(&all);
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("24h"), Ok(86_400));
        assert_eq!(seconds("7d"), Ok(604_800));
        for text in ["", "h", "5", "-1h", "1.5h", "5w", "5ä", "99999999999999999999d", "300000000d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
