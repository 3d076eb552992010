//! Arrays of the kernel, mapped into this process: a store here is what the next dial reads.

use std::{
    marker::PhantomData,
    mem,
    os::fd::AsFd,
    sync::atomic::{AtomicU8, AtomicU64, Ordering, fence},
};

use anyhow::{Context as _, Result, ensure};
use bytemuck::Pod;
use memmap2::{MmapOptions, MmapRaw};

use super::sys;

/// A mapped array of plain values whose size is a multiple of 8 bytes.
///
/// Readers, in the kernel and in other processes, see each aligned word of 8 bytes whole and
/// nothing larger.
#[derive(Debug)]
pub struct Mapped<T> {
    memory: MmapRaw,
    length: usize,
    _values: PhantomData<T>,
}

impl<T: Pod> Mapped<T> {
    const WORDS: usize = {
        assert!(mem::size_of::<T>().is_multiple_of(8));
        mem::size_of::<T>() / 8
    };

    /// Maps the array behind `map`.
    ///
    /// # Errors
    ///
    /// The map has values of another size, or may not be mapped.
    pub fn new(name: &str, map: impl AsFd) -> Result<Self> {
        let shape =
            sys::map_shape(map.as_fd()).with_context(|| format!("cannot ask about {name}"))?;
        ensure!(
            shape.value_size as usize == mem::size_of::<T>(),
            "the pinned map {name} holds values of {} bytes, this version needs {}; `redirector \
             unload` removes it",
            shape.value_size,
            mem::size_of::<T>(),
        );
        let length = shape.max_entries as usize;
        let memory = MmapOptions::new()
            .len(length * mem::size_of::<T>())
            .map_raw(&map.as_fd())
            .with_context(|| format!("cannot map {name} into memory"))?;
        Ok(Self { memory, length, _values: PhantomData })
    }

    /// The same memory as single words, for values whose words change by themselves.
    #[must_use]
    pub fn into_words(self) -> Mapped<u64> {
        let Self { memory, length, _values } = self;
        Mapped { memory, length: length * Self::WORDS, _values: PhantomData }
    }

    /// Capacity.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A copy of all values. Each word is read whole; a larger value may be half old, half new
    /// while another process writes.
    #[must_use]
    pub fn read_all(&self) -> Vec<T> {
        let mut values = vec![T::zeroed(); self.length];
        load(bytemuck::cast_slice_mut(&mut values), self.words());
        values
    }

    /// A copy of one value, or nothing beyond the end.
    #[must_use]
    pub fn read(&self, index: usize) -> Option<T> {
        let words = self.words().get(index * Self::WORDS..(index + 1) * Self::WORDS)?;
        let mut value = T::zeroed();
        load(bytemuck::cast_slice_mut(std::slice::from_mut(&mut value)), words);
        Some(value)
    }

    /// Writes values from `index` on, where no reader looks until a later [`publish`].
    ///
    /// [`publish`]: Mapped::publish
    ///
    /// # Errors
    ///
    /// They do not fit.
    pub fn write(&self, index: usize, values: &[T]) -> Result<()> {
        let words = bytemuck::cast_slice::<T, u64>(values);
        let start = index * Self::WORDS;
        let to = self
            .words()
            .get(start..start + words.len())
            .with_context(|| format!("no room for {} values at {index}", values.len()))?;
        for (to, from) in to.iter().zip(words) {
            to.store(*from, Ordering::Relaxed);
        }
        Ok(())
    }

    /// All words, for callers who have more to do than to load and store.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, shared, and as long as this for the life of `self`;
        // atomics may be changed by others.
        unsafe {
            std::slice::from_raw_parts(self.memory.as_ptr().cast(), self.length * Self::WORDS)
        }
    }
}

/// Arrays of single words.
impl<T: Pod> Mapped<T> {
    /// Stores one word after everything written before.
    ///
    /// # Errors
    ///
    /// `index` is beyond the end.
    pub fn publish(&self, index: usize, word: u64) -> Result<()> {
        const { assert!(mem::size_of::<T>() == 8) };
        fence(Ordering::Release);
        self.word(index)?.store(word, Ordering::Release);
        Ok(())
    }

    /// Stores one byte of a word, `byte` counted from the least significant one.
    ///
    /// # Errors
    ///
    /// `index` is beyond the end.
    pub fn store_byte(&self, index: usize, byte: usize, value: u8) -> Result<()> {
        const { assert!(mem::size_of::<T>() == 8 && cfg!(target_endian = "little")) };
        let word = self.word(index)?;
        // SAFETY: a byte of a word that is mapped for the life of `self`; its other bytes belong
        // to other writers and are not touched.
        let byte = unsafe { AtomicU8::from_ptr(word.as_ptr().cast::<u8>().add(byte)) };
        byte.store(value, Ordering::Release);
        Ok(())
    }

    fn word(&self, index: usize) -> Result<&AtomicU64> {
        let words = self.words().get(index);
        words.with_context(|| format!("no word {index} in an array of {}", self.length))
    }
}

fn load(to: &mut [u64], from: &[AtomicU64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.load(Ordering::Acquire);
    }
}
