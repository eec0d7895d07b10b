//! What the fuzz targets share: a form of events that mutation finds its way in, and seeds made from
//! recorded captures.

pub mod script;
pub mod seeds;
