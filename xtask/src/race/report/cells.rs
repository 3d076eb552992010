//! Rows and cells of the tables: what was not measured is a dash, never a zero.

use crate::race::contender::Contender;

/// A title, and the head of a table with these columns besides the contender.
pub(super) fn head(title: &str, columns: &[&str]) -> String {
    format!("\n{title}\n\n| | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

/// A contender's row.
pub(super) fn row(contender: Contender, cells: impl Iterator<Item = String>) -> String {
    format!("| {} | {} |\n", contender.name(), cells.collect::<Vec<_>>().join(" | "))
}

/// A count, and when the last one began.
pub(super) fn failed(count: Option<f64>, last: Option<f64>) -> String {
    match last {
        Some(last) => format!("{} [{last:.1}]", number(count)),
        None => number(count),
    }
}

/// A count.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"))
}

/// Seconds, to a tenth.
pub(super) fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
}

/// A figure, and its ratio to that of `direct`.
pub(super) fn with_ratio(figure: Option<(f64, Option<f64>)>) -> String {
    match figure {
        Some((value, Some(ratio))) => format!("{value:.0} ({ratio:.2})"),
        Some((value, None)) => format!("{value:.0}"),
        None => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_shown_as_zero() {
        assert_eq!([number(None), seconds(None), with_ratio(None)], ["–"; 3]);
        assert_eq!(failed(Some(0.0), None), "0");
        assert_eq!(failed(Some(47.0), Some(0.46)), "47 [0.5]");
        assert_eq!(with_ratio(Some((158.2, Some(2.324)))), "158 (2.32)");
    }
}
