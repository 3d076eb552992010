//! The one store that ejects a backend, into the pinned map, past every layer of ours.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result};
use memmap2::{MmapOptions, MmapRaw};
use redirector_common::{BackendValue, HealthByte, HealthWord};

use super::PIN_PATH;

const BPF_OBJ_GET: libc::c_int = 7;

/// The pinned maps that say which backends there are and how they are.
#[derive(Debug)]
pub(super) struct Health {
    words: MmapRaw,
    backends: MmapRaw,
}

/// The part of `union bpf_attr` that `BPF_OBJ_GET` reads.
#[repr(C)]
struct ObjectPath {
    path: u64,
    fd: u32,
    flags: u32,
}

impl Health {
    pub(super) fn open() -> Result<Self> {
        Ok(Self {
            words: map("HEALTH", size_of::<HealthWord>())?,
            backends: map("BACKENDS", size_of::<BackendValue>())?,
        })
    }

    /// The index of the backend with this address.
    pub(super) fn find(&self, address: SocketAddr, protocol: u8) -> Result<usize> {
        let wanted = match address {
            SocketAddr::V4(v4) => BackendValue::new4(*v4.ip(), v4.port(), protocol),
            SocketAddr::V6(v6) => BackendValue::new6(*v6.ip(), v6.port(), protocol),
        };
        // SAFETY: mapped until `self` is dropped. The agent writes an entry once, before the test
        // dials; the copies below are compared, never trusted.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.backends.as_ptr(), self.backends.len()) };
        bytes
            .chunks_exact(size_of::<BackendValue>())
            .position(|entry| entry == bytemuck::bytes_of(&wanted))
            .with_context(|| format!("{address} is not in BACKENDS"))
    }

    /// What `writer` says of `backend`: 0 is no objection.
    pub(super) fn byte(&self, backend: usize, writer: HealthByte) -> u8 {
        let byte = self.at(backend, writer).load(Ordering::Acquire);
        // That some client avoids it is none.
        if writer == HealthByte::Passive { byte & !HealthWord::AVOIDED } else { byte }
    }

    /// Stores the operator's byte of `backend`; anything but 0 ejects.
    pub(super) fn store(&self, backend: usize, value: u8) {
        self.at(backend, HealthByte::Operator).store(value, Ordering::Release);
    }

    fn at(&self, backend: usize, writer: HealthByte) -> &AtomicU8 {
        let byte = backend * size_of::<HealthWord>() + writer as usize;
        assert!(byte < self.words.len(), "backend {backend} is outside HEALTH");
        // SAFETY: within the mapping, which outlives this borrow; a byte is always aligned, and
        // everybody who touches it while a test runs stores whole bytes or words.
        unsafe { AtomicU8::from_ptr(self.words.as_mut_ptr().add(byte)) }
    }
}

/// Maps the pinned array `name`, whose values have `size` bytes.
fn map(name: &str, size: usize) -> Result<MmapRaw> {
    let fd = open_map(name)?;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))
        .context("cannot read about a map")?;
    let entries: usize = info
        .lines()
        .find_map(|line| line.strip_prefix("max_entries:")?.trim().parse().ok())
        .with_context(|| format!("{name} is no map: {info}"))?;
    MmapOptions::new()
        .len(entries * size)
        .map_raw(&File::from(fd))
        .with_context(|| format!("cannot map {name}"))
}

/// Opens the pin of a map.
pub(super) fn open_map(name: &str) -> Result<OwnedFd> {
    let path = format!("{PIN_PATH}/v{}/{name}", redirector_common::LAYOUT);
    open_pin(&path).with_context(|| format!("cannot open {path}"))
}

fn open_pin(path: &str) -> io::Result<OwnedFd> {
    let path = std::ffi::CString::new(path)?;
    let attributes = ObjectPath { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the kernel reads `attributes` and the path in it; both live until after the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_OBJ_GET, &raw const attributes, size_of::<ObjectPath>())
    };
    let fd = libc::c_int::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
