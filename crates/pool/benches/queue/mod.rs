//! Reading a queue of 100 000 jobs: time, and by how much the process grows while it reads.
//!
//! A program in the place of `condor_q` prints lines as HTCondor 23.9.6 does; where HTCondor is installed a real schedd with
//! as many jobs is asked, too.

#![expect(clippy::expect_used, reason = "a bench ends where it cannot go on")]

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use campanile_pool::batch::condor::Condor;
use campanile_pool::batch::{Batch as _, Candidate};
use campanile_pool::config::CondorConfig;
use campanile_pool::model::{Demand, Resources};
use campanile_testkit::CondorPool;
use criterion::Criterion;

const JOBS: u64 = 100_000;
/// A schedd takes no more in one submission.
const SUBMISSION: u64 = 20_000;
const MEMORY_MAX_MIB: f64 = 100.0;

/// The lines of `condor_q -af:t` for so many jobs: of some hundred kinds, which the schedd has recognised as such; or each
/// of a cluster of its own that the schedd has not looked at yet, the worst case.
fn write_jobs(path: &Path, each_alone: bool) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("the list can be written"));
    for job in 0..JOBS {
        let (cluster, proc) = if each_alone { (job, 0) } else { (job / 100, job % 100) };
        let auto = if each_alone { "undefined".to_owned() } else { (random.u64(0..300)).to_string() };
        let kind = if each_alone { random.u64(0..300) } else { cluster % 300 };
        // idle, with a few that run or are held
        let status = [1, 1, 1, 1, 1, 1, 1, 1, 2, 5][random.usize(0..10)];
        writeln!(
            out,
            "{cluster}\t{proc}\t{status}\t5\t{}\t{}\t{}.0\tundefined\t{auto}\t1795653098\t1",
            kind % 16 + 1,
            512 + kind * 16,
            1_048_576 + kind * 1024,
        )
        .expect("the list can be written");
    }
    out.flush().expect("the list can be written");
}

/// Programs that stand for those of HTCondor and print what lies in the directory.
fn write_programs(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let totals = r#"[{"MyType": "Summary", "AllusersIdle": 80000, "ErrorCode": 0}]"#;
    std::fs::write(dir.join("totals"), totals).expect("the totals can be written");
    let programs = [
        (
            "condor_q",
            "case \"$*\" in *-totals*) cat totals;; *-factory*|*-unmatchable*) ;; *) cat jobs;; esac",
        ),
        ("condor_status", "echo head@site.local"),
        ("condor_config_val", "echo site.local"),
        ("condor_version", "echo '$CondorVersion: 23.9.6 $'"),
    ];
    for (name, script) in programs {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\ncd {}\n{script}\n", dir.display())).expect("a program");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a program");
    }
}

fn candidate() -> Candidate {
    Candidate {
        worker_type: "standard".to_owned(),
        resources: Resources { cores: 16, memory_mib: 65_536, disk_mib: 20 * 1024, gpus: 0 },
        attributes: Vec::new(),
    }
}

fn read(runtime: &tokio::runtime::Runtime, condor: &Condor) -> Demand {
    runtime.block_on(condor.demand(&[candidate()])).expect("the queue can be read")
}

/// A line of `/proc/self/status`, MiB.
fn memory_mib(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("our status");
    let value = status.lines().find_map(|each| each.strip_prefix(line)).expect("the line is there");
    let kib: f64 = value.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}

/// Reads once and tells how long it took and how much memory at its most.
fn measure(what: &str, runtime: &tokio::runtime::Runtime, condor: &Condor) -> Demand {
    // From here on the peak is that of the reading (proc(5), clear_refs).
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
    let before = memory_mib("VmRSS");
    let begun = Instant::now();
    let demand = read(runtime, condor);
    let took = begun.elapsed().as_secs_f64();
    let grown = (memory_mib("VmHWM") - before).max(0.0);
    println!(
        "{what}: {took:.2} s, {grown:.1} MiB more at the peak; {} idle jobs in {} groups",
        demand.idle_jobs(),
        demand.groups.len()
    );
    assert!(grown < MEMORY_MAX_MIB, "{grown:.1} MiB");
    demand
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    write_programs(dir.path());
    let condor = Condor::new(CondorConfig {
        bin: Some(dir.path().to_owned()),
        idtokens: true,
        ..CondorConfig::default()
    });
    let mut group = criterion.benchmark_group("condor_q of 100k jobs");
    group.sample_size(10);
    for (name, each_alone) in [("of 300 kinds", false), ("each of a cluster of its own", true)] {
        write_jobs(&dir.path().join("jobs"), each_alone);
        let demand = measure(&format!("condor_q of {JOBS} jobs, {name}"), &runtime, &condor);
        let all = demand.idle_jobs() + demand.running_jobs + demand.held_jobs;
        assert_eq!(all, JOBS, "every job is counted");
        group.bench_function(name, |bencher| bencher.iter(|| read(&runtime, &condor)));
    }
    group.finish();
    a_real_schedd(&runtime);
}

fn a_real_schedd(runtime: &tokio::runtime::Runtime) {
    let Some(pool) = CondorPool::start("23") else { return };
    for _ in 0..JOBS / SUBMISSION {
        pool.submit_sleep(SUBMISSION as u32, 600, 1, 100, "");
    }
    let condor = Condor::new(CondorConfig {
        config_file: Some(pool.config_file()),
        bin: Some(pool.programs()),
        idtokens: true,
        ..CondorConfig::default()
    });
    let demand = measure("condor_q of a real schedd", runtime, &condor);
    assert_eq!(demand.idle_jobs(), JOBS);
}
