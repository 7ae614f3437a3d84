//! The room `types`.
pub mod ranked;
