//! Fields: none is missing, the lists name them all, and each shows its value on a real capture.

mod lists;
mod names;
mod values;
