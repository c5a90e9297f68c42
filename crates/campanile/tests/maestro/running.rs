//! The manager as it is started, and the commands of an operator beside it.

use std::process::Command;

use campanile_testkit::{Daemon, Etcd, Signal, free_port, http_request, wait_until};
use serde_json::{Value, json};

use crate::cluster::{Cluster, L1, SAMPLERS, campanile, told};
use crate::{PATIENCE, path};

#[test]
fn maestro_by_its_own_name_configures_a_cluster_from_etcd_and_follows_what_maestro_ctrl_saves() {
    let Some(etcd) = Etcd::start(1) else { return };
    let mut cluster = Cluster::start_without(&[]);
    let members = cluster.dir.path().join("etcd.yaml");
    std::fs::write(&members, etcd.cluster_file()).unwrap();
    let link = cluster.dir.path().join("maestro");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_campanile"), &link).unwrap();
    let maestro = |more: &[&str]| {
        let mut command = Command::new(&link);
        command.env_remove("CAMPANILE_LOG").args(["--cluster", path(&members), "--prefix", "orion"]);
        command.arg("--state-dir").arg(cluster.state()).args(more);
        command
    };
    let (code, _, err) = told(&maestro(&[]).output().unwrap());
    assert!(code == 1 && err.contains("has no cluster 'orion'"), "{code} {err}");
    for wrong in
        [["--rebalance", "plugins"], ["--version", "6"], ["--timeout", "soon"], ["--log-level", "loud"]]
    {
        assert_eq!(told(&maestro(&wrong).output().unwrap()).0, 2, "{wrong:?}");
    }
    let save = |cluster: &Cluster| {
        let file = cluster.file();
        let mut command = campanile(&["maestro_ctrl", "--ldms_config", path(&file), "--prefix", "orion"]);
        let (code, out, err) = told(&command.arg("--cluster").arg(&members).output().unwrap());
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("saved to etcd cluster"), "{out}");
    };
    save(&cluster);
    // Every option of the original.
    let all = ["--rebalance", "sets", "--timeout", "5", "--version", "4", "--log-level", "fatal", "--debug"];
    let mut running = Daemon::spawn("maestro", maestro(&all));
    cluster.covered();
    let (code, _, err) = told(&maestro(&[]).output().unwrap());
    assert!(code == 1 && err.contains("is already run by process"), "two of one name: {code} {err}");
    cluster.interval = "250ms";
    save(&cluster);
    let sampler = format!("127.0.0.1:{}", cluster.ports["s-3"]);
    wait_until(PATIENCE, "the samplers have the new interval", || {
        let (code, out, _) = told(&campanile(&["ldms", "ctl", &sampler, "--json", "dir"]).output().unwrap());
        code == 0 && out.matches("\"interval_us\": 250000").count() == 2
    });
    assert_eq!(running.stop(PATIENCE).code(), Some(0));
    // It is gone; the cluster goes on.
    cluster.covered();
    let (code, _, err) = cluster.ldms(&["status"]);
    assert!(code == 1 && err.contains("no manager of the cluster 'orion' runs on this host"), "{code} {err}");
}

fn member<'s>(status: &'s Value, daemon: &str) -> &'s Value {
    let groups = status["groups"].as_array().unwrap();
    let mut members = groups.iter().flat_map(|group| group["members"].as_array().unwrap());
    members.find(|member| member["daemon"] == daemon).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn an_operator_sees_and_steers_a_running_cluster() {
    let cluster = Cluster::start_without(&[]);
    let (file, metrics) = (cluster.file(), free_port());
    let mut command = campanile(&["maestro", "--prefix", "orion", "--file", path(&file), "--state-dir"]);
    command.arg(cluster.state()).args(["--metrics", &metrics.to_string()]);
    let mut maestro = Daemon::spawn("campanile maestro", command);
    cluster.covered();
    let at_rest = || cluster.ldms(&["plan"]).1 == "nothing is to be done\n";
    wait_until(PATIENCE, "nothing is to be done", at_rest);
    assert_eq!(cluster.json(&["plan"]), json!({"daemons": []}));

    // What is well.
    wait_until(PATIENCE, "the coverage is measured", || {
        cluster
            .ldms(&["status"])
            .1
            .starts_with("coverage: 100.0 % (8 of 8 sets fresh; of samplers that answer 8 of 8)")
    });
    let (_, out, _) = cluster.ldms(&["status"]);
    for daemon in L1 {
        assert!(
            out.contains(&format!("  {daemon:<20} up       carries     2, connected to     2\n")),
            "{out}"
        );
    }
    assert!(!out.contains("not well"), "{out}");
    let (_, out, _) = cluster.ldms(&["status", "--all"]);
    assert!(SAMPLERS.iter().all(|sampler| out.contains(&format!("\n  {sampler:<20} up "))), "{out}");
    let status = cluster.json(&["status"]);
    let shape = [
        "coverage",
        "daemons",
        "drained",
        "groups",
        "hands_off",
        "managers",
        "orders",
        "requests",
        "worst_hour",
    ];
    let mut found = keys(&status);
    found.sort_unstable();
    assert_eq!(found, shape, "the manual describes it");
    assert_eq!(status["coverage"]["percent"], 100.0);
    let (code, out, _) = cluster.ldms(&["why", "s-1"]);
    assert!(code == 0 && out.starts_with("s-1: up\n") && out.contains("assigned to l1-"), "{out}");
    assert!(out.contains(" CONNECTED\n") && out.contains("  s-1/mem: "), "{out}");
    let why = cluster.json(&["why", "s-1"]);
    assert_eq!(why["collectors"][0]["found"][0][1], "CONNECTED", "{why}");
    assert_eq!(cluster.ldms(&["why", "s-9"]).0, 1);
    let (status, _, body) = http_request(metrics, "GET", "/metrics", &[], b"").unwrap();
    let body = String::from_utf8(body).unwrap();
    assert!(status == 200 && body.contains("campanile_ldms_coverage_percent 100"), "{body}");

    // Work on an aggregator.
    assert_eq!(cluster.ldms(&["drain", "l1-1"]).1, "l1-1 is being drained.\n");
    wait_until(PATIENCE, "it carries nothing", || {
        let status = cluster.json(&["status"]);
        member(&status, "l1-1")["assigned"] == 0 && member(&status, "l1-2")["connected"] == 4
    });
    assert!(cluster.ldms(&["status"]).1.contains(", drained\n"));
    for (args, exit) in [(["drain", "s-1"], 1), (["undrain", "nobody"], 1), (["drain", "--all"], 2)] {
        let (code, _, err) = cluster.ldms(&args);
        assert_eq!(code, exit, "{args:?}: {err}");
        assert!(exit == 2 || err.contains("there is no aggregator"), "{err}");
    }
    // It is remembered by the next manager.
    maestro.kill9();
    maestro.restart();
    wait_until(PATIENCE, "it answers", || cluster.ldms(&["status"]).0 == 0);
    assert_eq!(cluster.json(&["status"])["drained"], json!(["l1-1"]));
    assert_eq!(cluster.ldms(&["undrain", "l1-1"]).1, "l1-1 takes work again.\n");
    assert_eq!(cluster.ldms(&["rebalance"]).1, "The load is being evened.\n");
    wait_until(PATIENCE, "the load is even", || {
        let status = cluster.json(&["status"]);
        L1.iter().all(|daemon| member(&status, daemon)["connected"] == 2)
    });

    // What is not well: one that is dead, and one that refuses to take over.
    cluster.tell(&["refuse", "l1-1", "12", "prdcr_start_regex"]);
    cluster.tell(&["crash", "l1-2"]);
    wait_until(PATIENCE, "the refusal is told", || {
        let (_, out, _) = cluster.ldms(&["plan"]);
        out.contains("l1-1\n") && out.contains("  refused, tried again later: prdcr_start_regex")
    });
    let plan = cluster.json(&["plan"]);
    let mut found = keys(&plan["daemons"][0]);
    found.sort_unstable();
    assert_eq!(found, ["daemon", "health", "held", "steps", "waits"], "the manual describes it");
    let (_, out, _) = cluster.ldms(&["status"]);
    assert!(out.contains("    refuses prdcr_start_regex") && out.contains("not well\n  l1-2 "), "{out}");
    assert!(cluster.ldms(&["why", "l1-1"]).1.contains("  refused "));
    cluster.tell(&["behave", "l1-1"]);
    wait_until(PATIENCE, "the load has moved", || {
        let status = cluster.json(&["status"]);
        let dead = member(&status, "l1-2");
        dead["health"] == "down" && dead["assigned"] == 0 && member(&status, "l1-1")["connected"] == 4
    });
    cluster.tell(&["restart", "l1-2"]);
    wait_until(PATIENCE, "all is well again", at_rest);
    cluster.covered();
    let (code, out, _) = cluster.ldms(&["events", "-n", "1000"]);
    assert_eq!(code, 0);
    for told in ["is to be drained", "takes work again", "l1-2", "manager started", "told to refuse"] {
        assert!(out.contains(told), "{told}\n{out}");
    }
    let events = cluster.json(&["events"]);
    let down = |event: &Value| event["subject"] == "l1-2" && event["fields"]["what"] == "daemon-down";
    assert!(events["events"].as_array().unwrap().iter().any(down), "{events}");
    assert_eq!(cluster.ldms(&["events", "--lines", "many"]).0, 2);
    maestro.signal(Signal::INT);
    assert_eq!(maestro.wait(PATIENCE).code(), Some(0));
}
