//! Filters over recorded events: as many events match as in two versions of stock sysdig.

mod recorded_counts;
mod support;
