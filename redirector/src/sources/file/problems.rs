//! Why a file is refused: every problem found in it, each with its line and column.

use std::fmt;

use serde_saphyr::{Error as Yaml, MessageFormatter as _, UserMessageFormatter};

use super::tree::Position;

/// More problems than this are counted, not listed: they are usually one mistake repeated.
const LISTED: usize = 20;
/// More than this are not even remembered.
const REMEMBERED: usize = 1_000;

/// A file that was refused as a whole. Displayed as one line per problem,
/// `FILE:LINE:COLUMN: message`, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// The file's name, as the caller gave it.
    pub path: String,
    /// The problems: at least one, at most 20.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub unlisted: usize,
}

/// One thing to put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is in the file.
    pub position: Position,
    /// Which object, what is wrong with it, what to do.
    pub message: String,
}

impl Invalid {
    /// A problem of the file as a whole.
    pub(super) fn whole(path: &str, message: impl fmt::Display) -> Self {
        Self::one(path, Position::FILE, message.to_string())
    }

    /// A file that is no YAML, or nested or repeated too much.
    pub(super) fn yaml(path: &str, error: &Yaml) -> Self {
        let position = error.location().map_or(Position::FILE, Position::from);
        Self::one(path, position, explain(error))
    }

    /// Bytes that are no UTF-8; `valid` is what comes before them.
    pub(super) fn not_utf8(path: &str, valid: &[u8]) -> Self {
        let valid = String::from_utf8_lossy(valid);
        let lines = valid.matches('\n').count() + 1;
        let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let position = Position { line: clamp(lines), column: clamp(column) };
        Self::one(path, position, "the bytes here are no UTF-8; save the file as UTF-8".to_owned())
    }

    fn one(path: &str, position: Position, message: String) -> Self {
        Self { path: path.to_owned(), problems: vec![Problem { position, message }], unlisted: 0 }
    }
}

/// The problems found so far, in any order.
#[derive(Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    forgotten: usize,
}

impl Problems {
    /// Adds a problem; the validation goes on.
    pub fn add(&mut self, position: Position, message: impl fmt::Display) {
        if self.found.len() == REMEMBERED {
            self.forgotten += 1;
            return;
        }
        self.found.push(Problem { position, message: message.to_string() });
    }

    /// Positions of the problems that were found after the first `count`.
    pub fn since(&self, count: usize) -> impl Iterator<Item = Position> {
        self.found.iter().skip(count).map(|problem| problem.position)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.len() + self.forgotten
    }

    /// The first ones, in the order of the file, and how many others there are.
    pub fn listed(self) -> (Vec<Problem>, usize) {
        let Self { found: mut problems, forgotten } = self;
        problems.sort_by_key(|problem| problem.position);
        let unlisted = problems.len().saturating_sub(LISTED) + forgotten;
        problems.truncate(LISTED);
        (problems, unlisted)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problems, unlisted } = self;
        for (index, Problem { position, message }) in problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match *position {
                Position::FILE => write!(f, "{path}: {message}")?,
                Position { line, column } => write!(f, "{path}:{line}:{column}: {message}")?,
            }
        }
        if *unlisted > 0 {
            write!(f, "\n{path}: and {unlisted} more")?;
        }
        Ok(())
    }
}

/// The parser's words where they tell a user what to do, ours where they speak of Rust.
fn explain(error: &Yaml) -> String {
    match error.without_snippet() {
        Yaml::AliasError { error, .. } => explain(error),
        Yaml::UnknownAnchor { .. } => "the alias names no anchor above it".to_owned(),
        Yaml::MultipleDocuments { .. } => {
            "a second YAML document begins; put everything into one".to_owned()
        }
        Yaml::Budget { .. }
        | Yaml::AliasReplayLimitExceeded { .. }
        | Yaml::AliasReplayStackDepthExceeded { .. } => {
            "too deeply nested, or too much repeated through YAML aliases".to_owned()
        }
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}
