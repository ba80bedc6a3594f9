//! Every limit of the contract, in one place; `docs/LIMITS.md` is printed from here and a test compares the two.

/// Characters (Unicode scalar values) of an integration's name, after trimming.
pub const NAME_CHARS_MAX: usize = 200;
/// Characters of a driver type.
pub const TYPE_CHARS_MAX: usize = 64;
/// Characters of a category.
pub const CATEGORY_CHARS_MAX: usize = 64;
/// Characters of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 4_000;
/// Characters of a list of OAuth scopes.
pub const SCOPE_CHARS_MAX: usize = 4_000;
/// Characters of each URI.
pub const URI_CHARS_MAX: usize = 2_048;
/// Characters of an OAuth client id.
pub const CLIENT_ID_CHARS_MAX: usize = 512;
/// Characters of the name of an API key's header or query parameter, and of a custom header's name.
pub const HEADER_NAME_CHARS_MAX: usize = 200;
/// Bytes of a secret, and of any custom header's value.
pub const SECRET_BYTES_MAX: usize = 8 * 1_024;
/// Bytes of `data`, as sent.
pub const DATA_BYTES_MAX: usize = 64 * 1_024;
/// Depth of `data`; its top object is depth 1.
pub const DATA_DEPTH_MAX: usize = 32;
/// Bytes of a JSON request body.
pub const BODY_BYTES_MAX: usize = 256 * 1_024;
/// Bytes of an icon.
pub const ICON_BYTES_MAX: usize = 512 * 1_024;
/// Nodes of an SVG.
pub const SVG_NODES_MAX: u32 = 65_536;
/// Attributes of an element of an SVG.
pub const SVG_ATTRIBUTES_MAX: usize = 128;
/// Namespaces that an SVG declares.
pub const SVG_NAMESPACES_MAX: usize = 128;
/// Bytes of a namespace of an SVG.
pub const SVG_NAMESPACE_BYTES_MAX: usize = 256;
/// Bytes that a multipart body may have beside its icon.
pub const MULTIPART_OVERHEAD_BYTES_MAX: usize = 16 * 1_024;
/// Shares of an integration.
pub const SHARES_MAX: usize = 200;
/// Tags of an integration.
pub const TAGS_MAX: usize = 100;
/// Custom headers of an integration, open and secret together.
pub const HEADERS_MAX: usize = 100;
/// Characters of a principal id.
pub const PRINCIPAL_CHARS_MAX: usize = 255;
/// Characters of a tenant id.
pub const TENANT_CHARS_MAX: usize = 64;
/// Characters of a tag id, and of a library id.
pub const TAG_CHARS_MAX: usize = 64;
/// Characters of a slug.
pub const SLUG_CHARS_MAX: usize = 80;
/// Characters of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Characters of an `Audit-Reason`.
pub const AUDIT_REASON_CHARS_MAX: usize = 1_000;
/// Characters of an `X-Request-Id`; a longer one is not taken.
pub const REQUEST_ID_CHARS_MAX: usize = 128;
/// Bytes of a request's head.
pub const HEAD_BYTES_MAX: u32 = 64 * 1_024;
/// Words of a search.
pub const SEARCH_WORDS_MAX: usize = 8;
/// Characters of a search's word.
pub const SEARCH_WORD_CHARS_MAX: usize = 64;
/// Broken rules of a query that are told.
pub const QUERY_FAULTS_MAX: usize = 100;
/// Items of a page when `limit` is not given.
pub const PAGE_LIMIT_DEFAULT: usize = 50;
/// Items of a page at most.
pub const PAGE_LIMIT_MAX: usize = 500;
/// Seconds that a read waits for a position when `Prefer: wait` is not given.
pub const WAIT_SECONDS_DEFAULT: u64 = 2;
/// Seconds that a read waits for a position at most.
pub const WAIT_SECONDS_MAX: u64 = 30;
/// Requests in flight; an operator may change it.
pub const IN_FLIGHT_MAX: usize = 1_024;
/// Requests that wait for a position; an operator may change it.
pub const WAITING_MAX: usize = 1_024;
/// Seconds that a token may be expired, or not yet valid.
pub const TOKEN_LEEWAY_SECONDS: u64 = 30;
/// Bytes that verified tokens may take in memory.
pub const TOKEN_CACHE_BYTES_MAX: u64 = 16 * 1_024 * 1_024;
/// Bytes of an identity provider's set of keys.
pub const TOKEN_KEYS_BYTES_MAX: usize = 1_024 * 1_024;
/// Seconds that fetching an identity provider's keys may take.
pub const TOKEN_KEYS_TIMEOUT_SECONDS: u64 = 5;
/// Seconds after which an unknown `kid` fetches the keys again.
pub const TOKEN_KEYS_REFETCH_SECONDS: u64 = 30;
/// Seconds after which the keys are fetched again in any case.
pub const TOKEN_KEYS_REFRESH_SECONDS: u64 = 300;
