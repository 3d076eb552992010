//! The table of scripts. Lists are counted: at most 1, one more for each 410 (`gone`), and one
//! more for each list that the script itself forces, because it spoils one or loses an event
//! beyond recognition (`forced`).

mod answers;
mod connections;
mod credentials;
mod objects;
mod relists;
mod watches;

use std::collections::VecDeque;

use redirector_kube::{
    client::ErrorKind,
    watch::{Limits, Snapshot},
};

use crate::state::{Act, On, Part, Request, ServerState};

/// What a server does, and what has to be true at the end.
pub struct Script {
    pub name: &'static str,
    pub steps: VecDeque<(On, Act)>,
    pub is_tls: bool,
    /// The server begins to listen only after it has been dialled in vain.
    pub is_late: bool,
    /// The first address is refused; the server is an alternative.
    pub is_elsewhere: bool,
    /// How many times the script says 410.
    pub gone: usize,
    /// How many more lists it forces.
    pub forced: usize,
    /// Errors that have to be met.
    pub errors: &'static [ErrorKind],
    /// What may not be said.
    pub never: &'static [&'static str],
    /// What has to be said exactly once.
    pub once: &'static [&'static str],
    pub limits: fn(Limits) -> Limits,
    pub check: fn(&Snapshot) -> Option<String>,
}

/// All scripts.
pub fn all() -> Vec<Script> {
    let tables = [
        connections::scripts(),
        credentials::scripts(),
        answers::scripts(),
        relists::scripts(),
        watches::scripts(),
        objects::scripts(),
    ];
    tables.into_iter().flatten().collect()
}

fn script(name: &'static str) -> Script {
    Script {
        name,
        steps: VecDeque::new(),
        is_tls: false,
        is_late: false,
        is_elsewhere: false,
        gone: 0,
        forced: 0,
        errors: &[],
        never: &[],
        once: &["+final=last"],
        limits: |limits| limits,
        check: |_| None,
    }
}

/// A watch is silent after 600 ms, and the one after that is asked to end after 1 s.
fn quick(limits: Limits) -> Limits {
    Limits { silence: std::time::Duration::from_millis(600), ..limits }
}

impl Script {
    fn on(
        mut self,
        on: On,
        act: impl FnOnce(&mut ServerState, &Request) -> Vec<Part> + Send + 'static,
    ) -> Self {
        self.steps.push_back((on, Box::new(act)));
        self
    }

    fn does(self, on: On, parts: Vec<Part>) -> Self {
        self.on(on, |_, _| parts)
    }

    fn repeats(self, times: usize, on: On, parts: &[Part]) -> Self {
        (0..times).fold(self, |script, _| script.does(on, parts.to_vec()))
    }

    /// A request whose path has this, and which is answered as a server should.
    fn asks_with(self, on: On, part: &'static str) -> Self {
        self.on(on, move |_, request| {
            assert!(request.path.contains(part), "{}", request.path);
            vec![Part::Honest]
        })
    }

    fn asks_without(self, on: On, part: &'static str) -> Self {
        self.on(on, move |_, request| {
            assert!(!request.path.contains(part), "{}", request.path);
            vec![Part::Honest]
        })
    }

    fn tls(self) -> Self {
        Self { is_tls: true, ..self }
    }

    fn gone(self, gone: usize) -> Self {
        Self { gone, ..self }
    }

    fn forced(self, forced: usize) -> Self {
        Self { forced, ..self }
    }

    fn meets(self, errors: &'static [ErrorKind]) -> Self {
        Self { errors, ..self }
    }

    fn never(self, never: &'static [&'static str]) -> Self {
        Self { never, ..self }
    }

    fn once(self, once: &'static [&'static str]) -> Self {
        Self { once, ..self }
    }

    fn limits(self, limits: fn(Limits) -> Limits) -> Self {
        Self { limits, ..self }
    }

    fn check(self, check: fn(&Snapshot) -> Option<String>) -> Self {
        Self { check, ..self }
    }
}
