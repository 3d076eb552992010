//! Text that others wrote, within bounds.

/// The beginning of a text, at most so many bytes; what was cut off shows as `…`.
pub(crate) fn bounded(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes - '…'.len_utf8());
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_text_ends_between_characters() {
        assert_eq!(bounded("ääää", 8), "ääää");
        assert_eq!(bounded("äääää", 8), "ää…");
    }
}
