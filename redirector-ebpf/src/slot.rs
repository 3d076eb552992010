//! Words that several CPUs read and write at the same time: of elements of maps, and of what sockets
//! remember.
//!
//! There is no reference to such an element: it would promise the compiler that nothing else writes
//! there. Each word is loaded or stored whole, and as often as it is written here.

use core::{intrinsics, ptr::NonNull};

use aya_ebpf::btf_maps::{Array, HashMap, LruHashMap};
use redirector_common::HealthByte;

/// An element of a map, or a socket's storage.
pub struct Slot<T>(NonNull<T>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T> Slot<T> {
    /// What a look-up has found.
    ///
    /// # Safety
    ///
    /// A look-up in a map, or the helper for a socket's storage, has returned it in this run of the program:
    /// until the end of the run the kernel frees no element.
    #[inline(always)]
    pub unsafe fn found(element: *mut T) -> Self {
        // SAFETY: what was found is not null.
        Self(unsafe { NonNull::new_unchecked(element) })
    }

    /// The same of a helper that returns null where there is nothing.
    ///
    /// # Safety
    ///
    /// As [`found`](Self::found).
    #[inline(always)]
    pub unsafe fn or_null(element: *mut T) -> Option<Self> {
        NonNull::new(element).map(Self)
    }

    /// For [`word!`].
    #[inline(always)]
    pub const fn as_ptr(self) -> *mut T {
        self.0.as_ptr()
    }

    /// Its words of that size, one after the other. The kernel begins an element at a multiple of eight
    /// bytes.
    #[inline(always)]
    pub fn words<W: Copy, const N: usize>(self) -> [W; N] {
        const { assert!(size_of::<[W; N]>() <= size_of::<T>() && align_of::<W>() <= 8) };
        // SAFETY: all of them are part of the element.
        core::array::from_fn(|i| unsafe { Word::part(self.as_ptr().cast::<W>().add(i)) }.load())
    }
}

impl<T: Copy> Slot<T> {
    /// The whole element.
    #[inline(always)]
    pub fn word(self) -> Word<T> {
        // SAFETY: it is the element.
        unsafe { Word::part(self.as_ptr()) }
    }
}

/// A map whose elements are shared.
pub trait Find<K, T> {
    /// The element of that key, if there is one.
    fn slot(&self, key: K) -> Option<Slot<T>>;
}

impl<T, const N: usize, const F: usize> Find<u32, T> for Array<T, N, F> {
    #[inline(always)]
    fn slot(&self, index: u32) -> Option<Slot<T>> {
        // SAFETY: a look-up has returned it.
        self.get_ptr_mut(index).map(|element| unsafe { Slot::found(element) })
    }
}

impl<K, T, const N: usize, const F: usize> Find<&K, T> for HashMap<K, T, N, F> {
    #[inline(always)]
    fn slot(&self, key: &K) -> Option<Slot<T>> {
        // SAFETY: as above.
        self.get_ptr_mut(key).map(|element| unsafe { Slot::found(element) })
    }
}

impl<K, T, const N: usize, const F: usize> Find<&K, T> for LruHashMap<K, T, N, F> {
    #[inline(always)]
    fn slot(&self, key: &K) -> Option<Slot<T>> {
        // SAFETY: as above.
        self.get_ptr_mut(key).map(|element| unsafe { Slot::found(element) })
    }
}

/// A part of a [`Slot`]'s element.
pub struct Word<T>(*mut T);

impl<T> Clone for Word<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Word<T> {}

impl<T: Copy> Word<T> {
    /// Up to eight aligned bytes are loaded and stored by one instruction.
    const IS_ONE: () = assert!(size_of::<T>() <= 8 && align_of::<T>() == size_of::<T>());

    /// For [`word!`].
    ///
    /// # Safety
    ///
    /// It is part of a slot's element.
    #[inline(always)]
    pub const unsafe fn part(pointer: *mut T) -> Self {
        Self(pointer)
    }

    #[inline(always)]
    pub fn load(self) -> T {
        const { Self::IS_ONE };
        // SAFETY: part of an element; every reading of its bytes is a number.
        unsafe { self.0.read_volatile() }
    }

    #[inline(always)]
    pub fn store(self, value: T) {
        const { Self::IS_ONE };
        // SAFETY: part of an element.
        unsafe { self.0.write_volatile(value) };
    }

    /// More than one word, in whatever order: what another CPU stores meanwhile is seen in part.
    #[inline(always)]
    pub fn load_parts(self) -> T {
        // SAFETY: as above.
        unsafe { self.0.read() }
    }

    /// The same: another CPU may see a part of it.
    #[inline(always)]
    pub fn store_parts(self, value: T) {
        // SAFETY: as above.
        unsafe { self.0.write(value) };
    }
}

impl Word<u64> {
    /// One of its bytes: another writer may store the others meanwhile.
    #[inline(always)]
    pub fn byte(self, index: HealthByte) -> Word<u8> {
        // SAFETY: a word has eight bytes.
        unsafe { Word::part(self.0.cast::<u8>().add(index as usize)) }
    }

    /// Adds. What was there is not returned: 5.10 refuses objects with such an instruction.
    #[inline(always)]
    pub fn add(self, by: u64) {
        use intrinsics::{AtomicOrdering, atomic_xadd};
        // SAFETY: part of an element.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(self.0, by) };
    }
}

/// A word of a slot: `word!(slot.field)`.
macro_rules! word {
    ($slot:ident $(. $field:ident $([$index:expr])?)+) => {
        // SAFETY: a slot's element is there as long as the program runs.
        unsafe { $crate::slot::Word::part(&raw mut (*$slot.as_ptr())$(.$field $([$index])?)+) }
    };
}
pub(crate) use word;

/// A constant that the loader may replace.
#[inline(always)]
pub fn constant<T: Copy>(value: &'static T) -> T {
    // SAFETY: a plain load of what the reference says is there.
    unsafe { core::ptr::from_ref(value).read_volatile() }
}
