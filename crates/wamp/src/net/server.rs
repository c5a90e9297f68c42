//! The router on the network: `/ws`, `/call` and `/info`.
