//! A child process that is told what to do by one JSON value a line on stdin, and answers so on stdout.

use std::{
    io::{self, BufRead as _, BufReader, Lines, Write},
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::{Serialize, de::DeserializeOwned};

use crate::place::{Place, Process};

/// The test's half. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) orders: ChildStdin,
    pub(crate) replies: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts one there.
    pub(crate) fn start(place: Place<'_>, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process(place.spawn(command)?);
        let (Some(orders), Some(replies)) = (process.0.stdin.take(), process.0.stdout.take())
        else {
            bail!("a process without pipes");
        };
        Ok(Self { process, orders, replies: BufReader::new(replies).lines() })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Gives an order.
    pub(crate) fn tell(&mut self, order: &impl Serialize) -> Result<()> {
        write_line(&mut self.orders, order).context("the process has ended; see its error above")
    }

    /// Waits for its next answer.
    pub(crate) fn reply<T: DeserializeOwned>(&mut self) -> Result<T> {
        let text = self.replies.next().context("the process has ended; see its error above")?;
        parse(&text.context("cannot read what it answers")?)
    }

    /// Gives an order and waits for its answer.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, order: &impl Serialize) -> Result<T> {
        self.tell(order)?;
        self.reply()
    }
}

/// The process's half: obeys each order with an answer, until its input ends.
pub(crate) fn serve<O: DeserializeOwned, R: Serialize>(obey: impl FnMut(O) -> R) -> Result<()> {
    let mut obey = obey;
    for line in io::stdin().lock().lines() {
        let order = parse(&line.context("cannot read orders")?)?;
        write_line(&mut io::stdout(), &obey(order))?;
    }
    Ok(())
}

/// What a line says.
pub(crate) fn parse<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("no order and no answer: {line:?}"))
}

/// Writes a value as a line, at once.
pub(crate) fn write_line(out: &mut impl Write, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string(value).context("a value that is not JSON")?;
    text.push('\n');
    out.write_all(text.as_bytes()).context("no process reads what this one writes")
}
