//! The hook's context: reads the address once, writes the rewritten one, knows its two shapes.

use aya_ebpf::{
    EbpfContext as _,
    bindings::bpf_sock_addr,
    helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_set_retval},
    programs::SockAddrContext,
};
use redirector_common::PROTOCOL_UDP;
use redirector_ebpf::opaque;

use crate::slot::constant;

/// The third word of `::ffff:0:0/96`, in network order.
const MAPPED: u32 = 0xffff_u32.to_be();

/// Whether this kernel has `bpf_set_retval` (5.18): set by the loader. Behind a constant of
/// `.rodata` the verifier never sees the call where the helper is unknown.
#[unsafe(no_mangle)]
static HAS_SET_RETVAL: u8 = 0;

/// An address and port as the programs compare them: canonical words in network order, port in
/// host order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub words: [u32; 4],
    pub port: u16,
}

impl Address {
    /// Whether it is IPv4, plain or v4-mapped.
    #[inline(always)]
    pub fn is_v4(&self) -> bool {
        opaque(self.words[0] | self.words[1] | (self.words[2] ^ MAPPED)) == 0
    }

    /// The IPv4 address `word`, in network order, as a canonical one.
    #[inline(always)]
    pub fn v4(word: u32, port: u16) -> Self {
        Self { words: [0, 0, MAPPED, word], port }
    }
}

/// Four words of a context or a socket. Volatile, so that each is one access of four bytes.
///
/// # Safety
///
/// They are all there.
#[inline(always)]
pub unsafe fn four(words: *const u32) -> [u32; 4] {
    // SAFETY: the caller knows.
    unsafe {
        [
            words.read_volatile(),
            words.add(1).read_volatile(),
            words.add(2).read_volatile(),
            words.add(3).read_volatile(),
        ]
    }
}

/// 0 if they are equal; by arithmetic alone.
#[inline(always)]
pub fn difference(one: &[u32; 4], other: &[u32; 4]) -> u32 {
    (one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) | (one[3] ^ other[3])
}

/// The context of a socket address hook; `V6` says whose address field it fills.
pub struct Hook<const V6: bool> {
    pub inner: SockAddrContext,
}

impl<const V6: bool> Hook<V6> {
    #[inline(always)]
    fn raw(&self) -> *mut bpf_sock_addr {
        self.inner.sock_addr
    }

    /// IP protocol number of the socket.
    #[inline(always)]
    pub fn protocol(&self) -> u8 {
        // SAFETY: the kernel passes a valid context for the whole call.
        unsafe { (*self.raw()).protocol as u8 }
    }

    /// The address as it stands.
    #[inline(always)]
    pub fn address(&self) -> Address {
        // SAFETY: the kernel passes a valid context for the whole call. Volatile, so that each
        // word is one access of four bytes: the verifier refuses narrower ones of user_ip6.
        unsafe {
            let port = u16::from_be((&raw const (*self.raw()).user_port).read_volatile() as u16);
            if V6 {
                Address { words: four((&raw const (*self.raw()).user_ip6).cast()), port }
            } else {
                Address::v4((&raw const (*self.raw()).user_ip4).read_volatile(), port)
            }
        }
    }

    /// Whether the socket is connected, and to this address.
    #[inline(always)]
    pub fn is_connected_to(&self, address: &Address) -> bool {
        // SAFETY: the kernel passes a valid context, and in it a full socket, for the whole call.
        // Volatile, so that each access has four bytes: 5.10 knows no narrower one of dst_port.
        unsafe {
            let socket = (*self.raw()).__bindgen_anon_1.sk;
            let port = (&raw const (*socket).dst_port).cast::<u32>().read_volatile();
            if port == 0 || u16::from_be(port as u16) != address.port {
                return false;
            }
            if !V6 {
                return (&raw const (*socket).dst_ip4).read_volatile() == address.words[3];
            }
            difference(&four((&raw const (*socket).dst_ip6).cast()), &address.words) == 0
        }
    }

    /// Whether the socket is connected at all.
    #[inline(always)]
    pub fn is_connected(&self) -> bool {
        // SAFETY: as above.
        unsafe {
            let socket = (*self.raw()).__bindgen_anon_1.sk;
            (&raw const (*socket).dst_port).cast::<u32>().read_volatile() != 0
        }
    }

    /// The port of the socket; 0 if it has none yet.
    #[inline(always)]
    pub fn local_port(&self) -> u16 {
        // SAFETY: as above.
        unsafe {
            let socket = (*self.raw()).__bindgen_anon_1.sk;
            (&raw const (*socket).src_port).read_volatile() as u16
        }
    }

    /// Whether it is a UDP socket that is bound to this address. One bound to all addresses is bound to
    /// none.
    #[inline(always)]
    pub fn is_udp_bound_to(&self, address: &Address) -> bool {
        let others =
            u32::from(self.local_port() ^ address.port) | u32::from(self.protocol() ^ PROTOCOL_UDP);
        // SAFETY: as above.
        let different = unsafe {
            let socket = (*self.raw()).__bindgen_anon_1.sk;
            if V6 {
                difference(&four((&raw const (*socket).src_ip6).cast()), &address.words)
            } else {
                (&raw const (*socket).src_ip4).read_volatile() ^ address.words[3]
            }
        };
        opaque(others | different) == 0
    }

    /// Replaces the address, of the same shape as before.
    #[inline(always)]
    pub fn rewrite(&self, address: &Address) {
        // SAFETY: as above.
        unsafe {
            if V6 {
                let words = (&raw mut (*self.raw()).user_ip6).cast::<u32>();
                words.write_volatile(address.words[0]);
                words.add(1).write_volatile(address.words[1]);
                words.add(2).write_volatile(address.words[2]);
                words.add(3).write_volatile(address.words[3]);
            } else {
                (&raw mut (*self.raw()).user_ip4).write_volatile(address.words[3]);
            }
            (&raw mut (*self.raw()).user_port).write_volatile(u32::from(address.port.to_be()));
        }
    }

    /// Makes the syscall fail with this number (`EPERM` before 5.18) once the program refuses.
    #[inline(always)]
    pub fn refuse(&self, errno: i32) {
        if constant(&HAS_SET_RETVAL) != 0 {
            // SAFETY: the helper takes any number.
            unsafe { bpf_set_retval(-errno) };
        }
    }

    /// Cookie of the socket.
    #[inline(always)]
    pub fn socket_cookie(&self) -> u64 {
        // SAFETY: the helper takes this context.
        unsafe { bpf_get_socket_cookie(self.inner.as_ptr()) }
    }

    /// Cookie of the socket's network namespace: the client, as session affinity sees it.
    #[inline(always)]
    pub fn netns_cookie(&self) -> u64 {
        // SAFETY: the helper takes this context.
        unsafe { bpf_get_netns_cookie(self.inner.as_ptr()) }
    }
}
