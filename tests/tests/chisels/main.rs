//! Chisels: sysdig's Lua files in our host against stock sysdig, the built-in ones against those files,
//! recorded runs, and Lua that means harm.

mod cases;
mod hostile;
mod matrix;
mod native;
mod recorded;
mod stories;
mod support;
