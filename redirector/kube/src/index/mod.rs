//! From API objects to what the core is told, by kube-proxy's rules. Pure.
