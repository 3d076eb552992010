//! Of a cluster that falls silent no backend costs an allocation of its own, neither in the verdict nor
//! in its plan: what is allocated grows with the services, and with the nodes of a few maps.

#[path = "support/silent.rs"]
mod silent;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use self::silent::World;

/// Counts what is allocated; this file has one test, so that no other thread allocates meanwhile.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: it comes from `alloc` above, with that layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_backend_of_a_silent_cluster_costs_no_allocation_of_its_own() {
    let [few, many] = [8, 48].map(|each| {
        let mut world = World::new(100, 100 * each, 50);
        world.answer(0);
        world.silence(1);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let happened = world.verdict(2);
        let plan = world.changes();
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(happened.len(), 1 + 100, "each service fails over once");
        // 50 nodes; a region and a word for each service, and the barrier.
        assert_eq!(plan.steps.len(), 50 + 2 * 100 + 1);
        allocations
    });
    let backends = 100 * (48 - 8);
    assert!(
        2 * (many - few) < backends,
        "{few} allocations for 800 backends, {many} for 4,800: {} for each more",
        (many - few) as f64 / f64::from(backends as u32)
    );
}
