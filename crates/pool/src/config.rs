//! From the user's files (`ehos.yaml`, one or several) to what is wanted, and everything that is wrong with them.
//!
//! The documented sections are `clouds`, `ehos`, `daemon` (`ehos_daemon` at v1.0.0), `condor` and `influxdb`. What is
//! new stands under `pool`, which the original does not read.

mod model;

pub use model::{
    Access, Allocation, BatchConfig, CloudConfig, CloudKind, CondorConfig, Database, Deadlines, EhosSection,
    Growth, InfluxConfig, Lease, LocalBatchConfig, OwnLimits, PoolConfig, Quotas, Secret, Shrink, Sizes,
    SlurmConfig, Window, WorkerType,
};
