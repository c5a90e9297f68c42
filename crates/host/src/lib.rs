//! The HostManager: keeps the agents of one host at their target state.
