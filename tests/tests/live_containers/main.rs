//! Containers of the real engines, live and in the replay.
//!
//! Each engine is started by its script in `tests/engines` on the usual socket, so that it must
//! be found, and runs containers of every kind: named and labelled ones, and ones that are gone
//! after 20 ms. Then the engine is taken away, and the file must tell id, name and image for every
//! event from inside. A row of short ones is recorded and printed live at once (`run`);
//! `CAPTURE_CONTAINERS=500` makes it longer.

mod containerd;
mod docker;
mod engine;
mod podman;
mod replay;
mod run;
