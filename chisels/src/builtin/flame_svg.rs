//! A flame graph as SVG: one box per frame, as wide as its share, callers below; each has its name and
//! time as a tooltip.

use crate::text::write_duration;
use std::collections::BTreeMap;
use std::io::Write;

const WIDTH: f64 = 1200.0;
const ROW_HEIGHT: usize = 18;
const MARGIN: usize = 10;
/// Boxes that are narrower are left out.
const NARROWEST: f64 = 0.3;
/// Width of a character of the font.
const CHARACTER: f64 = 7.0;

/// A frame with all that it calls.
#[derive(Debug, Default)]
struct Frame<'s> {
    ns: f64,
    calls: BTreeMap<&'s [u8], Frame<'s>>,
}

impl Frame<'_> {
    fn depth(&self) -> usize {
        self.calls.values().map(|frame| frame.depth() + 1).max().unwrap_or(0)
    }
}

/// Appends the drawing of folded stacks and their times in ns.
pub(super) fn write(rows: &[(&[u8], f64)], out: &mut Vec<u8>) {
    let mut root = Frame::default();
    for (stack, ns) in rows {
        let mut at = &mut root;
        at.ns += ns;
        for name in stack.split(|&b| b == b';') {
            at = at.calls.entry(name).or_default();
            at.ns += ns;
        }
    }
    let height = (root.depth() + 1) * ROW_HEIGHT + 2 * MARGIN;
    // Writing to a Vec cannot fail.
    let _ = writeln!(
        out,
        "<?xml version=\"1.0\" standalone=\"no\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" \
         width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fdfdf5\"/>"
    );
    let inner = WIDTH - 2.0 * MARGIN as f64;
    let scale = if root.ns > 0.0 { inner / root.ns } else { 0.0 };
    let bottom = height - MARGIN - ROW_HEIGHT;
    draw(b"all system calls", &root, MARGIN as f64, bottom, scale, root.ns, out);
    out.extend_from_slice(b"</svg>\n");
}

fn draw(name: &[u8], frame: &Frame<'_>, x: f64, y: usize, scale: f64, all_ns: f64, out: &mut Vec<u8>) {
    let width = frame.ns * scale;
    if width < NARROWEST {
        return;
    }
    let mut time = Vec::new();
    write_duration(&mut time, frame.ns as u64);
    let percent = if all_ns > 0.0 { frame.ns / all_ns * 100.0 } else { 0.0 };
    let text = escaped(name);
    let fill = colour(name);
    let height = ROW_HEIGHT - 1;
    let time = String::from_utf8_lossy(&time);
    let _ = write!(
        out,
        "<g><title>{text} {time} ({percent:.2}%)</title><rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" \
         height=\"{height}\" rx=\"2\" fill=\"{fill}\"/>"
    );
    let room = ((width - 6.0) / CHARACTER) as usize;
    if room >= 3 {
        let name = String::from_utf8_lossy(name);
        let shown: String = match name.chars().count() <= room {
            true => name.into_owned(),
            false => name.chars().take(room - 1).chain(['…']).collect(),
        };
        let (x, y) = (x + 3.0, y + 13);
        let _ = write!(out, "<text x=\"{x:.1}\" y=\"{y}\">{}</text>", escaped(shown.as_bytes()));
    }
    out.extend_from_slice(b"</g>\n");
    let mut x = x;
    for (name, call) in &frame.calls {
        draw(name, call, x, y.saturating_sub(ROW_HEIGHT), scale, all_ns, out);
        x += call.ns * scale;
    }
}

/// A warm colour that is always the same for a name.
fn colour(name: &[u8]) -> String {
    let hash = name.iter().fold(0xcbf2_9ce4u32, |hash, &b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("rgb({},{},{})", 205 + hash % 50, 90 + hash / 50 % 130, hash / 7000 % 60)
}

fn escaped(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_as_wide_as_their_share() {
        let mut out = Vec::new();
        write(&[(b"init;<sh>;read", 750.0), (b"init;write", 250.0)], &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("<title>&lt;sh&gt; 750ns (75.00%)</title>"), "{text}");
        assert!(text.contains("width=\"1180.0\"") && text.contains("width=\"295.0\""), "{text}");
        assert_eq!(text.matches("<g>").count(), 5);
        assert!(text.ends_with("</svg>\n"));
    }

    #[test]
    fn nothing_is_a_drawing_too() {
        let mut out = Vec::new();
        write(&[], &mut out);
        assert!(out.ends_with(b"</svg>\n"));
    }
}
