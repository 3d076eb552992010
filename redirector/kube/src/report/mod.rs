//! Status and events: written by one elected agent.
