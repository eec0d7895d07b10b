//! Sizes for people, as sysdig's chisels print them.

use std::io::Write;

/// Appends a size: `832B`, `5.90KB`, `1.05M`, `2.00G`, …
pub fn write_bytes(out: &mut Vec<u8>, bytes: u64) {
    const UNITS: [(&str, u32); 5] = [("P", 50), ("T", 40), ("G", 30), ("M", 20), ("KB", 10)];
    match UNITS.iter().find(|(_, shift)| bytes > 1 << shift) {
        // Writing to a Vec cannot fail.
        Some((unit, shift)) => {
            let _ = write!(out, "{:.2}{unit}", bytes as f64 / (1u64 << shift) as f64);
        }
        None => {
            let _ = write!(out, "{bytes}B");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let text = |n| {
            let mut out = Vec::new();
            write_bytes(&mut out, n);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(832), "832B");
        assert_eq!(text(1024), "1024B");
        assert_eq!(text(6042), "5.90KB");
        assert_eq!(text(3 << 20), "3.00M");
        assert_eq!(text(5 << 30), "5.00G");
    }
}
