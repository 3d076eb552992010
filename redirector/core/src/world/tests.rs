//! What a world makes of its inputs.
