//! What chisels in Lua may do and use.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Limits and permissions of all chisels in Lua.
#[derive(Clone)]
pub struct LuaOptions {
    /// Whether they may run programs, and read and write any file.
    pub unrestricted: bool,
    /// Bytes that each may use.
    pub memory_bytes: usize,
    /// How long each call of a callback may take.
    pub time: Option<Duration>,
    /// Set when the user asked for the end.
    pub stop: Arc<AtomicBool>,
    /// Told, on another thread, that a chisel can neither go on nor be stopped; ends the program.
    pub on_hang: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Default for LuaOptions {
    fn default() -> Self {
        LuaOptions {
            unrestricted: false,
            memory_bytes: 1 << 30,
            time: Some(Duration::from_secs(30)),
            stop: Arc::default(),
            on_hang: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for LuaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LuaOptions")
            .field("unrestricted", &self.unrestricted)
            .field("memory_bytes", &self.memory_bytes)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}
