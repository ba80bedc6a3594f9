//! The seed page, route by route: its examples verbatim, and what the contract adds to them.

mod lists;
mod page;
mod parts;
mod places;
mod secrets;
mod settings;
mod slugs;
