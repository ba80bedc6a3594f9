//! The write side: requests become commands, commands are decided by pure functions over the folded state, what is
//! decided is appended; the janitor destroys what deletes and new icons leave behind.

pub mod aggregate;
pub mod decide;
mod handler;
mod icon_content;
mod janitor;
mod keys;
mod request;
mod routes;
pub mod slug;

pub use handler::{Clock, Handler, Settings};
pub use janitor::{rewrap::Rewrapper, run_janitor};
pub use keys::{KeyCheckError, KeyFile, KeyRing, active_of_running, check_has_no_keys};
pub use routes::{description, router};
