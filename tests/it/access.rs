//! Who may do what: the whole matrix, written by hand, and what levels, groups and tenants mean.

mod levels;
mod matrix;
mod tenants;
