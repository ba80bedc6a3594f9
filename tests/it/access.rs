//! Who may do what: the whole matrix, written by hand, and what levels, groups and tenants mean.

mod collisions;
mod levels;
mod matrix;
mod principals;
mod refused;
mod tenants;
