//! JSON documents with their whole history: paths, values, transactions, views.

mod path;
mod value;

pub use path::{IntoPath, Path, SEGMENT_BYTES_MAX};
pub use value::{Array, DEPTH_MAX, Object, Value};
