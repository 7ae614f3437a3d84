//! The room `types`.
pub mod element;
pub mod intset;
pub mod listpack;
pub mod ranked;
mod thin;

pub use element::Element;
