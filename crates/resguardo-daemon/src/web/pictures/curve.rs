//! Curves over time: how long drills took against what was promised, and how backups grow.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};
use resguardo_model::Verdict;

use crate::web::figures::Say;
use crate::web::view::{DrillPoint, Forecast, SizePoint};

/// The drawing, and the part of it that the curves have.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 24.0;
/// More points than this say nothing that fewer do not.
const POINTS_MAX: usize = 240;

/// A value at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// How much.
    pub value: f64,
}

/// Where moments and values lie in the drawing.
struct Scale {
    from: f64,
    to: f64,
    top: f64,
}

impl Scale {
    fn over(moments: impl Iterator<Item = Timestamp>, top: f64) -> Option<Self> {
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for moment in moments {
            let second = seconds(moment);
            from = from.min(second);
            to = to.max(second);
        }
        if !from.is_finite() {
            return None;
        }
        // A single moment lies in the middle of a day.
        if to - from < 1.0 {
            from -= 43_200.0;
            to += 43_200.0;
        }
        let top = if top > 0.0 { top * 1.08 } else { 1.0 };
        Some(Self { from, to, top })
    }

    fn x(&self, at: Timestamp) -> f64 {
        let share = (seconds(at) - self.from) / (self.to - self.from);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value / self.top).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    /// The line at the bottom, the values at the left, the first and the last day.
    fn axes(&self, say: &Say, value: impl Fn(f64) -> String) -> String {
        let mut out = String::new();
        for share in [0.0, 0.5, 1.0] {
            let at = self.top / 1.08 * share;
            let y = self.y(at);
            let _ = write!(
                out,
                "<path class=\"axis\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 7.0,
                y + 4.0,
                value(at)
            );
        }
        for (second, x, anchor) in [(self.from, LEFT, "start"), (self.to, WIDTH - RIGHT, "end")] {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "made of seconds of a timestamp"
            )]
            let day = Timestamp::from_second(second as i64)
                .map(|moment| say.date(say.day_of(moment)))
                .unwrap_or_default();
            let y = HEIGHT - 6.0;
            let _ = write!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{day}</text>"
            );
        }
        out
    }

    fn line(&self, points: &[Point]) -> String {
        let mut out = String::new();
        for (number, point) in points.iter().enumerate() {
            let sign = if number == 0 { 'M' } else { 'L' };
            let _ = write!(
                out,
                "{sign}{:.1} {:.1}",
                self.x(point.at),
                self.y(point.value)
            );
        }
        out
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of a timestamp are far below 2^52"
)]
fn seconds(moment: Timestamp) -> f64 {
    moment.as_second() as f64
}

/// As many of the points as can be told apart; the first and the last stay.
fn thinned(points: &[Point]) -> Vec<Point> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let last = points.len() - 1;
    (0..POINTS_MAX)
        .map(|number| points[number * last / (POINTS_MAX - 1)])
        .collect()
}

/// How long drills took, against what was promised, and where that goes. `None`: there is nothing to draw.
#[must_use]
pub fn trend(
    say: &Say,
    drills: &[DrillPoint],
    target_seconds: Option<u64>,
    forecast: Option<&Forecast>,
    described: &str,
) -> Option<Markup> {
    let measured: Vec<(Point, bool)> = drills
        .iter()
        .filter_map(|drill| {
            Some((
                Point {
                    at: drill.at,
                    value: drill.rto_seconds?,
                },
                drill.verdict == Verdict::Passed,
            ))
        })
        .collect();
    let (last, _) = *measured.last()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "targets are far below 2^52 seconds"
    )]
    let target = target_seconds.map(|seconds| seconds as f64);
    let highest = measured
        .iter()
        .map(|(point, _)| point.value)
        .fold(0.0, f64::max);
    let top = highest.max(target.unwrap_or(0.0));
    let until = forecast.map(|forecast| forecast.latest.unwrap_or(forecast.crosses_at));
    let scale = Scale::over(measured.iter().map(|(point, _)| point.at).chain(until), top)?;
    let points: Vec<Point> = measured.iter().map(|(point, _)| *point).collect();
    let mut shapes = scale.axes(say, |value| say.duration(value));
    if let (Some(forecast), Some(target)) = (forecast, target) {
        let (x, y) = (scale.x(last.at), scale.y(last.value));
        let goal = scale.y(target);
        let latest = forecast.latest.unwrap_or(forecast.crosses_at);
        let _ = write!(
            shapes,
            "<path class=\"area\" d=\"M{x:.1} {y:.1}L{:.1} {goal:.1}H{:.1}z\"/><path class=\"trend\" d=\"M{x:.1} {y:.1}L{:.1} {goal:.1}\"/>",
            scale.x(forecast.earliest),
            scale.x(latest),
            scale.x(forecast.crosses_at),
        );
    }
    if let Some(target) = target {
        let y = scale.y(target);
        let _ = write!(
            shapes,
            "<path class=\"target\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text class=\"target-text\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT + 4.0,
            y - 4.0,
            say.words().rto_target
        );
    }
    let _ = write!(
        shapes,
        "<path class=\"curve\" d=\"{}\"/>",
        scale.line(&thinned(&points))
    );
    for (point, passed) in measured.iter().rev().take(POINTS_MAX) {
        let (x, y) = (scale.x(point.at), scale.y(point.value));
        if *passed {
            let _ = write!(
                shapes,
                "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
            );
        } else {
            let _ = write!(
                shapes,
                "<path class=\"dot-bad\" d=\"M{:.1} {:.1}h8v8h-8z\"/>",
                x - 4.0,
                y - 4.0
            );
        }
    }
    Some(drawing(&shapes, described))
}

/// How large backups were, and what each added. `None`: there is nothing to draw.
#[must_use]
pub fn growth(say: &Say, sizes: &[SizePoint], described: &str) -> Option<Markup> {
    #[expect(clippy::cast_precision_loss, reason = "drawn, not counted")]
    let of = |bytes: fn(&SizePoint) -> u64| {
        let points = sizes.iter().map(|size| Point {
            at: size.at,
            value: bytes(size) as f64,
        });
        thinned(&points.collect::<Vec<_>>())
    };
    let (raw, stored) = (of(|size| size.raw_bytes), of(|size| size.stored_bytes));
    let highest = raw
        .iter()
        .chain(&stored)
        .map(|point| point.value)
        .fold(0.0, f64::max);
    let scale = Scale::over(sizes.iter().map(|size| size.at), highest)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of bytes"
    )]
    let mut shapes = scale.axes(say, |value| say.bytes(value as u64));
    let base = HEIGHT - BOTTOM;
    let line = scale.line(&raw);
    let (first, last) = (raw.first()?, raw.last()?);
    let _ = write!(
        shapes,
        "<path class=\"area\" d=\"{line}L{:.1} {base}L{:.1} {base}z\"/><path class=\"curve\" d=\"{line}\"/><path class=\"curve2\" d=\"{}\"/>",
        scale.x(last.at),
        scale.x(first.at),
        scale.line(&stored)
    );
    Some(drawing(&shapes, described))
}

/// The shapes are made of numbers and of words of ours.
fn drawing(shapes: &str, described: &str) -> Markup {
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(described) {
            (PreEscaped(shapes))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use jiff::SignedDuration;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::web::language::Language;

    fn say() -> Say {
        Say {
            language: Language::En,
            zone: TimeZone::UTC,
            now: "2026-11-22T14:00:00Z".parse().unwrap(),
        }
    }

    fn sizes(count: usize) -> Vec<SizePoint> {
        let at = |number: usize| say().now + SignedDuration::from_hours(number as i64);
        let size = |number| SizePoint {
            at: at(number),
            raw_bytes: 5_000,
            stored_bytes: 10,
        };
        (0..count).map(size).collect()
    }

    #[test]
    fn a_long_series_is_drawn_light_and_a_short_one_at_all() {
        assert!(growth(&say(), &[], "none").is_none());
        let one = growth(&say(), &sizes(1), "one").unwrap().into_string();
        assert!(!one.contains("NaN") && !one.contains("inf"), "{one}");
        let many = growth(&say(), &sizes(20_000), "many")
            .unwrap()
            .into_string();
        assert!(many.len() < 16_000, "{} bytes", many.len());
    }

    #[test]
    fn nothing_is_drawn_outside() {
        let drill = |hours: i64, seconds| DrillPoint {
            at: say().now + SignedDuration::from_hours(hours),
            verdict: if hours > 0 {
                Verdict::Passed
            } else {
                Verdict::Failed
            },
            rto_seconds: Some(seconds),
            receipt: None,
        };
        let drills = [drill(0, 0.0), drill(24, 90_000.0), drill(48, 5.0)];
        let drawn = trend(&say(), &drills, Some(60), None, "drills")
            .unwrap()
            .into_string();
        assert!(drawn.contains("dot-bad") && drawn.contains("class=\"target\""));
        assert!(!drawn.contains(" -") && !drawn.contains("NaN"), "{drawn}");
        assert!(trend(&say(), &[], Some(60), None, "none").is_none());
    }
}
