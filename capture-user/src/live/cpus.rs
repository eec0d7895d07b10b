//! Which CPUs there are, and which ring belongs to which.

use super::error::LiveError;

/// The CPUs that have rings, and how the probe finds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// CPU number of each slot: every CPU that is there, online or not, so that one which comes online
    /// during the capture has its ring.
    pub(crate) ringed: Vec<u32>,
    /// Highest possible CPU number plus one.
    pub(crate) possible: u32,
}

impl Cpus {
    /// Reads the kernel's lists.
    pub(crate) fn read() -> Result<Self, LiveError> {
        let list = |name: &str| {
            let text = std::fs::read_to_string(format!("/sys/devices/system/cpu/{name}"));
            let text =
                text.map_err(|source| LiveError::Os { what: "reading /sys/devices/system/cpu", source })?;
            parse_list(text.trim()).ok_or(LiveError::Os {
                what: "reading /sys/devices/system/cpu",
                source: std::io::Error::from(std::io::ErrorKind::InvalidData),
            })
        };
        let ringed = list("present")?;
        let possible = list("possible")?.last().map_or(1, |last| last + 1);
        Ok(Self { ringed, possible })
    }

    /// Whether CPU n has slot n.
    pub(crate) fn is_identity(&self) -> bool {
        self.ringed.iter().enumerate().all(|(slot, cpu)| slot as u32 == *cpu)
    }
}

/// Parses `0-3,5`.
fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut out = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        out.extend(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(parse_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_list("0"), Some(vec![0]));
        assert_eq!(parse_list(""), None);
        assert!(Cpus { ringed: vec![0, 1], possible: 4 }.is_identity());
        assert!(!Cpus { ringed: vec![0, 2], possible: 4 }.is_identity());
    }
}
