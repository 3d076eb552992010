//! Bad files, and where and why each is refused: a table in `bad_inputs.txt`, and what does not fit
//! into a table.

use super::super::{Invalid, Position, Problem, parse, read, read::Contents};

#[test]
fn every_bad_file_is_refused_where_it_is_wrong() {
    let cases: Vec<_> = include_str!("bad_inputs.txt").split("\n=== ").skip(1).collect();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    for case in cases {
        let (what, rest) = case.split_once('\n').expect("a line that says what is wrong");
        let end = if rest.starts_with("> ") { Some(0) } else { rest.find("\n> ").map(|at| at + 1) };
        let (text, expected) = rest.split_at(end.expect("a problem"));
        let expected = expected.lines().filter_map(|line| line.strip_prefix("> "));
        let expected: Vec<_> = expected.filter_map(|line| line.split_once(' ')).collect();
        let invalid = parse("f", text).expect_err(what);
        let Invalid { path: _, problems, unlisted } = &invalid;
        assert_eq!((problems.len(), *unlisted), (expected.len(), 0), "{what}: {invalid}");
        for (Problem { position, message }, (place, words)) in problems.iter().zip(expected) {
            let found = match *position {
                Position::FILE => "file".to_owned(),
                Position { line, column } => format!("{line}:{column}"),
            };
            assert!(found == place && message.contains(words), "{what}: {invalid}");
        }
    }
}

#[test]
fn a_long_name_is_refused_without_filling_the_log() {
    let text = service_with(&[], &"x".repeat(254));
    let message = parse("f", &text).expect_err("254 bytes").to_string();
    assert_eq!(message, "f:2:9: the name of a service is 254 bytes long; at most 253 are allowed");
    parse("f", &service_with(&[], &"x".repeat(253))).expect("253 bytes");

    let text = service_with(&[format!("{{address: {}}}", "x".repeat(100_000))], "a");
    let message = parse("f", &text).expect_err("no address").to_string();
    assert!(message.len() < 300, "{} bytes", message.len());
}

#[test]
fn more_than_twenty_problems_are_counted() {
    let backends: Vec<_> = (0..2_000).map(|_| "{address: \"10.1.0.1:0\"}".to_owned()).collect();
    let invalid = parse("f", &service_with(&backends, "a")).expect_err("port 0");
    assert_eq!(invalid.problems.len(), 20);
    let message = invalid.to_string();
    assert_eq!(message.lines().last(), Some("f: and 1980 more"));
}

#[test]
fn a_hundred_thousand_backends_in_one_place_are_refused_where_they_become_too_many() {
    let backends: Vec<_> = (0..100_000_u32)
        .map(|n| format!("{{address: \"11.{}.{}.{}:80\"}}", n >> 16, n >> 8 & 255, n & 255))
        .collect();
    let message = parse("f", &service_with(&backends, "a")).expect_err("too many").to_string();
    assert_eq!(
        message,
        "f:65540:15: service \"a\": more than 65535 backends in one place; split the service"
    );
}

#[test]
fn an_alias_bomb_is_refused_before_it_explodes() {
    let backends: Vec<_> =
        (0..500_u32).map(|n| format!("{{address: \"10.1.{}.{}:80\"}}", n >> 8, n & 255)).collect();
    let mut text = service_with(&backends, "a").replacen("- name", "- &bomb\n  name", 1);
    text.push_str(&"- *bomb\n".repeat(1_000));
    let message = parse("f", &text).expect_err("a bomb").to_string();
    let expected = ": too deeply nested, or too much repeated through YAML aliases";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn bytes_that_are_no_utf8_are_found() {
    let contents = Contents::Bytes(b"services: []\n# caf\xe9\n".as_slice().into());
    let message = contents.parse("f").expect_err("latin-1").to_string();
    assert_eq!(message, "f:2:6: the bytes here are no UTF-8; save the file as UTF-8");
}

#[test]
fn what_is_no_readable_file_says_what_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let refused = |name: &str| {
        let path = dir.path().join(name);
        let message = read(&path).expect_err("no file").to_string();
        message.strip_prefix(&path.display().to_string()).map(str::to_owned)
    };
    assert_eq!(
        refused("absent").as_deref(),
        Some(": cannot read the file: No such file or directory (os error 2)")
    );
    std::fs::create_dir(dir.path().join("dir")).expect("a directory");
    assert_eq!(refused("dir").as_deref(), Some(": is a directory; name a file in it"));
    nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    assert_eq!(refused("fifo").as_deref(), Some(": is no regular file"));
    let large = std::fs::File::create(dir.path().join("large")).expect("a file");
    large.set_len((64 << 20) + 1).expect("a hole takes no space");
    assert_eq!(refused("large").as_deref(), Some(": is larger than 64 MiB"));
}

fn service_with(backends: &[String], name: &str) -> String {
    let mut text = format!("services:\n- name: {name}\n  frontends: [\"10.0.0.1:80/tcp\"]\n");
    text.push_str(if backends.is_empty() { "  backends: []\n" } else { "  backends:\n" });
    for backend in backends {
        text.push_str("  - ");
        text.push_str(backend);
        text.push('\n');
    }
    text
}
