//! Near names for "did you mean": edit distance with transpositions over a catalogue's names.

/// Most suggestions shown.
const SUGGESTIONS_MAX: usize = 3;
/// Longer words are not compared: nobody mistypes them into something short.
const WORD_MAX_CHARS: usize = 64;

/// The known names nearest to a word; empty if nothing is near.
pub fn near_names<S: AsRef<str>>(word: &str, known: impl Iterator<Item = S>) -> Vec<String> {
    if word.len() > WORD_MAX_CHARS {
        return Vec::new();
    }
    let typed: Vec<char> = word.to_lowercase().chars().collect();
    let limit = (typed.len() / 3).clamp(1, 3);
    let mut found: Vec<(usize, String)> = Vec::new();
    for name in known {
        let name = name.as_ref();
        if name.len() > WORD_MAX_CHARS {
            continue;
        }
        let candidate: Vec<char> = name.to_lowercase().chars().collect();
        if candidate.len().abs_diff(typed.len()) > limit {
            continue;
        }
        let distance = distance(&typed, &candidate);
        if distance <= limit && name != word {
            found.push((distance, name.to_owned()));
        }
    }
    found.sort();
    found.dedup();
    // Farther names beside a near one would only distract.
    let best = found.first().map_or(0, |row| row.0);
    found.into_iter().filter(|row| row.0 == best).take(SUGGESTIONS_MAX).map(|(_, name)| name).collect()
}

/// Optimal string alignment distance: insertions, deletions, substitutions, swaps of neighbours.
fn distance(left: &[char], right: &[char]) -> usize {
    let width = right.len() + 1;
    let mut before: Vec<usize> = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (i, &l) in left.iter().enumerate() {
        let mut row = vec![i + 1; width];
        for (j, &r) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(l != r)).min(row[j] + 1).min(last[j + 1] + 1);
            if i > 0 && j > 0 && l == right[j - 1] && left[i - 1] == r {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_first_and_nothing_far() {
        let known = ["fd.sport", "fd.cport", "fd.name", "proc.name"];
        assert_eq!(near_names("fd.sprot", known.iter()), ["fd.sport"]);
        assert!(near_names("something.else", known.iter()).is_empty());
        assert!(near_names(&"x".repeat(100_000), known.iter()).is_empty());
    }
}
