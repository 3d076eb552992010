//! The chart: failed attempts for each contender and fault, on a logarithmic scale, as an SVG that
//! reads in light and dark and brings no fonts.

use std::fmt::Write as _;

use super::Results;
use crate::race::contender::{Contender, Means};

/// Panels beside each other.
const COLUMNS: usize = 2;
/// Of a panel, in pixels.
const WIDTH: f64 = 460.0;
const LABELS: f64 = 130.0;
/// Right of the longest bar, for its figure.
const FIGURES: f64 = 50.0;
const BAR: f64 = 14.0;
const PITCH: f64 = 20.0;
const TITLE: f64 = 46.0;
/// Below all panels.
const CAPTION: f64 = 24.0;
/// The length of a bar is 0 below and full above.
const LEAST: f64 = 0.5;
const MOST: f64 = 5000.0;

const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; }
  .line { stroke: #d0d7de; }
  .other { fill: #8c959f; }
  .own { fill: #0969da; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .line { stroke: #3d444d; }
    .other { fill: #7d8590; }
    .own { fill: #4493f8; }
  }
";

/// The chart of the faults of replicas.
pub(in crate::race) fn svg(results: &Results) -> String {
    let faults: Vec<_> = results.of_replicas().collect();
    let panel = TITLE + PITCH * results.contenders.len() as f64 + 10.0;
    let (width, rows) = (WIDTH * COLUMNS as f64, faults.len().div_ceil(COLUMNS));
    let height = panel * rows as f64 + CAPTION;
    let attempts = u64::from(results.measure.rate) * results.measure.lasts.as_secs();
    let description = escaped(&format!("Failed attempts of {attempts} each, logarithmic"));
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{description}\">\n<title>{description}</title>\n<style>{STYLE}</style>\n"
    );
    for (number, fault) in faults.into_iter().enumerate() {
        let (x, y) = ((number % COLUMNS) as f64 * WIDTH, (number / COLUMNS) as f64 * panel);
        let _ = writeln!(text, "<g transform=\"translate({x} {y})\">");
        let title = escaped(fault.name());
        let _ = writeln!(text, "<text class=\"title\" x=\"8\" y=\"18\">{title}</text>");
        text += &scale(TITLE + PITCH * results.contenders.len() as f64);
        for (row, contender) in results.contenders.iter().copied().enumerate() {
            let count =
                |figures: &crate::race::tally::Figures| Some(f64::from(figures.failed.count));
            let failed = results.median(fault, contender, count);
            text += &bar(contender, failed, TITLE + PITCH * row as f64);
        }
        text.push_str("</g>\n");
    }
    let base = height - CAPTION / 2.0;
    let _ = writeln!(text, "<text x=\"8\" y=\"{base}\">{description}</text>\n</svg>");
    text
}

/// Lines at 1, 10, 100 and 1,000.
fn scale(bottom: f64) -> String {
    let mut text = String::new();
    for value in [1.0, 10.0, 100.0, 1000.0] {
        let x = LABELS + length(value);
        let _ = writeln!(
            text,
            "<line class=\"line\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
            TITLE - 8.0,
            TITLE - 12.0
        );
    }
    text
}

fn bar(contender: Contender, failed: Option<f64>, y: f64) -> String {
    // Colour alone says nothing: the name is beside each bar.
    let class = match contender.means() {
        Means::Agent { .. } => "own",
        _ => "other",
    };
    let (length, name) = (failed.map_or(0.0, length), escaped(contender.name()));
    let figure = failed.map_or_else(|| "–".to_owned(), |failed| format!("{failed:.0}"));
    let base = y + BAR - 3.0;
    format!(
        "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{name}</text>\
         <rect class=\"{class}\" x=\"{LABELS}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\"/>\
         <text x=\"{:.1}\" y=\"{base}\">{figure}</text>\n",
        LABELS - 6.0,
        // None failed: a stub shows that it was measured.
        length.max(1.0),
        LABELS + length.max(1.0) + 5.0
    )
}

/// Pixels of a bar: half an attempt has none.
fn length(value: f64) -> f64 {
    let full = WIDTH - LABELS - FIGURES;
    let part = (value.max(LEAST) / LEAST).log10() / (MOST / LEAST).log10();
    full * part.min(1.0)
}

/// Text for between tags and in attributes.
fn escaped(text: &str) -> String {
    let entities = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;")];
    let escape = |text: String, (what, entity): (char, &str)| text.replace(what, entity);
    entities.into_iter().fold(text.to_owned(), escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_svg_is_escaped_once() {
        assert_eq!(escaped("a < b & \"c\""), "a &lt; b &amp; &quot;c&quot;");
    }

    #[test]
    fn ten_times_the_failures_is_always_the_same_step() {
        let steps = [1.0, 10.0, 100.0].map(|value| length(value * 10.0) - length(value));

        assert!(steps.iter().all(|step| (step - steps[0]).abs() < 1e-6), "{steps:?}");
        assert!(length(0.0).abs() < 1e-6, "none has no bar");
        assert!(length(1e9) <= WIDTH - LABELS - FIGURES);
    }

    #[test]
    fn a_figure_that_was_not_measured_is_not_shown_as_zero() {
        assert!(bar(Contender::Direct, None, 0.0).contains(">–<"));
        assert!(bar(Contender::Direct, Some(0.0), 0.0).contains(">0<"));
    }
}
