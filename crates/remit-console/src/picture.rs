//! Pictures, drawn on the server as SVG. Each has its numbers beside it as text or as a table, and colour is never the only
//! sign. Text in them went through [`Shown`](crate::text::Shown) and is escaped by the templates.

mod bars;
mod coverage;
mod decisions;
mod funnel;
mod layers;
mod ribbon;
mod timeline;

pub(crate) use coverage::Coverage;
pub(crate) use decisions::Decisions;
pub(crate) use funnel::Funnel;
pub(crate) use layers::{Edge, Layers, Node};
pub(crate) use ribbon::Ribbon;
pub(crate) use timeline::{Mark, Timeline};

/// Most things drawn one by one; what is above is drawn as groups.
pub(crate) const DRAWN_MAX: usize = 60;
