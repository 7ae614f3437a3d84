//! The room `types`.
pub mod element;
pub mod listpack;
pub mod ranked;

pub use element::Element;
