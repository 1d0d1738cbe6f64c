//! Charts as inline SVG, drawn by plotters without fonts or system libraries. Every chart has its figures as text
//! beside it or in a table below; coordinates are floating point, printed figures never are.

use chrono::NaiveDate;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::ReportError;

const INK: RGBColor = RGBColor(0x1c, 0x27, 0x33);
const SOFT: RGBColor = RGBColor(0x5b, 0x68, 0x75);
const GRID: RGBColor = RGBColor(0xe3, 0xe8, 0xed);
/// Told apart in print and by people who see few colours.
pub(crate) const PALETTE: [RGBColor; 6] = [
    RGBColor(0x1f, 0x5f, 0x8b),
    RGBColor(0xd0, 0x7a, 0x1c),
    RGBColor(0x3b, 0x8f, 0x6a),
    RGBColor(0x9b, 0x4f, 0x96),
    RGBColor(0x6b, 0x6b, 0x6b),
    RGBColor(0xb3, 0x3a, 0x3a),
];
const WIDTH: u32 = 812;

/// One bar: what it is called, how long it is, what is printed beside it.
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) length: f64,
    pub(crate) printed: String,
    /// Index into the palette.
    pub(crate) colour: usize,
}

fn colour(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

fn failed<E: std::fmt::Display>(chart: &'static str) -> impl Fn(E) -> ReportError {
    move |error| ReportError::Chart { chart, reason: error.to_string() }
}

fn text_style(size: i32, colour: RGBColor, horizontal: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour).pos(Pos::new(horizontal, VPos::Center))
}

/// Cut to what fits beside a bar.
fn short(label: &str) -> String {
    const LONGEST: usize = 26;
    if label.chars().count() <= LONGEST {
        return label.to_owned();
    }
    label.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// A count as a coordinate. Beyond 32 bits a bar may as well be full.
pub(crate) fn count_coordinate(count: i64) -> f64 {
    i32::try_from(count).map_or(f64::from(i32::MAX), f64::from)
}

/// Bars from left to right, one below the other.
pub(crate) fn bars(chart: &'static str, bars: &[Bar]) -> Result<String, ReportError> {
    let count = u32::try_from(bars.len()).unwrap_or(u32::MAX).max(1);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, 34 * count + 8)).into_drawing_area();
        let longest = bars.iter().map(|bar| bar.length).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        // A quarter of the width for labels, a fifth for figures.
        let plot = ChartBuilder::on(&area)
            .margin(4)
            .build_cartesian_2d(-0.45 * longest..1.38 * longest, f64::from(count)..0.0)
            .map_err(failed(chart))?;
        let (left, right) = (text_style(17, INK, HPos::Right), text_style(17, INK, HPos::Left));
        for (at, bar) in (0_u32..).zip(bars) {
            let top = f64::from(at);
            let length = bar.length.max(longest * 0.002);
            let area = plot.plotting_area();
            let draw = || {
                area.draw(&Rectangle::new([(0.0, top + 0.14), (length, top + 0.86)], colour(bar.colour).filled()))?;
                area.draw(&Text::new(short(&bar.label), (-0.012 * longest, top + 0.5), left.clone()))?;
                area.draw(&Text::new(bar.printed.clone(), (length + 0.012 * longest, top + 0.5), right.clone()))
            };
            draw().map_err(failed(chart))?;
        }
        area.present().map_err(failed(chart))?;
    }
    Ok(svg)
}

/// Columns side by side, in time; labels are thinned where there are many.
pub(crate) fn columns(chart: &'static str, columns: &[Bar]) -> Result<String, ReportError> {
    let count = u32::try_from(columns.len()).unwrap_or(u32::MAX).max(1);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, 220)).into_drawing_area();
        let highest = columns.iter().map(|column| column.length).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let plot = ChartBuilder::on(&area)
            .margin(4)
            .build_cartesian_2d(0.0..f64::from(count), -0.16 * highest..1.16 * highest)
            .map_err(failed(chart))?;
        let area_of_plot = plot.plotting_area();
        let every = count.div_ceil(12);
        let (above, below) = (text_style(16, INK, HPos::Center), text_style(15, SOFT, HPos::Center));
        let draw = || {
            area_of_plot.draw(&PathElement::new(vec![(0.0, 0.0), (f64::from(count), 0.0)], GRID))?;
            for (at, column) in (0_u32..).zip(columns) {
                let left = f64::from(at);
                let body = [(left + 0.15, 0.0), (left + 0.85, column.length)];
                area_of_plot.draw(&Rectangle::new(body, colour(column.colour).filled()))?;
                let top = (left + 0.5, column.length + 0.07 * highest);
                area_of_plot.draw(&Text::new(column.printed.clone(), top, above.clone()))?;
                if at % every == 0 {
                    let foot = (left + 0.5, -0.08 * highest);
                    area_of_plot.draw(&Text::new(column.label.clone(), foot, below.clone()))?;
                }
            }
            Ok::<(), DrawingAreaErrorKind<_>>(())
        };
        draw().map_err(failed(chart))?;
        area.present().map_err(failed(chart))?;
    }
    Ok(svg)
}

/// A line over days.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(NaiveDate, f64)>,
}

/// Lines over days, with a legend above them. `printed_top` is the figure at the upper end of the scale, `top` where
/// that lies.
pub(crate) fn lines(chart: &'static str, lines: &[Line], top: f64, printed_top: &str) -> Result<String, ReportError> {
    let days = || lines.iter().flat_map(|line| line.points.iter().map(|(day, _)| *day));
    let (Some(first), Some(last)) = (days().min(), days().max()) else { return Ok(String::new()) };
    let place = |day: NaiveDate| count_coordinate(day.signed_duration_since(first).num_days());
    let width = place(last).max(1.0);
    let top = top.max(f64::MIN_POSITIVE);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, 260)).into_drawing_area();
        let plot = ChartBuilder::on(&area)
            .margin(4)
            .build_cartesian_2d(-0.1 * width..1.06 * width, -0.12 * top..1.22 * top)
            .map_err(failed(chart))?;
        let inner = plot.plotting_area();
        let scale = text_style(15, SOFT, HPos::Right);
        let foot = text_style(15, SOFT, HPos::Center);
        let draw = || {
            for (height, text) in [(0.0, "0"), (top, printed_top)] {
                inner.draw(&PathElement::new(vec![(0.0, height), (width, height)], GRID))?;
                inner.draw(&Text::new(text.to_owned(), (-0.01 * width, height), scale.clone()))?;
            }
            let mut day = first;
            while day <= last {
                inner.draw(&Text::new(day.format("%m-%d").to_string(), (place(day), -0.07 * top), foot.clone()))?;
                let Some(next) = day.checked_add_days(chrono::Days::new(7)) else { break };
                day = next;
            }
            for (index, (at, line)) in (0_u32..).zip(lines).enumerate() {
                let points: Vec<(f64, f64)> = line.points.iter().map(|(day, height)| (place(*day), *height)).collect();
                inner.draw(&PathElement::new(points, colour(index).stroke_width(2)))?;
                let left = width * 0.24 * f64::from(at);
                let key = [(left, 1.13 * top), (left + 0.02 * width, 1.17 * top)];
                inner.draw(&Rectangle::new(key, colour(index).filled()))?;
                let name = text_style(16, INK, HPos::Left);
                inner.draw(&Text::new(short(&line.name), (left + 0.027 * width, 1.15 * top), name))?;
            }
            Ok::<(), DrawingAreaErrorKind<_>>(())
        };
        draw().map_err(failed(chart))?;
        area.present().map_err(failed(chart))?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_escape_their_text_and_never_fail_on_nothing() {
        let bar =
            |label: &str, length: f64| Bar { label: label.to_owned(), length, printed: "<7>".to_owned(), colour: 99 };
        for set in [vec![], vec![bar("<script>", 0.0)], vec![bar("a", 3.0), bar("b", 1.0)]] {
            for svg in [bars("bars", &set).unwrap(), columns("columns", &set).unwrap()] {
                assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
                assert!(!svg.contains("<script>") && !svg.contains("<7>"));
                assert_eq!(svg.matches("&lt;7&gt;").count(), set.len());
            }
        }
        let day = NaiveDate::from_ymd_opt(2026, 6, 1).unwrap();
        let line = Line { name: "<b>".to_owned(), points: vec![(day, 2.0)] };
        assert_eq!(lines("lines", &[], 1.0, "1").unwrap(), "");
        assert!(lines("lines", &[line], 2.0, "2").unwrap().contains("&lt;b&gt;"));
    }
}
