//! Cost by time limit as an SVG: one line an instance, as a part of the best bound that is known.

use std::collections::BTreeMap;

use plotters::prelude::*;

use super::results::Results;

const SIZE: (u32, u32) = (1_000, 640);

/// The plot; instances without a bound are not in it.
///
/// # Errors
/// The drawing library refuses, which it has no reason to.
#[allow(clippy::cast_precision_loss)] // places of labels
pub fn plot(results: &Results) -> Result<String, String> {
    let mut lines: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in
        results.rows.iter().filter(|row| row.pods_unplaced == 0 || row.greedy_pods_unplaced == Some(row.pods_unplaced))
    {
        if let Some(ratio) = row.to_bound() {
            lines.entry(&row.instance).or_default().push((row.time_limit_ms, ratio));
        }
    }
    let limits = results.rows.iter().map(|row| row.time_limit_ms);
    let (from, to) = limits.fold((f64::INFINITY, 1.0), |(from, to), limit| (limit.min(from), limit.max(to)));
    let highest = lines.values().flatten().map(|(_, ratio)| *ratio).fold(1.02, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area, &lines, (from.min(to) * 0.8, to * 1.25), highest).map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

fn draw(
    area: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    lines: &BTreeMap<&str, Vec<(f64, f64)>>,
    (from, to): (f64, f64),
    highest: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption("Cost / bound by time limit", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .right_y_label_area_size(210)
        .build_cartesian_2d((from..to).log_scale(), 1.0..highest)?;
    chart.configure_mesh().x_desc("time limit, ms").y_desc("cost / bound").draw()?;
    for (index, (name, points)) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2)));
    }
    let place = SeriesLabelPosition::UpperRight;
    chart
        .configure_series_labels()
        .position(place)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 10))
        .draw()?;
    area.present()?;
    Ok(())
}
