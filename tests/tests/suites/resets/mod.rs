//! Established connections to a lost backend are reset at once, and no other ones.

mod by_agent;
mod direct;
mod echo;
mod fixture;
mod gone;
mod held;
mod pods;
mod reach;
mod redirected;
