//! When what grows will reach a limit, with how far off that may be.
//!
//! The line is the Theil-Sen estimator: the median of the slopes between all pairs of points, which an odd
//! point does not move. Its interval is taken from the ranks of those slopes, after P. K. Sen, "Estimates of
//! the Regression Coefficient Based on Kendall's Tau", Journal of the American Statistical Association 63
//! (1968): of N slopes in order, those C/2 from the middle, C = z · sqrt(n (n - 1) (2n + 5) / 18).
//!
//! It says nothing of few points, and nothing where the interval leaves room for no growth.

/// Fewer points tell no trend.
pub const POINTS_MIN: usize = 5;
/// Of more, the newest count: all pairs of them are looked at.
pub const POINTS_MAX: usize = 60;
/// Of a normal distribution, where nine tenths lie within.
const Z: f64 = 1.645;

/// A growing line, and how steep it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    /// The most likely.
    pub likely: Line,
    /// As flat as it may be.
    pub flat: Line,
    /// As steep as it may be.
    pub steep: Line,
}

/// A line that grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// By how much, from one x to the next.
    pub slope: f64,
    /// Its value at x = 0.
    pub at_zero: f64,
}

impl Line {
    /// Where it reaches a limit.
    #[must_use]
    pub fn reaches(&self, limit: f64) -> f64 {
        (limit - self.at_zero) / self.slope
    }

    fn through(points: &[(f64, f64)], slope: f64) -> Self {
        let at_zero = points.iter().map(|(x, y)| y - slope * x).collect();
        Self {
            slope,
            at_zero: median(at_zero),
        }
    }
}

impl Trend {
    /// Of points (x, y), the newest last. `None`: they are too few, or do not grow beyond doubt.
    #[must_use]
    pub fn of(points: &[(f64, f64)]) -> Option<Self> {
        let points = &points[points.len().saturating_sub(POINTS_MAX)..];
        let is_finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        if points.len() < POINTS_MIN || !points.iter().all(is_finite) {
            return None;
        }
        let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
        for (at, (x, y)) in points.iter().enumerate() {
            for (other_x, other_y) in &points[at + 1..] {
                let across = other_x - x;
                // Two of one moment have no slope.
                if across.abs() > f64::EPSILON {
                    slopes.push((other_y - y) / across);
                }
            }
        }
        if slopes.is_empty() {
            return None;
        }
        slopes.sort_by(f64::total_cmp);
        let (low, high) = ranks(points.len(), slopes.len())?;
        let likely = median(slopes.clone());
        // Not one rounding error of growth.
        let is_growth = slopes[low] > f64::EPSILON && likely > 0.0;
        is_growth.then(|| Self {
            likely: Line::through(points, likely),
            flat: Line::through(points, slopes[low]),
            steep: Line::through(points, slopes[high]),
        })
    }
}

/// The ranks of the slopes between which the true one lies.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "there are fewer than two thousand slopes"
)]
fn ranks(points: usize, slopes: usize) -> Option<(usize, usize)> {
    let (n, all) = (points as f64, slopes as f64);
    let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let low = ((all - spread) / 2.0).floor();
    if low < 0.0 {
        return None;
    }
    let high = ((all + spread) / 2.0).ceil();
    Some((low as usize, (high as usize).min(slopes - 1)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use proptest::prelude::*;

    use super::*;

    fn line(count: u32, slope: f64) -> Vec<(f64, f64)> {
        (0..count)
            .map(|x| (f64::from(x), 100.0 + slope * f64::from(x)))
            .collect()
    }

    #[test]
    fn a_straight_line_is_told_to_the_point() {
        let trend = Trend::of(&line(12, 10.0)).unwrap();
        for line in [trend.likely, trend.flat, trend.steep] {
            assert!((line.slope - 10.0).abs() < 1e-9, "{line:?}");
            assert!((line.reaches(400.0) - 30.0).abs() < 1e-9, "{line:?}");
        }
    }

    #[test]
    fn few_points_tell_nothing() {
        for count in 0..5 {
            assert_eq!(Trend::of(&line(count, 10.0)), None);
        }
        assert!(Trend::of(&line(5, 10.0)).is_some());
    }

    #[test]
    fn what_does_not_grow_tells_nothing() {
        assert_eq!(Trend::of(&line(20, 0.0)), None);
        assert_eq!(Trend::of(&line(20, -3.0)), None);
        let ups_and_downs: Vec<_> = (0..20_u32)
            .map(|x| (f64::from(x), if x % 2 == 0 { 100.0 } else { 140.0 }))
            .collect();
        assert_eq!(Trend::of(&ups_and_downs), None);
        let at_once = vec![(3.0, 1.0); 9];
        assert_eq!(Trend::of(&at_once), None);
        assert_eq!(Trend::of(&[(f64::NAN, 1.0); 9]), None);
    }

    #[test]
    fn an_odd_point_moves_nothing() {
        let mut points = line(24, 10.0);
        points[7].1 = 5000.0;
        points[20].1 = 3.0;
        let trend = Trend::of(&points).unwrap();
        assert!((trend.likely.slope - 10.0).abs() < 0.5, "{trend:?}");
    }

    #[test]
    fn known_ranks() {
        // Gilbert, "Statistical Methods for Environmental Pollution Monitoring" (1987), 16.4 to 16.6, computes
        // C and both ranks so: n = 22, N = 231, C = 1.645 · 35.465 = 58.3, so 86.3 and 144.7 from 0.
        assert_eq!(ranks(22, 231), Some((86, 145)));
        assert_eq!(ranks(4, 6), Some((0, 5)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The most likely line lies between the others, whatever the noise; and a higher limit is
        /// reached later.
        #[test]
        fn likely_lies_between(
            noise in proptest::collection::vec(-40.0..40.0_f64, 5..80),
            slope in 0.0..50.0_f64,
        ) {
            let points: Vec<_> = noise
                .iter()
                .zip(0_u32..)
                .map(|(noise, x)| (f64::from(x), 100.0 + slope * f64::from(x) + noise))
                .collect();
            if let Some(trend) = Trend::of(&points) {
                prop_assert!(trend.flat.slope > 0.0);
                prop_assert!(trend.flat.slope <= trend.likely.slope);
                prop_assert!(trend.likely.slope <= trend.steep.slope);
                prop_assert!(trend.likely.reaches(10_000.0) < trend.likely.reaches(20_000.0));
                let (early, late) = (trend.steep.reaches(1e6), trend.flat.reaches(1e6));
                prop_assert!(early <= trend.likely.reaches(1e6) && trend.likely.reaches(1e6) <= late);
            }
        }

        /// Scaling and moving what is measured scales and moves what is said.
        #[test]
        fn units_do_not_matter(
            noise in proptest::collection::vec(-5.0..5.0_f64, 12..30),
            factor in 0.1..1000.0_f64,
            moved in 0.0..1e6_f64,
        ) {
            let points: Vec<_> = noise
                .iter()
                .zip(0_u32..)
                .map(|(noise, x)| (f64::from(x), 100.0 + 20.0 * f64::from(x) + noise))
                .collect();
            let scaled: Vec<_> = points.iter().map(|(x, y)| (x + moved, y * factor)).collect();
            let (a, b) = (Trend::of(&points).unwrap(), Trend::of(&scaled).unwrap());
            let (here, there) = (a.likely.reaches(5000.0), b.likely.reaches(5000.0 * factor) - moved);
            prop_assert!((here - there).abs() < 1e-3 * here.abs().max(1.0), "{} {}", here, there);
        }
    }
}
