//! The domain by itself: given events, when a command, then an event, nothing, or a rejection.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

#[path = "decide/given.rs"]
mod given;
#[path = "decide/order.rs"]
mod order;
#[path = "decide/origins.rs"]
mod origins;
#[path = "decide/origins_property.rs"]
mod origins_property;
#[path = "decide/properties.rs"]
mod properties;
#[path = "decide/sharing.rs"]
mod sharing;
#[path = "decide/updating.rs"]
mod updating;
