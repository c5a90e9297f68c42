//! Metrics for Prometheus, on the loopback address alone.

use std::fmt::Write as _;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::manager::Manager;

/// How long a client may take for its request and its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest request, bytes.
const MAX_REQUEST: usize = 8 * 1024;

type Labels = Vec<(&'static str, String)>;

/// How well aggregators do. What one has not said yet is left out.
fn aggregator_figures(manager: &Manager, registry: &mut Registry) {
    type Share = Gauge<f64, std::sync::atomic::AtomicU64>;
    let (answer, memory, busy) = (
        Family::<Labels, Share>::default(),
        Family::<Labels, Share>::default(),
        Family::<Labels, Share>::default(),
    );
    let (mean, longest) = (Family::<Labels, Share>::default(), Family::<Labels, Share>::default());
    let (sets, late) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    let (updates, overruns, oversampled) = (
        Family::<Labels, Counter>::default(),
        Family::<Labels, Counter>::default(),
        Family::<Labels, Counter>::default(),
    );
    for figures in manager.figures() {
        let labels = vec![("aggregator", figures.name.to_string())];
        let gauge = |family: &Family<Labels, Share>, value: Option<f64>| {
            if let Some(value) = value {
                family.get_or_create(&labels).set(value);
            }
        };
        gauge(&answer, figures.answer_ms);
        gauge(&memory, figures.memory_percent);
        gauge(&busy, figures.busy_percent);
        let Some(of) = figures.updates else { continue };
        gauge(&mean, Some(of.mean_ms));
        gauge(&longest, Some(of.max_ms));
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        sets.get_or_create(&labels).set(number(of.sets));
        late.get_or_create(&labels).set(number(of.late_sets));
        updates.get_or_create(&labels).inc_by(of.updates);
        overruns.get_or_create(&labels).inc_by(of.overruns);
        oversampled.get_or_create(&labels).inc_by(of.oversampled);
    }
    registry.register("answer_ms", "Mean time of an aggregator to the answer of a probe", answer);
    registry.register("memory_used_percent", "Share of its memory for sets that an aggregator uses", memory);
    registry.register("busiest_thread_percent", "Share of its time that the busiest thread works", busy);
    registry.register("update_mean_ms", "Mean time of an update since its producer was connected", mean);
    registry.register("update_max_ms", "Longest update since its producer was connected", longest);
    registry.register("sets_updated", "Sets that the updaters of an aggregator have", sets);
    registry.register("late_sets", "Those of them that are late", late);
    registry.register("updates", "Updates that ended", updates);
    registry.register("overruns", "Updates left out because the one before had not ended", overruns);
    registry.register("oversampled", "Updates that found no new sample, for whatever reason", oversampled);
}

/// The metrics as Prometheus reads them.
#[must_use]
pub fn render(manager: &Manager) -> String {
    let mut registry = Registry::with_prefix("campanile_ldms");
    let percent = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
    let (expected, fresh) = (Gauge::<i64>::default(), Gauge::<i64>::default());
    if let Some(coverage) = manager.coverage() {
        percent.set(coverage.percent());
        expected.set(i64::try_from(coverage.expected).unwrap_or(i64::MAX));
        fresh.set(i64::try_from(coverage.fresh).unwrap_or(i64::MAX));
        registry.register(
            "coverage_percent",
            "Share of expected sets that are fresh at the top tier",
            percent,
        );
        registry.register("sets_expected", "Sets expected at the top tier", expected);
        registry.register("sets_fresh", "Sets that are fresh at the top tier", fresh);
    }
    let assigned = Family::<Labels, Gauge>::default();
    let connected = Family::<Labels, Gauge>::default();
    let up = Family::<Labels, Gauge>::default();
    for group in manager.with(|conductor| conductor.groups()) {
        for member in group.members {
            let labels = vec![("group", group.name.to_string()), ("aggregator", member.daemon.to_string())];
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            assigned.get_or_create(&labels).set(number(member.assigned));
            connected.get_or_create(&labels).set(number(member.connected));
            up.get_or_create(&labels).set(i64::from(member.health == "up"));
        }
    }
    registry.register("assigned", "Units assigned to an aggregator", assigned);
    registry.register("connected", "Producers an aggregator is connected to", connected);
    registry.register("aggregator_up", "Whether an aggregator answers", up);
    aggregator_figures(manager, &mut registry);
    let links = Gauge::<i64>::default();
    links.set(i64::try_from(manager.links()).unwrap_or(i64::MAX));
    registry.register("links", "Daemons this manager has a connection to, or tries to", links);
    let watching = Family::<Labels, Gauge>::default();
    for (member, daemons) in manager.watching() {
        let count = i64::try_from(daemons).unwrap_or(i64::MAX);
        watching.get_or_create(&vec![("manager", member)]).set(count);
    }
    registry.register("watched", "Daemons that fall to each manager of the cluster", watching);
    let (orders, requests) = manager.sent();
    let sent = Family::<Labels, Gauge>::default();
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sent.get_or_create(&vec![("what", "orders".to_owned())]).set(number(orders));
    sent.get_or_create(&vec![("what", "requests".to_owned())]).set(number(requests));
    registry.register("sent", "Orders and requests sent since the start", sent);
    let mut text = String::new();
    // Writing to a String cannot fail.
    if encode(&mut text, &registry).is_err() {
        let _ = writeln!(text, "# EOF");
    }
    text
}

/// Serves the metrics until it is dropped.
pub async fn serve(listener: TcpListener, manager: Manager) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let manager = manager.clone();
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(PATIENCE, answer(stream, &manager)).await;
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, manager: &Manager) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") && request.len() < MAX_REQUEST {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let (status, body) = if request.starts_with(b"GET /metrics ") || request.starts_with(b"GET / ") {
        ("200 OK", render(manager))
    } else {
        ("404 Not Found", "There is only /metrics here.\n".to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
