//! Rules of the state engine, one by one, on hand-made events: no kernel and no file needed.

mod captures;
mod fds;
mod iterated;
mod limits;
mod order;
mod processes;
mod sockets;
mod stale;
mod world;
