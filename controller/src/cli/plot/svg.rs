//! The same as an SVG file, by plotters.

use std::path::Path;

use anyhow::anyhow;
use chrono::TimeDelta;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::chart::{Chart, Series, Slo};
use super::highest;
use crate::cli::timeline::Timeline;

const WIDTH: u32 = 1000;
/// Of a panel.
const HEIGHT: u32 = 220;
const STABLE: RGBColor = RGBColor(120, 120, 120);
const CANDIDATE: RGBColor = RGBColor(20, 90, 200);
const PROOF: RGBColor = RGBColor(200, 30, 30);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a panel: what it is, its colour, and its points.
type Line<'a> = (&'a str, RGBColor, Series);

/// Draws a timeline into a file: the weights on top, then a row for each SLO.
pub(in crate::cli) fn svg(timeline: &Timeline, path: &Path) -> anyhow::Result<()> {
    let Some(chart) = Chart::of(timeline) else {
        return Ok(());
    };
    let rows = 1 + chart.slos.len();
    let height = HEIGHT.saturating_mul(u32::try_from(rows)?);
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    draw(&chart, &root, rows).map_err(|error| anyhow!("{error}"))
}

fn draw(chart: &Chart, root: &Area<'_>, rows: usize) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let areas = root.split_evenly((rows, 1));
    let mut areas = areas.iter();
    if let Some(area) = areas.next() {
        let weight = chart.weight.iter().map(|(at, share)| (*at, share * 100.0));
        let weight = stairs(weight.collect());
        panel(
            chart,
            area,
            "candidate's weight, %",
            100.0,
            &[("wanted", CANDIDATE, weight)],
        )?;
    }
    for (area, slo) in areas.zip(&chart.slos) {
        let (left, right) = area.split_horizontally(WIDTH / 2);
        evidence(chart, &left, slo)?;
        let percent = |series: &Series| -> Series {
            let points = series.iter();
            points.map(|(at, share)| (*at, share * 100.0)).collect()
        };
        let lines = [
            ("stable", STABLE, percent(&slo.stable)),
            ("candidate", CANDIDATE, percent(&slo.candidate)),
        ];
        let most = lines.iter().map(|(_, _, series)| highest(series));
        let most = most.fold(0.01, f64::max);
        panel(
            chart,
            &right,
            &format!("{}: bad events, %", slo.name),
            most * 1.1,
            &lines,
        )?;
    }
    root.present()?;
    Ok(())
}

/// As the logarithm to base 10: evidence is a product.
fn evidence(chart: &Chart, area: &Area<'_>, slo: &Slo) -> Result<(), Box<dyn std::error::Error>> {
    let points = slo.evidence.iter();
    let evidence: Series = points
        .map(|(at, value)| (*at, value.max(1.0).log10()))
        .collect();
    let proof = slo.proof.max(1.0).log10();
    let line = vec![(0.0, proof), (chart.seconds, proof)];
    let most = highest(&evidence).max(proof) * 1.1;
    let title = format!("{}: evidence, powers of 10", slo.name);
    let lines = [("proof", PROOF, line), ("candidate", CANDIDATE, evidence)];
    panel(chart, area, &title, most, &lines)
}

fn panel(
    chart: &Chart,
    area: &Area<'_>,
    title: &str,
    most: f64,
    lines: &[Line<'_>],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut panel = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..chart.seconds.max(1.0), 0.0..most)?;
    let clock = |seconds: &f64| {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "whole seconds are fine enough"
        )]
        let at = chart.begin + TimeDelta::seconds(*seconds as i64);
        at.format("%H:%M:%S").to_string()
    };
    panel
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(6)
        .y_labels(5)
        .x_label_formatter(&clock)
        .draw()?;
    for (name, colour, series) in lines {
        let colour = *colour;
        panel
            .draw_series(LineSeries::new(
                series.iter().copied(),
                colour.stroke_width(2),
            ))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour));
    }
    panel
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

/// A weight holds until it is another.
fn stairs(series: Series) -> Series {
    let mut stairs = Series::with_capacity(series.len() * 2);
    for (at, value) in series {
        if let Some((_, before)) = stairs.last().copied()
            && (before - value).abs() > f64::EPSILON
        {
            stairs.push((at, before));
        }
        stairs.push((at, value));
    }
    stairs
}
