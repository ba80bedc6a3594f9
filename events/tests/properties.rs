//! What holds of every value, tried with many.

#[path = "properties/chain.rs"]
mod chain;
#[path = "properties/codec.rs"]
mod codec;
#[path = "properties/fold.rs"]
mod fold;
#[path = "properties/generators.rs"]
mod generators;
#[path = "properties/names.rs"]
mod names;
#[path = "properties/sealing.rs"]
mod sealing;
