//! Hardened LIST and WATCH of one kind of objects.
