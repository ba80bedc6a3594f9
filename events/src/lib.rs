//! The vocabulary and the log: ids, principals, events, the public state of an integration and its one fold,
//! the envelope with its hash chain, the [`EventStore`](store::EventStore) port with its adapters, the sealing of
//! secrets, and the driver catalogue. Knows no HTTP and none of the other crates.

pub mod backoff;
pub mod driver;
pub mod durable;
pub mod envelope;
pub mod event;
pub mod history;
pub mod ids;
pub mod integration;
pub mod limits;
pub mod principal;
pub mod seal;
pub mod settings;
pub mod store;
pub mod stored;
pub mod stream;
pub mod time;
pub mod trace;
pub mod uri;
pub mod verify;
