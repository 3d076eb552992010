//! The guard's half: starts the process and has it run scripts.

use anyhow::{Result, ensure};

use super::{Reply, Step};
use crate::{
    place::Place,
    programs::{self, Role},
    worker::Worker,
};

/// A process that runs scripts. Dropping it kills the process.
#[derive(Debug)]
pub struct Scripter(Worker);

impl Scripter {
    /// Starts one. In the place's cgroup its sockets are redirected.
    pub fn start(place: Place<'_>) -> Result<Self> {
        Worker::start(place, programs::command(Role::Scripter)?).map(Self)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Runs one script; as many replies as steps.
    pub fn run(&mut self, script: &[Step]) -> Result<Vec<Reply>> {
        let replies: Vec<Reply> = self.0.ask(&script)?;
        ensure!(replies.len() == script.len(), "{} steps, {} replies", script.len(), replies.len());
        Ok(replies)
    }
}
