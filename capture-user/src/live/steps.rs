//! [`Steps`]: where the time of the start goes.

use std::time::{Duration, Instant};

/// What was done, in the order of beginning, and how long each took.
#[derive(Clone, Debug, Default)]
pub struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    /// Counts the time since `began` for a step.
    pub(super) fn add(&mut self, step: &'static str, began: Instant) {
        let took = began.elapsed();
        match self.0.iter_mut().find(|(name, _)| *name == step) {
            Some((_, sum)) => *sum += took,
            None => self.0.push((step, took)),
        }
    }

    /// Puts the steps of `other` behind.
    pub(super) fn append(&mut self, other: Steps) {
        self.0.extend(other.0);
    }

    /// Each step and its time.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.0.iter().copied()
    }
}

impl std::fmt::Display for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (step, took)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{step} {:.1} ms", took.as_secs_f64() * 1000.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_done_twice_is_one() {
        let mut steps = Steps::default();
        for step in ["a", "b", "a"] {
            steps.add(step, Instant::now());
        }
        assert_eq!(steps.iter().map(|(step, _)| step).collect::<Vec<_>>(), ["a", "b"]);
        let mut all = Steps(vec![("c", Duration::from_micros(2_500))]);
        all.append(Steps(vec![("d", Duration::ZERO)]));
        assert_eq!(all.to_string(), "c 2.5 ms, d 0.0 ms");
    }
}
