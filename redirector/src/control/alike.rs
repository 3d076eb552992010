//! What a message lists of what there is, when something was named that there is not.

use std::fmt::Write as _;

/// Names that are listed, at most.
const LISTED: usize = 10;

/// `; there are A, B and C`, or `; there are none`. Of many those that are written most like
/// `wanted`, and how many others there are.
#[must_use]
pub fn there_are(wanted: &str, names: impl IntoIterator<Item = String>) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    let others = names.len().saturating_sub(LISTED);
    if others > 0 {
        let likeness = |name: &String| strsim::jaro_winkler(wanted, name);
        names.sort_by_cached_key(|name| std::cmp::Reverse((likeness(name) * 1e6) as u32));
        names.truncate(LISTED);
    }
    match &names[..] {
        [] => return "; there are none".to_owned(),
        [one] => return format!("; there is {one}"),
        _ => {}
    }
    let mut text = format!("; there are {}", names.join(", "));
    if others > 0 {
        let _ = write!(text, " and {others} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_all_listed_and_of_many_those_that_are_written_alike() {
        let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(there_are("c", some(&[])), "; there are none");
        assert_eq!(there_are("c", some(&["a"])), "; there is a");
        assert_eq!(there_are("c", some(&["b", "a", "b"])), "; there are a, b");
        let many = (0..5_000).map(|number| format!("shop/service-{number}"));
        let many = many.chain(some(&["shop/checkout"]));
        let text = there_are("shop/chekout", many);
        assert!(text.starts_with("; there are shop/checkout, "), "{text}");
        assert!(text.ends_with(" and 4991 more"), "{text}");
        assert!(text.len() < 400, "{text}");
    }
}
