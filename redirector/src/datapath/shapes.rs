//! Tells whether what is pinned as a map of ours is that map, before anything is read from it or
//! written to it.
//!
//! A pin is only a name: a script that restores or moves pins may put one map in another's place.

use std::{io::ErrorKind, os::fd::AsFd as _};

use anyhow::{Context as _, Result, ensure};
use aya_obj::{Object as Elf, generated::bpf_map_type};

use super::{
    load::{BARRIER, MAPS},
    object::object,
    pins::Pins,
    sys::{self, MapShape},
};

/// Looks at every map that is pinned; those that are not are for others to find.
///
/// # Errors
///
/// One is another map than the programs of this binary expect, or cannot be asked about; or the
/// binary was built without its programs, or they lack a map.
pub(super) fn check(pins: &Pins) -> Result<()> {
    let elf = Elf::parse(object()?).context("cannot read the eBPF object")?;
    for name in MAPS {
        let map = elf.maps.get(*name);
        let map = map.with_context(|| format!("the eBPF object lacks the map {name}"))?;
        let (kind, key, value) = (map.map_type(), map.key_size(), map.value_size());
        check_map(pins, &MapShape::new(name, kind, key, value))?;
    }
    let kinds = [bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS, bpf_map_type::BPF_MAP_TYPE_ARRAY];
    for (name, kind) in BARRIER.iter().zip(kinds) {
        check_map(pins, &MapShape::new(name, kind as u32, 4, 4))?;
    }
    Ok(())
}

fn check_map(pins: &Pins, wanted: &MapShape) -> Result<()> {
    let path = pins.map(&wanted.name);
    let shown = path.display();
    let map = match sys::obj_get(&path) {
        // The code that opens it says what to do.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Ok(());
        }
        result => result.with_context(|| format!("cannot open the pinned map {shown}"))?,
    };
    let found = sys::map_shape(map.as_fd())
        .with_context(|| format!("cannot ask about the pinned map {shown}"))?;
    ensure!(
        found.is_like(wanted),
        "{shown} is {found}, and should be {wanted}; `redirector unload` removes all that is pinned, \
         then load again"
    );
    Ok(())
}
