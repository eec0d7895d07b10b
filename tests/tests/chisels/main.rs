//! Chisels: sysdig's Lua files in our host against stock sysdig, recorded runs, and Lua that means
//! harm.

mod hostile;
mod matrix;
mod recorded;
mod support;
