//! What every manager shares: time, backoff, keyed work, and workers that report themselves.
