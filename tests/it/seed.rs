//! The seed page, route by route: its examples verbatim, and what the contract adds to them.

mod lists;
mod page;
mod parts;
mod secrets;
mod settings;
mod slugs;
