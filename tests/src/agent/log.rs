//! Reads an agent's log as a test does: any error in it is one.

/// The first line of `log` that no test may cause.
pub(crate) fn complaint(log: &str) -> Option<&str> {
    log.lines().find(|line| {
        let level = line.split_whitespace().find(|word| word.chars().all(char::is_uppercase));
        line.contains("panicked at") || level == Some("ERROR") || line.contains("\"ERROR\"")
    })
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn only_errors_and_panics_are_complaints() {
        for fine in [
            "2026-01-01T00:00:00Z  INFO redirector: no ERROR so far",
            "2026-01-01T00:00:00Z  WARN redirector: file rejected",
            r#"{"level":"INFO","message":"ready"}"#,
            "",
        ] {
            assert_eq!(complaint(fine), None);
        }
        for bad in [
            "2026-01-01T00:00:00Z ERROR redirector: cannot attach",
            r#"{"level":"ERROR","message":"cannot attach"}"#,
            "thread 'main' panicked at src/main.rs:1:1:",
        ] {
            assert_eq!(complaint(bad), Some(bad));
        }
    }
}
