//! The socket matrix: every family, way, matter and number of backends.

use super::{
    cell::Cell,
    fixture::{Fixture, all_services},
};

/// Promised.
const FEWEST_CELLS: usize = 80;

#[test]
fn every_cell_of_the_socket_matrix() {
    let site = Fixture::new(&all_services(), &[]);
    let mut client = site.client();
    let cells = Cell::all();

    let mut faults = Vec::new();
    for cell in &cells {
        let dialogue = cell.dialogue();
        let replies = client.run(dialogue.steps()).expect("replies");
        faults.extend(dialogue.faults(&replies).iter().map(|fault| format!("{cell}: {fault}")));
    }

    println!("socket matrix: {} cells", cells.len());
    assert!(cells.len() >= FEWEST_CELLS);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
