//! Judges the performance of daemons by their own figures. Pure.

use serde_json::Value;

use crate::manager::Performance;
use crate::observe::Figures;

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

/// How much of its memory for sets a daemon uses.
#[must_use]
pub fn memory_percent(figures: &Figures) -> Option<f64> {
    let total = number(figures.sets.get("mem_total_kb"))?;
    let used = number(figures.sets.get("mem_used_kb"))?;
    (total > 0.0).then(|| used * 100.0 / total)
}

/// How much of its time the busiest thread of a daemon works.
#[must_use]
pub fn busiest_thread_percent(figures: &Figures) -> Option<f64> {
    let mut busiest: Option<f64> = None;
    visit(&figures.threads, &mut busiest);
    busiest
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
    let busy = performance.figures.as_ref().and_then(busiest_thread_percent);
    words.extend(performance.late.words(busy));
    let Some(figures) = &performance.figures else { return words };
    if let Some(percent) = memory_percent(figures)
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
        let figures = Figures {
            sets: json!({"mem_total_kb": 512, "mem_used_kb": 500}),
            threads: json!({"io_threads": [{"idle_us": 50, "active_us": 950}, {"idle_us": 900, "active_us": 100}]}),
            producers: Value::Null,
        };
        let performance =
            Performance { latency_ms: Some((10.0, 300.0)), figures: Some(figures), ..Performance::default() };
        let words = judge(&performance).join("; ");
        assert!(words.contains("300 ms") && words.contains("98 %") && words.contains("95 %"), "{words}");
        assert!(judge(&Performance { latency_ms: Some((1.0, 1.0)), ..Performance::default() }).is_empty());
    }
}
