//! Writes the tables into a page of the documentation, between two marks.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

const BEGIN: &str = "<!-- begin: cargo xtask race --write -->\n";
const END: &str = "<!-- end -->\n";
/// Beside the page.
const CHART: &str = "![Failed attempts for each contender and fault](img/race.svg)\n\n";

/// Replaces what the page has between its marks.
pub(in crate::race) fn write_into(page: &Path, tables: &str) -> Result<()> {
    let name = page.display();
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {name}"))?;
    let text = replaced(&text, tables).with_context(|| format!("{name} has no {BEGIN}"))?;
    fs::write(page, text).with_context(|| format!("cannot write {name}"))
}

/// Other generated parts of the page end with the same mark.
fn replaced(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{CHART}{tables}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_part_of_a_page_is_replaced() {
        let page = format!("a\n<!-- begin: other -->\nb\n{END}{BEGIN}old\n{END}c\n");
        let expected = format!("a\n<!-- begin: other -->\nb\n{END}{BEGIN}{CHART}new\n{END}c\n");

        assert_eq!(replaced(&page, "new\n"), Some(expected));
        assert_eq!(replaced("no marks", "new\n"), None);
    }
}
