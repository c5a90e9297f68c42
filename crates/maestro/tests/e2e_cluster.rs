//! The manager and a cluster of simulated daemons on real sockets, or of real ones where `LDMSD` names a program. Each
//! finding about the original and its daemons has its test, most of them here:
//!
//! | | the original, or ldmsd | test |
//! |---|---|---|
//! | F1 | a changed interval blocks it for ever | `intervals_change_while_everything_runs`, `a_saved_change_reaches_the_daemons_also_after_a_restart_of_etcd` |
//! | F2 | a rebalance stops and starts everything | `a_dead_aggregator_loses_its_load_and_gets_it_back_and_nobody_else_is_touched` |
//! | F3 | a producer that is still STOPPING cannot be started, and is lost | `a_change_by_somebody_else_is_mended_and_nothing_is_restarted`, in `ldms` `a_producer_that_is_still_stopping_cannot_be_started_and_does_not_start_by_itself`; the simulation has slow stops always |
//! | F4 | a hung aggregator blocks the failover | `a_hung_aggregator_blocks_nobody_and_stops_collecting_when_it_goes_on` |
//! | F5 | it crashes when a hung aggregator goes on | the same, `hosts_that_never_answer_hold_up_nobody_and_are_taken_in_when_they_do` |
//! | F6 | a sampler that comes late or anew is not configured | `samplers_that_come_late_or_come_back_are_configured` |
//! | F7 | several managers die one after the other | `a_killed_leader_is_replaced_and_the_cluster_is_not_touched_by_it` |
//! | F8 | its watch ends with a restart of etcd | `a_saved_change_reaches_the_daemons_also_after_a_restart_of_etcd` |
//! | F9 | a save wipes clusters whose names begin the same | `saving_a_cluster_leaves_one_alone_whose_name_begins_the_same` |
//! | F10 | daemons are connected one after the other | `hosts_that_never_answer_hold_up_nobody_and_are_taken_in_when_they_do`, in `ldms` `a_thousand_daemons_of_one_process_are_connected_and_asked_at_once` |
//! | F11 | ldmsd of the top tier crashes | `aggregators_are_started_survive_the_manager_are_adopted_and_started_again`, `three_tiers_survive_the_loss_of_any` |
//! | F12 | it cannot start daemons | `aggregators_are_started_survive_the_manager_are_adopted_and_started_again` |
//! | F13 | an advertiser ends it, or blocks every group | `everything_that_a_configuration_can_say_is_done` |
//! | F14 | its documents are wrong in places | `check`: `what_the_documents_of_the_original_say_and_it_does_not_do` |
//! | F15 | hostlists are paired in the order of text | `check`: `hostlists_pair_in_written_order_with_a_warning_and_as_the_original_when_told_to` |
//! | F16 | sets mode leaves sets out | `sets_are_divided_and_none_is_left_out`, `whatever_dies_while_sets_are_divided_none_is_lost_and_none_stays_doubled` |
//! | F17 | a foreign change restarts everything | `a_change_by_somebody_else_is_mended_and_nothing_is_restarted` |
//! | F18 | one number on the wire is in the byte order of the host | in `ldms` `a_daemon_that_takes_shorter_records_gets_them`, `bad_records_are_answered_and_the_connection_goes_on` |

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cluster/late.rs"]
mod late;
#[path = "cluster/managers.rs"]
mod managers;
#[path = "cluster/moves.rs"]
mod moves;
#[path = "cluster/said.rs"]
mod said;
#[path = "cluster/sharing.rs"]
mod sharing;
mod site;
#[path = "cluster/starting.rs"]
mod starting;

use std::time::{Duration, Instant};

use campanile_ldms::api::Micros;
use campanile_ldms::api::daemon::CfgCntr;
use campanile_ldms::api::producer::PrdcrStop;
use campanile_ldms::api::updater::{UpdtrAdd, UpdtrStatus};
use campanile_maestro::model::BalanceBy;
use site::{Shape, Site, until};

const SMALL: Shape = Shape { samplers: 6, l1: 3, l2: 1, l3: 0 };
const L1: [&str; 3] = ["l1-1", "l1-2", "l1-3"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_configured_and_covered_and_a_second_manager_touches_nothing() {
    let site = Site::new(SMALL);
    let began = Instant::now();
    let manager = site.manage();
    site.covered(&manager, 12).await;
    println!("covered after {:?}", began.elapsed());
    site.rest(&manager).await;
    let collectors = site.collectors(&L1).await;
    assert_eq!(collectors.len(), 6);
    assert!(collectors.values().all(|by| by.len() == 1), "{collectors:?}");
    until("the manager measures it, too", || {
        manager.coverage().is_some_and(|coverage| coverage.fresh == 12 && coverage.expected == 12)
    })
    .await;
    drop(manager);
    // Its successor finds everything as it should be.
    let mut counts = Vec::new();
    for name in site.file.ports.keys().cloned().collect::<Vec<_>>() {
        counts.push((name.clone(), site.ask(&name).await.call(&CfgCntr {}).await.unwrap()));
    }
    let second = site.manage();
    site.rest(&second).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(second.sent(), (0, 0), "{:#}", second.status());
    for (name, count) in counts {
        assert_eq!(site.ask(&name).await.call(&CfgCntr {}).await.unwrap(), count, "{name} was touched");
    }
    assert_eq!(site.collectors(&L1).await, collectors);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_aggregator_loses_its_load_and_gets_it_back_and_nobody_else_is_touched() {
    let site = Site::new(SMALL);
    let manager = site.manage();
    site.covered(&manager, 12).await;
    site.rest(&manager).await;
    let before = site.collectors(&L1).await;
    let (orders, _) = manager.sent();
    site.daemons.crash("l1-2");
    let died = Instant::now();
    until("the requests for the move are sent", || manager.sent().0 > orders).await;
    println!("requests were sent {:?} after the death", died.elapsed());
    loop {
        let mut connected = 0;
        for aggregator in ["l1-1", "l1-3"] {
            let producers = site.producers(aggregator).await;
            connected += producers.iter().filter(|one| one.state.to_string() == "CONNECTED").count();
        }
        if connected == 6 {
            break;
        }
        assert!(died.elapsed() < site::PATIENCE, "{connected} are connected");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("all were connected {:?} after the death", died.elapsed());
    site.covered(&manager, 12).await;
    until("both others have taken over", || {
        manager.with(|conductor| conductor.assignment(0).at.iter().all(|at| *at != Some(1)))
    })
    .await;
    site.rest(&manager).await;
    let after = site.collectors(&["l1-1", "l1-3"]).await;
    for (sampler, by) in &after {
        assert_eq!(by.len(), 1, "{sampler}: {by:?}");
        if before[sampler] != ["l1-2"] {
            assert_eq!(by, &before[sampler], "{sampler} moved");
        }
    }
    // F2, F4: one order each to those who take over, nothing to the second tier.
    assert!(manager.sent().0 - orders <= 4, "{} orders", manager.sent().0 - orders);
    site.daemons.restart("l1-2");
    until("the load is even again", || {
        manager.with(|conductor| conductor.assignment(0).counts(3) == [2, 2, 2])
    })
    .await;
    site.rest(&manager).await;
    site.covered(&manager, 12).await;
    let again = site.collectors(&L1).await;
    assert!(again.values().all(|by| by.len() == 1), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_aggregator_blocks_nobody_and_stops_collecting_when_it_goes_on() {
    let site = Site::new(SMALL);
    let manager = site.manage();
    site.covered(&manager, 12).await;
    site.rest(&manager).await;
    site.daemons.hang("l1-2");
    until("the load has moved", || {
        manager.with(|conductor| conductor.assignment(0).at.iter().all(|at| *at != Some(1)))
    })
    .await;
    // The sets come to the top by the others, although the second tier still holds a connection to it.
    tokio::time::sleep(Duration::from_secs(5)).await;
    site.covered(&manager, 12).await;
    site.daemons.resume("l1-2");
    let resumed = Instant::now();
    while site.collectors(&L1).await.values().any(|by| by.len() > 1) {
        assert!(resumed.elapsed() < site::PATIENCE, "it stays doubled");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("nothing was collected twice {:?} after it went on", resumed.elapsed());
    until("it is back", || manager.with(|conductor| conductor.assignment(0).counts(3) == [2, 2, 2])).await;
    site.rest(&manager).await;
    let collectors = site.collectors(&L1).await;
    assert!(collectors.values().all(|by| by.len() == 1), "{collectors:?}");
    site.covered(&manager, 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samplers_that_come_late_or_come_back_are_configured() {
    let site = Site::new(SMALL);
    site.daemons.crash("s-3");
    let manager = site.manage();
    site.covered(&manager, 10).await;
    site.daemons.restart("s-3");
    site.covered(&manager, 12).await;
    site.daemons.crash("s-5");
    site.daemons.restart("s-5");
    until("it is seen", || manager.is_at_rest()).await;
    site.covered(&manager, 12).await;
}

/// F10: one after the other, each hung host costs the original its timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_never_answer_hold_up_nobody_and_are_taken_in_when_they_do() {
    let site = Site::new(Shape { samplers: 60, ..SMALL });
    let hung: Vec<String> = (1..=24).map(|at| format!("s-{at}")).collect();
    hung.iter().for_each(|name| site.daemons.hang(name));
    let began = Instant::now();
    let manager = site.manage();
    site.covered(&manager, 2 * 36).await;
    let took = began.elapsed();
    println!("36 samplers were covered after {took:?} beside 24 that do not answer");
    let one_after_the_other = 24 * site::quick().watch.connect;
    assert!(took < one_after_the_other / 2, "{took:?}");
    // Their connections were made long ago, and are answered only now.
    hung.iter().for_each(|name| site.daemons.resume(name));
    site.covered(&manager, 2 * 60).await;
    site.rest(&manager).await;
    let collectors = site.collectors(&L1).await;
    assert!(collectors.len() == 60 && collectors.values().all(|by| by.len() == 1), "{collectors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn intervals_change_while_everything_runs() {
    let mut site = Site::new(SMALL);
    let manager = site.manage();
    site.covered(&manager, 12).await;
    site.rest(&manager).await;
    let (_, before) = manager.sent();
    site.file.sampler_interval = "250ms".to_owned();
    manager.reconfigure(site.file.desired(BalanceBy::Producers));
    let sampler = site.ask("s-1").await;
    let began = Instant::now();
    loop {
        let sets = sampler.directory().await.unwrap();
        let hints: Vec<_> = sets.iter().filter_map(|set| set.update_hint_us()).collect();
        if hints.iter().all(|(interval_us, _)| *interval_us == 250_000) {
            break;
        }
        assert!(began.elapsed() < site::PATIENCE, "{hints:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("a sampler had its new interval after {:?}", began.elapsed());
    site.rest(&manager).await;
    let (_, after) = manager.sent();
    assert_eq!(after - before, 24, "stop and start of two plugins on six samplers, and nothing else");
    site.file.updater_interval = "250ms".to_owned();
    manager.reconfigure(site.file.desired(BalanceBy::Producers));
    site.rest(&manager).await;
    let client = site.ask("l1-1").await;
    let updaters = client.call(&UpdtrStatus::default()).await.unwrap().0;
    assert_eq!(updaters[0].interval, Some(250_000), "{updaters:?}");
    assert_eq!(manager.sent().1 - after, 8, "stop and start of four updaters");
    // F1: an aggregator that dies after it is still noticed.
    site.daemons.crash("l1-1");
    until("the load has moved", || {
        manager.with(|conductor| conductor.assignment(0).at.iter().all(|at| *at != Some(0)))
    })
    .await;
    site.covered(&manager, 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samplers_and_plugins_are_added_and_removed_while_everything_runs() {
    let mut site = Site::new(Shape { samplers: 8, ..SMALL });
    site.file.samplers = (1..=6).collect();
    let manager = site.manage();
    site.covered(&manager, 12).await;
    site.file.samplers = (3..=8).collect();
    site.file.plugins.push("loadavg".to_owned());
    manager.reconfigure(site.file.desired(BalanceBy::Producers));
    site.rest(&manager).await;
    for aggregator in L1 {
        let began = Instant::now();
        loop {
            let names: Vec<String> = site.producers(aggregator).await.into_iter().map(|p| p.name).collect();
            let has = |name: &str| names.iter().any(|other| other == name);
            if has("s-8-ep") && !has("s-1-ep") && !has("s-2-ep") {
                break;
            }
            assert!(began.elapsed() < site::PATIENCE, "{aggregator} has {names:?}: {:#}", manager.plan());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    site.covered(&manager, 18).await;
    site.rest(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sets_are_divided_and_none_is_left_out() {
    let mut site = Site::new(Shape { samplers: 8, ..SMALL });
    site.file.plugins = vec!["meminfo".to_owned()];
    let manager = site.manage_by(BalanceBy::Sets);
    site.covered(&manager, 8).await;
    site.rest(&manager).await;
    site.daemons.crash("l1-3");
    until("the load has moved", || {
        manager.with(|conductor| conductor.assignment(0).at.iter().all(|at| *at != Some(2)))
    })
    .await;
    site.covered(&manager, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_somebody_else_is_mended_and_nothing_is_restarted() {
    let site = Site::new(SMALL);
    let manager = site.manage();
    site.covered(&manager, 12).await;
    site.rest(&manager).await;
    let (orders, _) = manager.sent();
    let client = site.ask("l1-1").await;
    // F17: something that does not concern us.
    let stranger = UpdtrAdd { name: "mine".into(), interval: Micros(1_000_000), ..UpdtrAdd::default() };
    client.call(&stranger).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(manager.sent().0, orders, "a foreign updater is nobody's business");
    // F3: a producer that somebody stopped is started again.
    let carried = site.collectors(&["l1-1"]).await;
    let name = carried.iter().find(|(_, by)| !by.is_empty()).unwrap().0.clone();
    client.call(&PrdcrStop { name: name.clone() }).await.unwrap();
    until("it is started again", || manager.sent().0 > orders).await;
    site.rest(&manager).await;
    site.covered(&manager, 12).await;
    let updaters = client.call(&UpdtrStatus::default()).await.unwrap().0;
    assert!(updaters.iter().any(|updater| updater.name == "mine"), "what is not ours stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregator_is_drained_and_takes_work_again() {
    let site = Site::new(SMALL);
    let manager = site.manage();
    site.covered(&manager, 12).await;
    assert!(manager.drain("s-1", true, None).is_err());
    manager.drain("l1-1", true, None).unwrap();
    until("nothing is assigned to it", || {
        manager.with(|conductor| conductor.assignment(0).counts(3)[0] == 0)
    })
    .await;
    site.rest(&manager).await;
    let collectors = site.collectors(&L1).await;
    assert!(collectors.values().all(|by| by.len() == 1 && by[0] != "l1-1"), "{collectors:?}");
    manager.drain("l1-1", false, None).unwrap();
    until("it carries again", || manager.with(|conductor| conductor.assignment(0).counts(3) == [2, 2, 2]))
        .await;
    site.rest(&manager).await;
    site.covered(&manager, 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_tiers_survive_the_loss_of_any() {
    let site = Site::new(Shape { samplers: 6, l1: 2, l2: 2, l3: 1 });
    let manager = site.manage();
    site.covered(&manager, 12).await;
    for victim in ["l1-1", "l2-1", "l3-1"] {
        site.daemons.crash(victim);
        tokio::time::sleep(Duration::from_millis(700)).await;
        site.daemons.restart(victim);
        site.covered(&manager, 12).await;
        site.rest(&manager).await;
        site.daemons.hang(victim);
        tokio::time::sleep(Duration::from_secs(3)).await;
        site.daemons.resume(victim);
        tokio::time::sleep(Duration::from_secs(1)).await;
        site.rest(&manager).await;
        site.covered(&manager, 12).await;
    }
}
