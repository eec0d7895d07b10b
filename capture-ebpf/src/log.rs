//! aya-log messages of a debug build (`cargo xtask ebpf --log`, shown by `--probe-log`). The
//! default object has none of this code.

/// Logs a message with aya-log when feature `log` is on.
macro_rules! log {
    ($ctx:expr, $($message:tt)*) => {
        #[cfg(feature = "log")]
        {
            let ctx = aya_ebpf::programs::BtfTracePointContext::new($ctx.cast());
            aya_log_ebpf::debug!(&ctx, $($message)*);
        }
    };
}
pub(crate) use log;
