//! Lines over time as SVG: places are numbers, colours are classes of the style sheet.

use std::fmt::Write as _;

use serde::Serialize;

use super::numbers::rounded;

/// Of the drawing, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;
/// Points of a line; more cannot be told apart.
const MOST_POINTS: usize = 720;

/// A line: a value from each hour on until the next.
pub struct Line<'l> {
    /// Of the style sheet.
    pub class: &'l str,
    pub name: &'l str,
    /// (hour, value), ascending.
    pub points: Vec<(f64, f64)>,
    /// Dots joined by a dashed line, not steps.
    pub is_dotted: bool,
}

/// A value above which an alert fires.
pub struct Threshold {
    /// Of the alert.
    pub name: &'static str,
    pub value: f64,
    /// The hour at which it does.
    pub fires: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Chart {
    pub title: String,
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    /// (place, label)
    pub across: Vec<(f64, String)>,
    pub down: Vec<(f64, String)>,
    pub lines: Vec<Drawn>,
    pub threshold: Option<DrawnThreshold>,
    /// For the script: hours at the left and the right end, and of every line its points.
    pub data: String,
}

#[derive(Debug, Serialize)]
pub struct Drawn {
    pub class: String,
    pub name: String,
    pub path: String,
    /// Below the line; empty where nothing is filled.
    pub area: String,
    pub dots: Vec<(f64, f64)>,
}

#[derive(Debug, Serialize)]
pub struct DrawnThreshold {
    pub name: &'static str,
    pub y: f64,
    /// Where it fires.
    pub x: Option<f64>,
}

/// Draws lines over `hours`, and the threshold of an alert; `unit` goes before each number.
pub fn chart(title: &str, unit: &str, hours: f64, lines: &[Line], threshold: Option<&Threshold>) -> Chart {
    let values = lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
    let most = values.chain(threshold.map(|of| of.value)).fold(0.0, f64::max);
    // what is counted has no halves
    let step = nice(if unit.is_empty() { (most / 4.0).max(1.0) } else { most / 4.0 });
    let top = (most / step).ceil().max(1.0) * step;
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let x = |hour: f64| rounded(LEFT + (right - LEFT) * hour / hours.max(1e-9));
    let y = |value: f64| rounded(bottom - (bottom - TOP) * value / top);
    let drawn = lines.iter().enumerate().map(|(index, line)| {
        let points = thinned(&line.points);
        let places: Vec<(f64, f64)> = points.iter().map(|(hour, value)| (x(*hour), y(*value))).collect();
        let path = path(&places, line.is_dotted);
        let ends = places.first().zip(places.last()).filter(|_| index == 0 && !line.is_dotted);
        let area = ends.map(|(first, last)| format!("{path}L{},{bottom}L{},{bottom}Z", last.0, first.0));
        Drawn {
            class: line.class.to_owned(),
            name: line.name.to_owned(),
            path,
            area: area.unwrap_or_default(),
            dots: if line.is_dotted { places } else { Vec::new() },
        }
    });
    let drawn: Vec<Drawn> = drawn.collect();
    let is_whole = |decimals: &i32| (step * 10_f64.powi(*decimals) + 1e-9).fract() < 1e-6;
    let decimals = (0..4).take_while(|decimals| !is_whole(decimals)).count();
    let down = (0_u32..=8).map(|index| f64::from(index) * step).take_while(|value| *value <= top * 1.001);
    let across_step = of_time(hours / 7.0);
    let across = (0_u32..=30).map(|index| f64::from(index) * across_step).take_while(|hour| *hour <= hours * 1.001);
    let points: Vec<_> = lines.iter().map(|line| (line.name, line.is_dotted, thinned(&line.points))).collect();
    let data = serde_json::json!({ "hours": hours, "top": top, "unit": unit, "lines": points });
    Chart {
        title: title.to_owned(),
        width: WIDTH,
        height: HEIGHT,
        left: LEFT,
        right,
        top: TOP,
        bottom,
        across: across.map(|hour| (x(hour), time(hour, across_step))).collect(),
        down: down.map(|value| (y(value), format!("{unit}{value:.decimals$}"))).collect(),
        lines: drawn,
        threshold: threshold.map(|of| DrawnThreshold { name: of.name, y: y(of.value), x: of.fires.map(x) }),
        data: data.to_string(),
    }
}

fn path(places: &[(f64, f64)], is_straight: bool) -> String {
    let mut path = String::new();
    for (index, (x, y)) in places.iter().enumerate() {
        let _ = match (index, is_straight) {
            (0, _) => write!(path, "M{x},{y}"),
            (_, true) => write!(path, "L{x},{y}"),
            (_, false) => write!(path, "H{x}V{y}"),
        };
    }
    path
}

/// So few points that each can be seen; of those that fall together the highest, so that no peak is lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let together = points.len().div_ceil(MOST_POINTS).max(1);
    let highest = |of: &[(f64, f64)]| of.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max);
    let round = |number: f64| (number * 1e4).round() / 1e4;
    points.chunks(together).map(|of| (round(of[0].0), round(highest(of)))).collect()
}

/// The next of 1, 2, 2.5, 5 and 10 times a power of ten.
fn nice(number: f64) -> f64 {
    let number = number.max(1e-3);
    let power = 10_f64.powf(number.log10().floor());
    [1.0, 2.0, 2.5, 5.0].into_iter().find(|step| step * power >= number).unwrap_or(10.0) * power
}

/// A step of hours that clocks and calendars have.
fn of_time(hours: f64) -> f64 {
    let steps = [0.05, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0, 168.0];
    steps.into_iter().find(|step| *step >= hours).unwrap_or(720.0)
}

fn time(hour: f64, step: f64) -> String {
    if step < 1.0 {
        format!("{:.0} min", hour * 60.0)
    } else if step < 24.0 {
        format!("{hour:.0} h")
    } else {
        format!("day {:.0}", hour / 24.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_no_peak_is_lost() {
        let texts = |steps: &[f64]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&[0.0, 0.3, 1.7, 24.0, 260.0].map(nice)), ["0.001", "0.5", "2", "25", "500"]);
        assert_eq!(texts(&[0.1, 3.4, 20.0].map(of_time)), ["0.25", "6", "24"]);
        let mut points: Vec<(f64, f64)> = (0..10_000_u32).map(|minute| (f64::from(minute) / 60.0, 1.0)).collect();
        points[7_777].1 = 9.0;
        let thin = thinned(&points);
        assert!(
            thin.len() <= MOST_POINTS && thin.iter().any(|(_, value)| (*value - 9.0).abs() < 1e-9),
            "{}",
            thin.len()
        );
        let line = Line { class: "a", name: "a", points, is_dotted: false };
        let chart = chart("a", "$", 168.0, &[line], Some(&Threshold { name: "b", value: 99.0, fires: Some(84.0) }));
        assert_eq!(chart.down.first().map(|(_, label)| label.as_str()), Some("$0"));
        let threshold = chart.threshold.unwrap();
        let middle = f64::midpoint(chart.left, chart.right);
        assert!(threshold.y > TOP && threshold.x.is_some_and(|x| (x - middle).abs() < 1.0), "{threshold:?}");
        assert!(chart.down.iter().all(|(place, _)| (TOP..=chart.bottom).contains(place)), "{:?}", chart.down);
    }
}
