//! A curve as inline SVG: the mean of neighbouring steps as a line, their range behind it, what is normal in the background.

use std::borrow::Cow;
use std::fmt::Write;

use crate::page::escape;
use crate::series::Series;

/// What is drawn of a key of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveSpec {
    /// The key; a dot leads into a section, as in `groups.balance`.
    pub key: &'static str,
    /// The title above the curve.
    pub title: Cow<'static, str>,
    /// The range that is normal after the first hundreds of steps; it is shaded.
    pub normal: Option<(f64, f64)>,
    /// A value to compare with, and what it is; drawn as a dashed line.
    pub reference: Option<(f64, &'static str)>,
    /// Values that have room in the drawing in any case, so that several curves are drawn alike.
    pub range: Option<(f64, f64)>,
}

impl CurveSpec {
    /// A curve of `key` with nothing to compare it with.
    pub fn new(key: &'static str, title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            key,
            title: title.into(),
            normal: None,
            reference: None,
            range: None,
        }
    }

    /// Leaves room for these values in any case.
    pub fn with_range(self, range: (f64, f64)) -> Self {
        Self {
            range: Some(range),
            ..self
        }
    }

    /// Shades the range that is normal.
    pub fn with_normal(self, normal: (f64, f64)) -> Self {
        Self {
            normal: Some(normal),
            ..self
        }
    }

    /// Draws a value to compare with.
    pub fn with_reference(self, value: f64, what: &'static str) -> Self {
        Self {
            reference: Some((value, what)),
            ..self
        }
    }
}

/// A curve with its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What is drawn.
    pub spec: CurveSpec,
    /// The values by step.
    pub series: Series,
}

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 22.0;

/// From values to places in the drawing.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn across(&self, step: f64) -> f64 {
        LEFT + (step - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn down(&self, value: f64) -> f64 {
        TOP + (self.y.1 - value) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Curve {
    /// A `<figure>`; nothing if there is no value.
    pub fn html(&self) -> String {
        let Some((low, high)) = self.series.range() else {
            return String::new();
        };
        let frame = self.frame(low, high);
        let mut svg = String::new();
        // Writing to a string does not fail.
        let _ = self.draw(&frame, &mut svg);
        let last = self.series.last().map(number).unwrap_or_default();
        let normal = match (self.spec.normal, self.spec.reference) {
            (Some((from, to)), _) => format!(" · normal {} to {}", number(from), number(to)),
            (None, Some((value, what))) => format!(" · {} = {}", escape(what), number(value)),
            (None, None) => String::new(),
        };
        let title = escape(&self.spec.title);
        format!(
            "<figure class=\"card\"><figcaption><b>{title}</b> <span class=\"figures\">{last}</span><br>\
             <span class=\"quiet small\"><code>{}</code>{normal}</span></figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}: from {} to {}, at last {last}\">{svg}</svg>\
             </figure>\n",
            escape(self.spec.key),
            self.series
                .buckets()
                .first()
                .map(|b| number(b.mean()))
                .unwrap_or_default(),
            self.series
                .buckets()
                .last()
                .map(|b| number(b.mean()))
                .unwrap_or_default(),
        )
    }

    fn frame(&self, low: f64, high: f64) -> Frame {
        let reference = self.spec.reference.map(|(value, _)| (value, value));
        let seen = [self.spec.normal, reference, self.spec.range]
            .into_iter()
            .flatten();
        let (mut low, mut high) = seen.fold((low, high), |(a, b), (c, d)| (a.min(c), b.max(d)));
        let room = (high - low) * 0.04;
        if room > 0.0 {
            // Nothing below zero where no value is.
            low = if low >= 0.0 {
                (low - room).max(0.0)
            } else {
                low - room
            };
            high += room;
        } else {
            let room = high.abs().max(1e-3) * 0.1;
            (low, high) = (low - room, high + room);
        }
        let buckets = self.series.buckets();
        let first = buckets.first().map_or(0.0, |b| b.first);
        let last = buckets.last().map_or(1.0, |b| b.last);
        Frame {
            x: (first, if last > first { last } else { first + 1.0 }),
            y: (low, high),
        }
    }

    fn draw(&self, frame: &Frame, svg: &mut String) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        if let Some((from, to)) = self.spec.normal {
            let (top, height) = (frame.down(to), frame.down(from) - frame.down(to));
            write!(
                svg,
                "<rect class=\"normal\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                right - LEFT
            )?;
        }
        for tick in ticks(frame.y, 4) {
            let y = frame.down(tick);
            write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"y\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
                LEFT - 5.0,
                y + 3.5,
                number(tick)
            )?;
        }
        for tick in ticks(frame.x, 4) {
            let x = frame.across(tick);
            write!(
                svg,
                "<text class=\"x\" x=\"{x:.1}\" y=\"{:.0}\">{}</text>",
                HEIGHT - 7.0,
                whole(tick)
            )?;
        }
        if let Some((value, _)) = self.spec.reference {
            let y = frame.down(value);
            write!(svg, "<path class=\"reference\" d=\"M{LEFT} {y:.1}H{right}\"/>")?;
        }
        write!(svg, "<path class=\"grid\" d=\"M{LEFT} {bottom}H{right}\"/>")?;
        let buckets = self.series.buckets();
        if buckets.iter().any(|b| b.max > b.min) {
            let upper = buckets.iter().map(|b| (b.middle(), b.max));
            let lower = buckets.iter().rev().map(|b| (b.middle(), b.min));
            write!(
                svg,
                "<path class=\"spread\" d=\"{}Z\"/>",
                path(frame, upper.chain(lower))
            )?;
        }
        let means = buckets.iter().map(|b| (b.middle(), b.mean()));
        if let [only] = buckets {
            let (x, y) = (frame.across(only.middle()), frame.down(only.mean()));
            return write!(
                svg,
                "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
            );
        }
        write!(svg, "<path class=\"line\" d=\"{}\"/>", path(frame, means))
    }
}

fn path(frame: &Frame, points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut d = String::new();
    for (i, (step, value)) in points.enumerate() {
        let letter = if i == 0 { 'M' } else { 'L' };
        let _ = write!(d, "{letter}{:.1} {:.1}", frame.across(step), frame.down(value));
    }
    d
}

/// Round values inside a range, about `count` of them.
fn ticks((low, high): (f64, f64), count: u32) -> Vec<f64> {
    let rough = (high - low) / f64::from(count);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|&s| s >= rough)
        .unwrap_or(10.0 * power);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).take(20).map(|i| i as f64 * step).collect()
}

/// Four digits that count, without zeros at the end.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{value:.1e}");
    }
    // Near 1 it is the distance to 1 that counts: teacher momentum.
    let digits = if (0.99..1.0).contains(&size) {
        5
    } else {
        (3 - size.log10().floor() as i32).clamp(0, 7) as usize
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Steps: `800`, `12k`, `1.5M`.
fn whole(step: f64) -> String {
    match step {
        s if s >= 1e6 => format!("{}M", number(s / 1e6)),
        s if s >= 1e4 => format!("{}k", number(s / 1e3)),
        s => number(s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64]) -> Curve {
        let mut series = Series::default();
        for (i, &value) in values.iter().enumerate() {
            series.push(20.0 * (i + 1) as f64, value);
        }
        Curve {
            spec: CurveSpec::new("a.key", "A <title>").with_normal((0.3, 0.8)),
            series,
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((0.0, 1.0), 4), [0.0, 0.5, 1.0]);
        assert_eq!(ticks((20.0, 300.0), 4), [100.0, 200.0, 300.0]);
        for range in [(0.123, 0.1234), (-5.0, 7.0), (20.0, 2e6)] {
            let ticks = ticks(range, 4);
            assert!((2..=6).contains(&ticks.len()), "{range:?}: {ticks:?}");
            assert!(
                ticks
                    .iter()
                    .all(|t| (range.0 - 1e-9..=range.1 + 1e-9).contains(t))
            );
        }
    }

    #[test]
    fn numbers_as_people_read_them() {
        let shown = [
            0.0, 1.0, 0.5, 5.226_42, 0.353_33, 0.999_823, 12_345.6, 2e6, 3e-7, 400.0,
        ]
        .map(number);
        let expected = [
            "0", "1", "0.5", "5.226", "0.3533", "0.99982", "12346", "2.0e6", "3.0e-7", "400",
        ];
        assert_eq!(shown, expected);
        assert_eq!([20.0, 12_000.0, 1.5e6].map(whole), ["20", "12k", "1.5M"]);
    }

    #[test]
    fn every_point_is_inside_the_drawing() {
        for values in [
            vec![0.5],
            vec![0.2, 0.9, 0.4],
            vec![7.0; 3],
            (0..9000).map(|i| f64::from(i % 97)).collect(),
        ] {
            let html = curve(&values).html();
            assert!(html.contains("A &lt;title&gt;") && html.contains("class=\"normal\""));
            for d in html.split(" d=\"").skip(1) {
                let d = d.split('"').next().unwrap();
                let numbers = d.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'));
                for value in numbers.filter(|n| !n.is_empty()) {
                    let value: f64 = value.parse().unwrap();
                    assert!((0.0..=WIDTH).contains(&value), "{value} in {d}");
                }
            }
            assert!(html.len() < 24_000, "{}", html.len());
        }
        assert_eq!(curve(&[]).html(), "");
    }
}
