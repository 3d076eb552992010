//! Tiers, loads and families of compiled services.
