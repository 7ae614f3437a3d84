//! Small graphs of letters (the place of sparkline.c): samples from left to right, their age below.

use crate::server::latency::Sample;

/// Samples beside each other; more of them begin a new graph below.
pub const COLUMNS: usize = 80;
const ROWS: usize = 4;
/// How a row shows that a sample ends in it: low, in the middle, high.
const ENDS: [char; 3] = ['_', 'o', '#'];
/// How it shows one that ends above.
const FILLED: char = '|';

/// Draws samples as they look at `now_s`, in seconds since 1970.
pub fn draw(samples: &[Sample], now_s: i64, out: &mut String) {
    for (number, part) in samples.chunks(COLUMNS).enumerate() {
        if number > 0 {
            out.push('\n');
        }
        draw_part(part, bounds(samples), now_s, out);
    }
}

fn bounds(samples: &[Sample]) -> (u64, u64) {
    let values = || samples.iter().map(|sample| sample.latency_ms);
    (values().min().unwrap_or(0), values().max().unwrap_or(0))
}

fn draw_part(samples: &[Sample], (low, high): (u64, u64), now_s: i64, out: &mut String) {
    let steps = (ENDS.len() * ROWS) as u64;
    let heights = samples.iter().map(|sample| {
        let height = (sample.latency_ms - low) * steps / (high - low).max(1);
        height.min(steps - 1) as usize
    });
    let heights: Vec<usize> = heights.collect();
    for row in (0..ROWS).rev() {
        out.extend(heights.iter().map(|height| match height / ENDS.len() {
            end if end == row => ENDS[height % ENDS.len()],
            end if end > row => FILLED,
            _ => ' ',
        }));
        out.push('\n');
    }
    let labels: Vec<Vec<char>> = samples.iter().map(|sample| age(now_s - sample.time_s).chars().collect()).collect();
    let longest = labels.iter().map(Vec::len).max().unwrap_or(0);
    out.extend(std::iter::repeat_n(' ', samples.len()));
    out.push('\n');
    for line in 0..longest {
        out.extend(labels.iter().map(|label| label.get(line).copied().unwrap_or(' ')));
        out.push('\n');
    }
}

fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As stock has been seen to draw them.
    #[test]
    fn two_samples_and_one() {
        let drawn = |samples: &[(i64, u64)]| {
            let samples: Vec<Sample> =
                samples.iter().map(|&(time_s, latency_ms)| Sample { time_s, latency_ms }).collect();
            let mut text = String::new();
            draw(&samples, 100, &mut text);
            text
        };
        assert_eq!(drawn(&[(99, 30), (100, 1100)]), " #\n |\n |\n_|\n  \n10\nss\n");
        assert_eq!(drawn(&[(100, 5)]), " \n \n \n_\n \n0\ns\n");
        let many: Vec<(i64, u64)> = (0..81).map(|second| (second, second as u64)).collect();
        assert_eq!(drawn(&many).lines().count(), 2 * (ROWS + 1) + 3 + 3 + 1);
    }
}
