//! The domain by itself: given events, when a command, then an event, nothing, or a rejection.

#[path = "decide/given.rs"]
mod given;
#[path = "decide/origins.rs"]
mod origins;
#[path = "decide/properties.rs"]
mod properties;
#[path = "decide/sharing.rs"]
mod sharing;
#[path = "decide/updating.rs"]
mod updating;
