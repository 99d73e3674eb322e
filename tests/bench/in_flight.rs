//! Many at once.
//!
//! Answers: how many of these are done in a second?

use std::time::{Duration, Instant};

/// Does the same again and again for this long, `flight` at once; how often a second it was done.
pub async fn per_second<F: Future + Send + 'static>(
    flight: usize,
    length: Duration,
    one: impl Fn() -> F + Clone + Send + 'static,
) -> f64 {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..flight)
        .map(|_| {
            let one = one.clone();
            tokio::spawn(async move {
                let mut count = 0_u64;
                while begun.elapsed() < length {
                    one().await;
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.expect("a task");
    }
    count as f64 / begun.elapsed().as_secs_f64()
}
