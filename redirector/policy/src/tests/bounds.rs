//! Durations, as they are read and shown.

use std::time::Duration;

use super::super::bounds::{CONNECT_TIMEOUT, HOLD_DOWN, MAX_EJECTION, parse, shown};

#[test]
fn durations_are_those_of_the_gateway_api() {
    for (text, milliseconds) in [
        ("0s", 0),
        ("500ms", 500),
        ("1s", 1_000),
        ("90s", 90_000),
        ("1m", 60_000),
        ("1h30m", 5_400_000),
        ("1h1m1s1ms", 3_661_001),
        ("00001s", 1_000),
        ("1s1s", 2_000),
    ] {
        assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in [
        "",
        "1",
        "s",
        "1d",
        "1.5s",
        "-1s",
        "+1s",
        " 1s",
        "1s ",
        "1 s",
        "1S",
        "1us",
        "123456s",
        "1s1s1s1s1s",
        "١s",
        "1h-1m",
        "1day",
        "1min",
        "∞",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn both_ends_are_allowed_and_shown_as_they_are_written() {
    assert_eq!(CONNECT_TIMEOUT.check("300ms"), Ok(300));
    assert_eq!(CONNECT_TIMEOUT.check("60s"), Ok(60_000));
    assert_eq!(CONNECT_TIMEOUT.check("1m"), Ok(60_000));
    assert_eq!(
        CONNECT_TIMEOUT.check("299ms"),
        Err("299ms is not between 300ms and 60s".to_owned())
    );
    assert_eq!(MAX_EJECTION.check("24h"), Ok(86_400_000));
    assert_eq!(MAX_EJECTION.check("24h1ms"), Err("24h1ms is not between 1s and 24h".to_owned()));
    assert_eq!(HOLD_DOWN.check("0s"), Ok(0));
    for (milliseconds, text) in
        [(0, "0s"), (300, "300ms"), (60_000, "60s"), (90_000, "1m30s"), (3_600_000, "1h")]
    {
        assert_eq!(shown(Duration::from_millis(milliseconds)), text);
    }
}
