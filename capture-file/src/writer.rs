//! stub
/// Tail
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessTail {
    /// Dual
    Dual,
    /// Safe
    Safe,
}
