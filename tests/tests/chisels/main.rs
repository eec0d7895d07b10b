//! Chisels: sysdig's Lua files in our host against stock sysdig, the built-in ones against those files,
//! recorded runs, live runs, Lua that means harm, and the guide to writing one.

mod cases;
mod guide;
mod hostile;
mod live;
mod matrix;
mod native;
mod recorded;
mod stories;
mod support;
mod terminal;
