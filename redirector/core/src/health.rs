//! Whether a backend may receive new connections, as its probes see it.
