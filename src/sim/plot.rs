//! Nodes, dollars an hour and waiting pods over time, as an SVG.

use plotters::prelude::*;

use super::report::{Report, Sample};

const SIZE: (u32, u32) = (1_000, 720);

/// The plot: one panel for each of the three, a line for each named report.
///
/// # Errors
/// The drawing library refuses, which it has no reason to.
pub fn plot(reports: &[(&str, &Report)]) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area, reports).map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

type Of = fn(&Sample) -> f64;

#[allow(clippy::cast_precision_loss)] // places on a plot
fn draw(
    area: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    reports: &[(&str, &Report)],
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let panels: [(&str, Of); 3] = [
        ("nodes", |sample| sample.nodes as f64),
        ("$/h", |sample| sample.usd_hour.as_usd()),
        ("pods that wait", |sample| sample.pending as f64),
    ];
    for (part, (name, of)) in area.split_evenly((3, 1)).iter().zip(panels) {
        let hours = |report: &Report, sample: &Sample| sample.at.duration_since(report.start).as_secs_f64() / 3_600.0;
        let all = || reports.iter().flat_map(|(_, report)| report.samples.iter().map(move |sample| (report, sample)));
        let last = all().map(|(report, sample)| hours(report, sample)).fold(0.1, f64::max);
        let most = all().map(|(_, sample)| of(sample)).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(part)
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..last, 0.0..most * 1.05)?;
        chart.configure_mesh().x_desc("hours").y_desc(name).draw()?;
        for (index, (label, report)) in reports.iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            let points = report.samples.iter().map(|sample| (hours(report, sample), of(sample)));
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(*label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2)));
        }
        if reports.len() > 1 {
            chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
        }
    }
    area.present()?;
    Ok(())
}
