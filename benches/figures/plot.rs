//! A plot with logarithmic axes, drawn as SVG by hand.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
/// Right of the lines stand their names.
const RIGHT: f64 = 190.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c0392b", "#1e8449", "#7d3c98", "#b9770e", "#34495e"];
/// The least distance between two names.
const NAME_STEP: f64 = 15.0;

/// Where values go.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

/// A line for each name: microseconds over sizes.
pub(crate) fn log_log(sizes: &[usize], lines: &[(&str, Vec<f64>)]) -> String {
    let all = || lines.iter().flat_map(|(_, costs)| costs).map(|cost| cost.log10());
    let axes = Axes {
        x: ((sizes[0] as f64).log10(), (sizes[sizes.len() - 1] as f64).log10()),
        y: (all().fold(f64::MAX, f64::min).floor(), all().fold(f64::MIN, f64::max).ceil()),
    };
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
"##
    );
    grid(&mut svg, sizes, &axes);
    let ends = names_apart(lines.iter().map(|(_, costs)| axes.down(costs[costs.len() - 1])).collect());
    for (((name, costs), colour), end) in lines.iter().zip(COLOURS).zip(ends) {
        let points = sizes.iter().zip(costs).map(|(size, cost)| (axes.across(*size as f64), axes.down(*cost)));
        let path: Vec<_> = points.clone().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ =
            writeln!(svg, r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#, path.join(" "));
        for (x, y) in points {
            let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#);
        }
        let (x, y) = (WIDTH - RIGHT + 10.0, end + 4.0);
        let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" fill="{colour}">{name}</text>"#);
    }
    svg.push_str("</svg>\n");
    svg
}

impl Axes {
    fn across(&self, size: f64) -> f64 {
        LEFT + (size.log10() - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn down(&self, cost: f64) -> f64 {
        HEIGHT - BOTTOM - (cost.log10() - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }
}

fn grid(svg: &mut String, sizes: &[usize], axes: &Axes) {
    let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
    let mut line = |x1: f64, y1: f64, x2: f64, y2: f64| {
        let _ = writeln!(svg, r##"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" stroke="#ddd"/>"##);
    };
    let powers =
        || std::iter::successors(Some(axes.y.0), |power| Some(power + 1.0)).take_while(|power| *power <= axes.y.1);
    powers().for_each(|power| line(left, axes.down(10f64.powf(power)), right, axes.down(10f64.powf(power))));
    sizes.iter().for_each(|size| line(axes.across(*size as f64), top, axes.across(*size as f64), bottom));
    let mut text = |x: f64, y: f64, anchor: &str, text: &str| {
        let _ = writeln!(svg, r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#333">{text}</text>"##);
    };
    for power in powers() {
        text(left - 8.0, axes.down(10f64.powf(power)) + 4.0, "end", &time(power));
    }
    sizes.iter().for_each(|size| text(axes.across(*size as f64), bottom + 18.0, "middle", &size.to_string()));
    text(f64::midpoint(left, right), bottom + 38.0, "middle", "integrations in the tenant: CPU of one request");
}

/// A power of ten of microseconds.
fn time(power: f64) -> String {
    let (unit, power_of_unit) = if power < 3.0 {
        ("µs", 0.0)
    } else if power < 6.0 {
        ("ms", 3.0)
    } else {
        ("s", 6.0)
    };
    format!("{} {unit}", 10f64.powf(power - power_of_unit))
}

/// Moves names that would stand on each other apart, in the order of their places.
fn names_apart(places: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|a, b| places[*b].total_cmp(&places[*a]));
    let mut apart = places;
    let mut highest = f64::MAX;
    for at in order {
        apart[at] = apart[at].min(highest - NAME_STEP);
        highest = apart[at];
    }
    apart
}
