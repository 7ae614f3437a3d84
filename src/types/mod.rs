//! The room `types`.
