//! The table: clients, what happened, and how many dials were lost of how many.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    dials::Dial,
    faults::{FEWEST_DIALS, Fault, Window},
    kinds::{Answer, Client},
    limits,
};

/// What became of a client's dials, one cell for each fault.
pub struct Row {
    client: &'static Client,
    cells: Vec<Cell>,
}

struct Cell {
    fault: Fault,
    /// IPv4, IPv6.
    families: [Sum; 2],
    /// What no limit covers, and what was led to where nothing may be.
    unexplained: Vec<String>,
    /// What clients have said of what was lost.
    said: BTreeMap<String, usize>,
    /// The replicas that answered.
    answered: BTreeSet<u8>,
}

#[derive(Default)]
struct Sum {
    lost: usize,
    made: usize,
}

impl Row {
    pub fn new(client: &'static Client, dials: &[Vec<Dial>], windows: &[Window]) -> Self {
        let cells = windows.iter().map(|window| Cell::new(client, dials, window)).collect();
        Self { client, cells }
    }
}

impl Cell {
    fn new(client: &Client, dials: &[Vec<Dial>], window: &Window) -> Self {
        let mut cell = Self {
            fault: window.fault,
            families: [Sum::default(), Sum::default()],
            unexplained: Vec::new(),
            said: BTreeMap::new(),
            answered: BTreeSet::new(),
        };
        for (family, dials) in dials.iter().enumerate() {
            let here = |dial: &&Dial| window.begin <= dial.begin && dial.begin < window.end;
            let dials: Vec<_> = dials.iter().filter(here).collect();
            cell.families[family] = cell.count(&dials);
            let lost: Vec<_> = dials.iter().copied().filter(|dial| dial.outcome.is_err()).collect();
            let unexplained = limits::unexplained(client, window, &lost).into_iter();
            let strays = dials.into_iter().filter(|dial| is_stray(client, window, dial));
            cell.unexplained.extend(unexplained.chain(strays).map(|dial| told(window, dial)));
        }
        cell
    }

    fn count(&mut self, dials: &[&Dial]) -> Sum {
        let mut sum = Sum { lost: 0, made: dials.len() };
        for dial in dials {
            match &dial.outcome {
                Ok(replica) => drop(self.answered.insert(*replica)),
                Err(said) => {
                    sum.lost += 1;
                    *self.said.entry(said.clone()).or_default() += 1;
                }
            }
        }
        sum
    }
}

/// Whether it was led to a replica to which nothing new may go. What is kept may go on there.
fn is_stray(client: &Client, window: &Window, dial: &Dial) -> bool {
    let is_new = client.connections + client.sockets == 0
        && window.settled < dial.begin
        && dial.end < window.end;
    is_new && dial.outcome.as_ref().is_ok_and(|replica| !window.fault.may_lead_to(*replica))
}

/// In seconds since the fault.
fn told(window: &Window, dial: &Dial) -> String {
    let since = |when: Instant| {
        when.duration_since(window.begin).as_secs_f64()
            - window.at.duration_since(window.begin).as_secs_f64()
    };
    format!("{:.3} s to {:.3} s: {:?}", since(dial.begin), since(dial.end), dial.outcome)
}

/// Dials lost / dials made, of IPv4 and of IPv6; and what the clients said of those lost.
pub fn print(rows: &[Row]) {
    let width = rows.iter().map(|row| row.client.name.len()).max().unwrap_or(0);
    let heads: String = Fault::ALL.iter().map(|fault| format!("  {:>15}", fault.name())).collect();
    println!("{:<width$}{heads}", "lost/made: IPv4, IPv6");
    for row in rows {
        let cell = |cell: &Cell| {
            let families =
                cell.families.each_ref().map(|Sum { lost, made }| format!("{lost}/{made}"));
            format!("  {:>15}", families.join(" "))
        };
        let cells: String = row.cells.iter().map(cell).collect();
        println!("{:<width$}{cells}", row.client.name);
    }
    for row in rows {
        for cell in &row.cells {
            for (said, count) in &cell.said {
                println!("{}, {}: {count} times {said}", row.client.name, cell.fault.name());
            }
        }
    }
}

/// Panics if something was lost that no limit covers, if a client hung, or never came to several replicas.
pub fn judge(rows: &[Row]) {
    let mut faults = Vec::new();
    for Row { client, cells } in rows {
        for Cell { fault, families, unexplained, .. } in cells {
            let place = format!("{}, {}", client.name, fault.name());
            // One dial that the test had to end takes the time of several.
            let hang = families.iter().filter(|sum| sum.made < FEWEST_DIALS / 2);
            faults.extend(hang.map(|sum| format!("{place}: hangs, {} dials", sum.made)));
            faults.extend(unexplained.iter().map(|dial| format!("{place}: {dial}")));
        }
        let replicas: BTreeSet<_> = cells.iter().flat_map(|cell| cell.answered.iter()).collect();
        if client.answer == Answer::Names && replicas.len() < 2 {
            faults.push(format!("{}: answered by {replicas:?} alone", client.name));
        }
    }
    assert!(faults.is_empty(), "lost beyond README.md, \"Limits\":\n{}", faults.join("\n"));
}
