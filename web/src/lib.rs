//! What every HTTP door shares: tokens, problem documents, strict JSON, conditional requests, the middleware stack, and
//! the one place that turns an integration into the API's JSON.

pub mod bearer;
pub mod body;
pub mod client;
pub mod conditional;
pub mod docs;
pub mod incoming;
pub mod json;
pub mod layers;
pub mod load;
pub mod metrics;
pub mod openapi;
pub mod params;
pub mod position;
pub mod problem;
pub mod readiness;
pub mod representation;
