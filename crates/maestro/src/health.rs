//! Judges the performance of daemons by their own figures. Pure.

use serde_json::Value;

use crate::manager::Performance;

/// A daemon that takes longer than this to answer a probe, on average, is slow. Milliseconds.
pub const SLOW_MS: f64 = 200.0;
/// Memory for sets beyond this share is scarce: new sets will soon be refused. Percent.
pub const MEMORY_SCARCE_PERCENT: f64 = 90.0;
/// A thread beyond this share of its time is overloaded: updates come late. Percent.
pub const THREAD_BUSY_PERCENT: f64 = 90.0;

fn number(value: Option<&Value>) -> Option<f64> {
    let value = value?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// What a daemon's own statistics say of its performance; what it does not say is absent. They are some kilobytes as the
/// daemon tells them, and there are ten thousand daemons.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// How much of its memory for sets it uses.
    pub memory_percent: Option<f64>,
    /// How much of its time its busiest thread works.
    pub busiest_thread_percent: Option<f64>,
    /// Sets that are in use.
    pub active_sets: Option<u64>,
}

impl Figures {
    /// From the answers to `set_stats` and `thread_stats`.
    #[must_use]
    pub fn of(sets: &Value, threads: &Value) -> Self {
        let total = number(sets.get("mem_total_kb")).filter(|total| *total > 0.0);
        let used = number(sets.get("mem_used_kb"));
        let mut busiest = None;
        visit(threads, &mut busiest);
        Self {
            memory_percent: total.zip(used).map(|(total, used)| used * 100.0 / total),
            busiest_thread_percent: busiest,
            active_sets: number(sets.get("active_count")).map(|count| count as u64),
        }
    }
}

/// Threads are told of in several lists, under names that differ between versions; their idle time is called the same.
fn visit(value: &Value, busiest: &mut Option<f64>) {
    match value {
        Value::Object(map) => {
            if let (Some(idle), Some(active)) = (number(map.get("idle_us")), number(map.get("active_us")))
                && idle + active > 0.0
            {
                let busy = active * 100.0 / (idle + active);
                *busiest = Some(busiest.map_or(busy, |other| other.max(busy)));
            }
            map.values().for_each(|value| visit(value, busiest));
        }
        Value::Array(list) => list.iter().for_each(|value| visit(value, busiest)),
        _ => {}
    }
}

/// What is wrong with the performance of a daemon, in words; nothing if all is well.
#[must_use]
pub fn judge(performance: &Performance) -> Vec<String> {
    let mut words = Vec::new();
    if let Some((_, mean_ms)) = performance.latency_ms
        && mean_ms > SLOW_MS
    {
        words.push(format!("answers slowly: {mean_ms:.0} ms on average"));
    }
    let busy = performance.figures.busiest_thread_percent;
    words.extend(performance.late.words(busy));
    if let Some(percent) = performance.figures.memory_percent
        && percent > MEMORY_SCARCE_PERCENT
    {
        words.push(format!("memory for sets is {percent:.0} % used; start it with more (-m)"));
    }
    if let Some(percent) = busy
        && percent > THREAD_BUSY_PERCENT
    {
        words.push(format!("a thread is {percent:.0} % busy; updates will come late"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scarce_memory_slow_answers_and_busy_threads_are_named() {
        let figures = Figures::of(
            &json!({"mem_total_kb": 512, "mem_used_kb": 500, "active_count": "7"}),
            &json!({"io_threads": [{"idle_us": 50, "active_us": 950}, {"idle_us": 900, "active_us": 100}]}),
        );
        assert_eq!(figures.active_sets, Some(7));
        assert_eq!(
            Figures::of(&json!({"mem_total_kb": 0, "mem_used_kb": 0}), &Value::Null),
            Figures::default()
        );
        let performance = Performance { latency_ms: Some((10.0, 300.0)), figures, ..Performance::default() };
        let words = judge(&performance).join("; ");
        assert!(words.contains("300 ms") && words.contains("98 %") && words.contains("95 %"), "{words}");
        assert!(judge(&Performance { latency_ms: Some((1.0, 1.0)), ..Performance::default() }).is_empty());
    }
}
