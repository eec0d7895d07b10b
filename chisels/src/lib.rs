//! Small analysis programs over an event stream, and the trait they implement.
#![forbid(unsafe_code)]
